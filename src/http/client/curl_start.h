// libcurl's own start, which must be made once in a process, before its first handle. Inside of the
// http module, for the engines and the command line's client.
#pragma once

namespace kvcs::http {

void init_curl_once();

}  // namespace kvcs::http
