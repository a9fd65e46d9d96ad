// Conditional and range requests, row by row.
#include <catch2/catch.hpp>

#include "http/http.h"

using namespace kvcs;
using http::Request;
using http::Response;

namespace {

struct Row {
  std::vector<http::Header> headers;
  int status;
  uint64_t offset, size_bytes;
  std::string content_range;
};

void check(const Row& row, uint64_t size, http::Method method = http::Method::kGet) {
  Request request;
  request.method = method;
  request.headers = row.headers;
  Response response;
  const auto decision = http::decide_range(request, size, "tag", response);
  std::string shown;
  for (const auto& header : row.headers) {
    shown += std::string(header.name) + ": " + std::string(header.value) + "; ";
  }
  INFO(shown);
  CHECK(decision.status == row.status);
  CHECK(response.status == row.status);
  CHECK(decision.offset == row.offset);
  CHECK(decision.size_bytes == row.size_bytes);
  const std::string* range = response.find("content-range");
  CHECK((range ? *range : "") == row.content_range);
  CHECK(*response.find("etag") == "\"tag\"");
  CHECK(*response.find("accept-ranges") == "bytes");
}

}  // namespace

TEST_CASE("range: one range of bytes is cut out", "[unit][http]") {
  const Row rows[] = {
      {{}, 200, 0, 100, ""},
      {{{"Range", "bytes=0-9"}}, 206, 0, 10, "bytes 0-9/100"},
      {{{"range", "bytes=90-"}}, 206, 90, 10, "bytes 90-99/100"},
      {{{"Range", "bytes=90-1000"}}, 206, 90, 10, "bytes 90-99/100"},
      {{{"Range", "bytes=-5"}}, 206, 95, 5, "bytes 95-99/100"},
      {{{"Range", "bytes=-500"}}, 206, 0, 100, "bytes 0-99/100"},
      {{{"Range", "bytes=99-99"}}, 206, 99, 1, "bytes 99-99/100"},
      {{{"Range", "bytes=0-99999999999999999999999"}}, 206, 0, 100, "bytes 0-99/100"},
      {{{"Range", "bytes=100-"}}, 416, 0, 0, "bytes */100"},
      {{{"Range", "bytes=-0"}}, 416, 0, 0, "bytes */100"},
      {{{"Range", "bytes=99999999999999999999999-"}}, 416, 0, 0, "bytes */100"}};
  for (const Row& row : rows) check(row, 100);
  check({{{"Range", "bytes=0-"}}, 416, 0, 0, "bytes */0"}, 0);
}

TEST_CASE("range: what is not one range is ignored", "[unit][http]") {
  for (const char* value : {"bytes=5-4", "bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=a-b",
                            "items=0-1", "bytes 0-1", "", "bytes=1", "bytes=+1-2", "bytes=--1"}) {
    check({{{"Range", value}}, 200, 0, 100, ""}, 100);
  }
  check({{{"Range", "bytes=0-9"}}, 200, 0, 100, ""}, 100, http::Method::kHead);
}

TEST_CASE("range: preconditions are judged before the range", "[unit][http]") {
  const http::Header range = {"Range", "bytes=0-9"};
  const Row rows[] = {{{{"If-None-Match", "\"tag\""}, range}, 304, 0, 0, ""},
                      {{{"If-None-Match", "W/\"tag\""}}, 304, 0, 0, ""},
                      {{{"If-None-Match", "\"a\", \"tag\""}}, 304, 0, 0, ""},
                      {{{"If-None-Match", "*"}}, 304, 0, 0, ""},
                      {{{"If-None-Match", "\"other\""}}, 200, 0, 100, ""},
                      {{{"If-Match", "\"other\""}, range}, 412, 0, 0, ""},
                      {{{"If-Match", "W/\"tag\""}}, 412, 0, 0, ""},
                      {{{"If-Match", "\"tag\""}, range}, 206, 0, 10, "bytes 0-9/100"},
                      {{{"If-Match", "*"}}, 200, 0, 100, ""},
                      {{{"If-Range", "\"tag\""}, range}, 206, 0, 10, "bytes 0-9/100"},
                      {{{"If-Range", "\"old\""}, range}, 200, 0, 100, ""},
                      {{{"If-Range", "W/\"tag\""}, range}, 200, 0, 100, ""},
                      {{{"If-Range", "Sat, 21 Nov 2026 00:00:00 GMT"}, range}, 200, 0, 100, ""}};
  for (const Row& row : rows) check(row, 100);
}
