// The web page's files: from the table that web/embed.sh puts into the program, or from a folder
// for development. Handlers are immutable and serve from any worker.
#include "http/static_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/bytes.h"
#include "base/crypto.h"
#include "http/header_list.h"

// Made by web/embed.sh: rows of nine pointers, ended by a row that starts with null.
extern "C" const char* const kvcs_web_assets[];

namespace kvcs::http {
namespace {

constexpr size_t kColumns = 9;
constexpr size_t kFileMaxBytes = 64 << 20;
constexpr size_t kHashMinChars = 8;
constexpr int kAppDepthMax = 5;
constexpr std::string_view kIndex = "/index.html";
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "object-src 'none'";

// For files of a folder; embedded ones bring their type in the table.
std::string_view mime_of(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".txt", "text/plain; charset=utf-8"},
      {".map", "application/json"}};
  for (const auto& [extension, type] : kTypes) {
    if (path.ends_with(extension)) return type;
  }
  return "application/octet-stream";
}

// "/assets/name-<hash>.ext": the name changes with the content, so it may be kept for ever.
bool is_hashed(std::string_view path) {
  if (!path.starts_with("/assets/")) return false;
  const size_t dot = path.find('.', path.rfind('/')), dash = path.rfind('-', dot);
  if (dot == path.npos || dash == path.npos || dot - dash - 1 < kHashMinChars) return false;
  const std::string_view hash = path.substr(dash + 1, dot - dash - 1);
  return std::all_of(hash.begin(), hash.end(),
                     [](unsigned char c) { return isalnum(c) || c == '_'; });
}

// The weight that one member of Accept-Encoding gives; "gzip;q=0" says no. A weight that cannot be
// read counts as none given.
double weight_of(const std::vector<std::string_view>& fields) {
  for (size_t i = 1; i < fields.size(); i++) {
    const std::string_view text = trim(fields[i]);
    if (text.size() < 3 || !equal_ignore_case(text.substr(0, 2), "q=")) continue;
    double weight = 1;
    const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), weight);
    return error == std::errc() && end == text.data() + text.size() ? weight : 1;
  }
  return 1;
}

// What a request accepts, by RFC 9110 §12.5.3: "*" stands for each coding that is not named, and
// the plain bytes are accepted unless they are refused.
struct Accepted {
  double brotli = 0, gzip = 0, plain = 0;
};

Accepted accepted_codings(const Request& request) {
  const auto header = header_list(request, "accept-encoding");
  if (!header) return {};
  std::optional<double> brotli, gzip, plain, others;
  for (const std::string_view part : split(*header, ',')) {
    const std::vector<std::string_view> fields = split(part, ';');
    const std::string_view coding = trim(fields[0]);
    const double weight = weight_of(fields);
    if (equal_ignore_case(coding, "br")) brotli = weight;
    if (equal_ignore_case(coding, "gzip") || equal_ignore_case(coding, "x-gzip")) gzip = weight;
    if (equal_ignore_case(coding, "identity")) plain = weight;
    if (coding == "*") others = weight;
  }
  return {brotli.value_or(others.value_or(0)), gzip.value_or(others.value_or(0)),
          plain.value_or(0)};
}

// The name of a coding and the bytes in it; the name is empty for the file as it is.
struct Coded {
  std::string_view name, bytes;
};

// The coding of the highest weight; of two that are equal the smaller one. A request that accepts
// nothing of what there is gets the file as it is.
Coded choose_coding(const WebAsset& asset, const Request& request) {
  const Accepted accepted = accepted_codings(request);
  const double brotli = asset.brotli_bytes.empty() ? 0 : accepted.brotli;
  const double gzip = asset.gzip_bytes.empty() ? 0 : accepted.gzip;
  const double best = std::max(brotli, gzip);
  if (best <= 0 || best < accepted.plain) return {"", asset.bytes};
  return brotli == best ? Coded{"br", asset.brotli_bytes} : Coded{"gzip", asset.gzip_bytes};
}

void set_page_headers(Response& response, std::string_view path, std::string_view mime) {
  response.set("content-type", std::string(mime));
  response.set("cache-control",
               is_hashed(path) ? "public, max-age=31536000, immutable" : "no-cache");
  response.set("content-security-policy", std::string(kContentSecurityPolicy));
}

