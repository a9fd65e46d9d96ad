// Embedded pages and files: types, caching, compression, and bytes sent by sendfile.
#include "http/static_files.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kLarge(100'000, 'j');

std::vector<http::WebAsset> assets() {
  return {{"/index.html", "text/html; charset=utf-8", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbb",
           "<p>plain</p>", "gzipped", "brotli"},
          {"/assets/app-1a2b3c4d.js", "text/javascript", "ccccccccccccccccccccccccccccccccdddd",
           kLarge, "", ""},
          {"/assets/logo.svg", "image/svg+xml", "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeffff", "<svg/>",
           "", ""}};
}

}  // namespace

TEST_CASE("static files: the page is served at its addresses, unhashed names revalidate",
          "[unit][http]") {
  TestServer server(http::asset_routes(assets()));
  for (const char* path : {"/", "/index.html", "/app"}) {
    INFO(path);
    const RawResponse response = fetch(server.port(), "GET", path);
    CHECK(response.body == "<p>plain</p>");
    CHECK(response.header("content-type") == "text/html; charset=utf-8");
    CHECK(response.header("cache-control") == "no-cache");
    CHECK(response.header("content-security-policy").starts_with("default-src 'self'"));
    CHECK(response.header("vary") == "Accept-Encoding");
  }
  const RawResponse hashed = fetch(server.port(), "GET", "/assets/app-1a2b3c4d.js");
  CHECK(hashed.body == kLarge);
  CHECK(hashed.header("cache-control") == "public, max-age=31536000, immutable");
  CHECK(fetch(server.port(), "GET", "/assets/logo.svg").header("cache-control") == "no-cache");
  CHECK(fetch(server.port(), "GET", "/assets/none.js").status == 404);
  const RawResponse deeper = fetch(server.port(), "GET", "/app/artifacts/x");
  CHECK(deeper.status == 302);
  CHECK(deeper.header("location") == "../../app");
  CHECK(fetch(server.port(), "POST", "/index.html").status == 405);
}

TEST_CASE("static files: the coding is the one that the request likes best", "[unit][http]") {
  TestServer server(http::asset_routes(assets()));
  const auto coding = [&](const char* accepted) {
    const RawResponse response = fetch(server.port(), "GET", "/", {{"Accept-Encoding", accepted}});
    const std::string name = response.header("content-encoding");
    CHECK(response.body == (name == "br" ? "brotli" : name == "gzip" ? "gzipped" : "<p>plain</p>"));
    return name;
  };
  CHECK(coding("gzip, deflate, br, zstd") == "br");
  CHECK(coding("br;q=0.5, gzip;q=0.8") == "gzip");
  CHECK(coding("br;q=0.8, gzip;q=0.8") == "br");
  CHECK(coding("BR ; Q=0.001") == "br");
  CHECK(coding("br;q=0, gzip") == "gzip");
  CHECK(coding("br;q=0.000, gzip;q=0") == "");
  CHECK(coding("gzip;q=0.5, identity") == "");
  CHECK(coding("identity;q=0, gzip;q=0.1") == "gzip");
  CHECK(coding("*") == "br");
  CHECK(coding("*;q=0.5, br;q=0") == "gzip");
  CHECK(coding("*;q=0") == "");
  CHECK(coding("deflate") == "");
  CHECK(coding("") == "");
  CHECK(coding("br;q=nonsense") == "br");
}

TEST_CASE("static files: each coding has its own tag, and 304 follows it", "[unit][http]") {
  TestServer server(http::asset_routes(assets()));
  const auto get = [&](std::vector<std::pair<std::string, std::string>> headers) {
    return fetch(server.port(), "GET", "/", std::move(headers));
  };
  const std::string etag = get({}).header("etag");
  const std::string gzip = get({{"Accept-Encoding", "gzip"}}).header("etag");
  const std::string brotli = get({{"Accept-Encoding", "br"}}).header("etag");
  CHECK(etag != gzip);
  CHECK(gzip != brotli);
  const RawResponse known = get({{"If-None-Match", etag}});
  CHECK(known.status == 304);
  CHECK(known.header("etag") == etag);
  CHECK(known.header("content-length").empty());
  CHECK(get({{"If-None-Match", brotli}, {"Accept-Encoding", "br"}}).status == 304);
  CHECK(get({{"If-None-Match", brotli}, {"Accept-Encoding", "gzip"}}).status == 200);
  CHECK(get({{"If-None-Match", "\"old\""}}).status == 200);
}

TEST_CASE("static files: a directory is read at each request", "[unit][http]") {
  const TempDir directory;
  const std::filesystem::path root = directory.path();
  std::filesystem::create_directories(root / "assets");
  std::ofstream(root / "index.html") << "one";
  std::ofstream(root / "assets" / "a.css") << "body{}";
  std::ofstream(root / ".hidden") << "no";
  TestServer server(http::static_routes(root.string() + "/"));
  CHECK(fetch(server.port(), "GET", "/").body == "one");
  CHECK(fetch(server.port(), "GET", "/assets/a.css").header("content-type") ==
        "text/css; charset=utf-8");
  CHECK(fetch(server.port(), "GET", "/.hidden").status == 404);
  std::ofstream(root / "index.html") << "two";
  CHECK(fetch(server.port(), "GET", "/").body == "two");
  std::filesystem::remove(root / "index.html");
  CHECK(fetch(server.port(), "GET", "/").status == 404);
}

TEST_CASE("static files: a file body is sent whole and in ranges", "[unit][http]") {
  const TempDir directory;
  const std::string path = (std::filesystem::path(directory.path()) / "blob").string();
  std::string bytes(5 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<char>(i * 31 >> 3);
  std::ofstream(path, std::ios::binary) << bytes;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  {
    TestServer server(
        {route(http::Method::kGet, "/blob",
               [&](http::Request& request) -> Result<http::Response> {
                 http::Response response;
                 const auto range = http::decide_range(request, bytes.size(), "t", response);
                 if (response.status <= 206) {
                   response.file =
                       http::FileBody{descriptor, range.offset, range.size_bytes, nullptr};
                 }
                 return response;
               }),
         route(http::Method::kGet, "/short", [&](http::Request&) -> Result<http::Response> {
           http::Response response;
           response.file = http::FileBody{descriptor, 0, bytes.size() + 1, nullptr};
           return response;
         })});
    RawClient client(server.port());
    CHECK(client.request("GET", "/blob").body == bytes);
    const RawResponse part = client.request("GET", "/blob", {{"Range", "bytes=1000000-3000000"}});
    CHECK(part.status == 206);
    CHECK(part.body == bytes.substr(1'000'000, 2'000'001));
    CHECK(client.request("HEAD", "/blob").header("content-length") == std::to_string(bytes.size()));
    CHECK(client.request("GET", "/blob", {{"Range", "bytes=9999999-"}}).status == 416);
    // A file that shrank since breaks the transfer off.
    CHECK_FALSE(fetch(server.port(), "GET", "/short").complete);
  }
  ::close(descriptor);
}
