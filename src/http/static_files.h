// Embedded web pages: a table made by web/embed.sh, served with ETag, gzip and cache headers.
// Immutable; thread-safe.
#pragma once
#include <string_view>
#include <vector>

#include "http/http.h"

namespace kvcs::http {

struct WebAsset {
  std::string_view path;  // "/index.html"
  std::string_view mime;
  std::string_view sha256_hex;
  std::string_view bytes, gzip_bytes;
};
const std::vector<WebAsset>& web_assets();

// GET handlers for every asset ("/" serves /index.html). With `web_dir` set, files are read from
// there at each request instead (development).
std::vector<Route> static_routes(std::string_view web_dir);

}  // namespace kvcs::http