Result<Response> serve_asset(const WebAsset& asset, const Request& request) {
  const Coded coded = choose_coding(asset, request);
  // The encodings of one file are different bytes, so they have different tags (RFC 9110 §8.8.3).
  std::string etag = '"' + std::string(asset.sha256_hex.substr(0, 32));
  if (!coded.name.empty()) (etag += '-') += coded.name;
  etag += '"';
  Response response;
  set_page_headers(response, asset.path, asset.mime);
  if (!asset.gzip_bytes.empty() || !asset.brotli_bytes.empty()) {
    response.set("vary", "Accept-Encoding");
  }
  response.set("etag", etag);
  const auto known = header_list(request, "if-none-match");
  if (known && (known->find(etag) != known->npos || trim(*known) == "*")) {
    response.status = 304;
    return response;
  }
  if (!coded.name.empty()) response.set("content-encoding", std::string(coded.name));
  response.static_body = coded.bytes;
  return response;
}

Result<Response> serve_file(const std::string& file, const std::string& path) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf()) || text.view().size() > kFileMaxBytes) {
    return not_found("The page " + printable(path) + " cannot be read.");
  }
  Response response;
  set_page_headers(response, path, mime_of(path));
  response.set("cache-control", "no-store");
  response.body = std::move(text).str();
  return response;
}

void add_route(std::vector<Route>& routes, std::string pattern, const Handler& handler) {
  Route route{};
  route.method = Method::kGet;
  route.pattern = std::move(pattern);
  route.guard = public_access();
  route.handler = handler;
  routes.push_back(std::move(route));
}

// The page names its files beside itself, so that it works under any prefix: an address further
// down leads to the one where it finds them. Browsers keep the part behind '#'.
Result<Response> lead_up(int depth) {
  std::string to;
  for (int i = 0; i < depth; i++) to += "../";
  Response response;
  response.status = 302;
  response.set("location", to + "app");
  response.set("cache-control", "no-cache");
  return response;
}

// The one page answers for itself, for "/" and for "/app", and is where all under "/app" leads.
void add_page(std::vector<Route>& routes, const std::string& path, const Handler& handler) {
  add_route(routes, path, handler);
  if (path != kIndex) return;
  add_route(routes, "/", handler);
  std::string pattern = "/app";
  add_route(routes, pattern, handler);
  for (int depth = 1; depth < kAppDepthMax; depth++) {
    pattern += "/{part" + std::to_string(depth) + "}";
    add_route(routes, pattern, [depth](Request&) { return lead_up(depth); });
  }
}

std::vector<Route> disk_routes(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  std::vector<Route> routes;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    // Names with braces or a percent sign would mean something in a pattern; files and folders that
    // begin with a dot are nobody's business.
    if (!it->is_regular_file(error)) continue;
    const std::string file = it->path().string();
    const std::string path = file.substr(directory.string().size());
    if (path.find_first_of("{}%") != path.npos || path.find("/.") != path.npos) continue;
    add_page(routes, path, [file, path](Request&) { return serve_file(file, path); });
  }
  return routes;
}

}  // namespace

const std::vector<WebAsset>& web_assets() {
  static const std::vector<WebAsset> assets = [] {
    std::vector<WebAsset> all;
    // A row: path, type, digest, begin and end of the bytes, the same of those by gzip and of those
    // by brotli, which are null when compressing did not pay.
    for (const char* const* row = kvcs_web_assets; row[0] != nullptr; row += kColumns) {
      const std::string_view raw(row[3], static_cast<size_t>(row[4] - row[3]));
      WebAsset asset{row[0], row[1], row[2], raw, {}, {}};
      if (row[5] != nullptr) asset.gzip_bytes = {row[5], static_cast<size_t>(row[6] - row[5])};
      if (row[7] != nullptr) asset.brotli_bytes = {row[7], static_cast<size_t>(row[8] - row[7])};
      all.push_back(asset);
    }
    return all;
  }();
  return assets;
}

std::vector<Route> asset_routes(const std::vector<WebAsset>& assets) {
  std::vector<Route> routes;
  for (const WebAsset& asset : assets) {
    add_page(routes, std::string(asset.path),
             [asset](Request& request) { return serve_asset(asset, request); });
  }
  return routes;
}

std::vector<Route> static_routes(std::string_view web_dir) {
  if (web_dir.empty()) return asset_routes(web_assets());
  while (web_dir.size() > 1 && web_dir.ends_with('/')) web_dir.remove_suffix(1);
  return disk_routes(std::string(web_dir));
}

}  // namespace kvcs::http
