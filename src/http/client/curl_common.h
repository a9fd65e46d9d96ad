// What all that works by libcurl has in common. Inside of the http module, for the engines and the
// command line's client.
#pragma once

namespace kvcs::http {

// libcurl's own start, which must be made once in a process, before its first handle.
void init_curl_once();
// Whether a CURLcode says that there is no TLS connection, or none that is trusted.
bool is_tls_failure(int code);

}  // namespace kvcs::http
