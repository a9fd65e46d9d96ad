// Self-signed certificates for servers that tests start.
#pragma once
#include "http/serve/server_config.h"

namespace kvcs::test {

// A certificate for `name` that began a minute ago and ends in `valid_s` seconds, and its key, at
// the paths of the configuration.
void make_certificate(const http::TlsConfig& paths, const char* name, long valid_s = 3600);

}  // namespace kvcs::test
