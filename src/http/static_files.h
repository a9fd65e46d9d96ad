// Embedded web pages: a table made by web/embed.sh, served with ETag, brotli or gzip, and cache
// headers.
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
  // The file, and the same by gzip and by brotli; those are empty where they are not smaller.
  std::string_view bytes, gzip_bytes, brotli_bytes;
};
const std::vector<WebAsset>& web_assets();

// GET handlers for every asset ("/" serves /index.html). With `web_dir` set, files are read from
// there at each request instead (development); the list of files is taken once. /index.html also
// answers for "/" and "/app", and what is under "/app", by up to four segments, leads there: the
// part of an address behind '#' names the page.
std::vector<Route> static_routes(std::string_view web_dir);
// The same for any table; `assets` need not live on, what they point to must.
std::vector<Route> asset_routes(const std::vector<WebAsset>& assets);

}  // namespace kvcs::http
