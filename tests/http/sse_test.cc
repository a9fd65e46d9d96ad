// Goal: the SSE parser finds the same events however the bytes are cut, gives back every byte, and
// refuses endless events. Method: one awkward stream, fed in every two-part cut and byte by byte.
#include "http/sse.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace kvcs::http {
namespace {

struct Seen {
  std::vector<std::string> events, data;
  std::string raw;
};

Status feed_all(SseParser& parser, std::string_view bytes, Seen& seen) {
  return parser.feed(bytes, [&](const SseEvent& event) {
    seen.raw += event.raw;
    if (!event.data.empty() || !event.event.empty()) {
      seen.events.emplace_back(event.event);
      seen.data.emplace_back(event.data);
    }
    return ok();
  });
}

const std::string kAwkward =
    "\xef\xbb\xbf"
    "data: first\n\n"
    ": a comment\r\n\r\n"
    "event: delta\r\ndata: two\r\ndata:  lines\r\n\r\n"
    "data\rdata: \xff\xfe invalid utf-8\r\r"
    "id: 7\nretry: 10\nevent:done\ndata:[DONE]\n\n";

}  // namespace

TEST_CASE("sse: every cut of a stream gives the same events and the same bytes", "[unit][http]") {
  for (size_t cut = 0; cut <= kAwkward.size(); cut++) {
    INFO("cut at " << cut);
    SseParser parser(1024);
    Seen seen;
    REQUIRE(feed_all(parser, kAwkward.substr(0, cut), seen).ok());
    REQUIRE(feed_all(parser, kAwkward.substr(cut), seen).ok());
    CHECK(seen.raw == kAwkward);
    CHECK(seen.events == std::vector<std::string>{"", "delta", "", "done"});
    CHECK(seen.data ==
          std::vector<std::string>{"first", "two\n lines", "\n\xff\xfe invalid utf-8", "[DONE]"});
    CHECK(parser.pending().empty());
  }
}

TEST_CASE("sse: byte by byte an event is delivered with the byte that ends it", "[unit][http]") {
  SseParser parser(1024);
  Seen seen;
  const std::string stream = "data: a\r\n\r\ndata: b\n\n";
  std::vector<size_t> delivered_at;
  for (size_t i = 0; i < stream.size(); i++) {
    const size_t before = seen.data.size();
    REQUIRE(feed_all(parser, stream.substr(i, 1), seen).ok());
    if (seen.data.size() > before) delivered_at.push_back(i);
  }
  CHECK(delivered_at == std::vector<size_t>{9, stream.size() - 1});
  CHECK(seen.raw == stream);
}

TEST_CASE("sse: what follows the last blank line is pending", "[unit][http]") {
  SseParser parser(1024);
  Seen seen;
  REQUIRE(feed_all(parser, "data: a\n\ndata: half", seen).ok());
  CHECK(parser.pending() == "data: half");
}

TEST_CASE("sse: an endless line and an endless event are refused at the limit", "[unit][http]") {
  const std::string mebibyte(1 << 20, 'x');
  SECTION("a line of 100 MB") {
    SseParser parser(256 << 10);
    Seen seen;
    CHECK(feed_all(parser, "data: " + mebibyte, seen).code() == Code::kTooLarge);
    CHECK(parser.pending().size() < (300u << 10));
    CHECK(feed_all(parser, "\n\n", seen).code() == Code::kTooLarge);  // Spent.
  }
  SECTION("many short lines without a blank one") {
    SseParser parser(64 << 10);
    Seen seen;
    Status fed;
    for (int i = 0; i < 100'000 && fed.ok(); i++) fed = feed_all(parser, "data: y\n", seen);
    CHECK(fed.code() == Code::kTooLarge);
    CHECK(seen.data.empty());
  }
  SECTION("an event whose end arrives in the same chunk is refused too") {
    SseParser parser(100);
    Seen seen;
    const std::string large = "data: " + std::string(200, 'z') + "\n\n";
    CHECK(feed_all(parser, "data: ok\n\n" + large, seen).code() == Code::kTooLarge);
    CHECK(seen.data == std::vector<std::string>{"ok"});
  }
  SECTION("an event of exactly the limit passes") {
    SseParser parser(100);
    Seen seen;
    CHECK(feed_all(parser, "data: " + std::string(92, 'z') + "\n\n", seen).ok());
    CHECK(seen.data.size() == 1);
  }
}

TEST_CASE("sse: the callback's failure stops the feed", "[unit][http]") {
  SseParser parser(1024);
  int calls = 0;
  const Status fed = parser.feed("data: 1\n\ndata: 2\n\n", [&](const SseEvent&) {
    calls++;
    return invalid("enough");
  });
  CHECK(fed.message() == "enough");
  CHECK(calls == 1);
}

TEST_CASE("sse: sixteen megabytes of tiny events take linear time", "[unit][http]") {
  SseParser parser(1024);
  std::string stream;
  while (stream.size() < (16u << 20)) stream += "data: 1\n\n";
  size_t events = 0;
  REQUIRE(parser
              .feed(stream,
                    [&](const SseEvent&) {
                      events++;
                      return ok();
                    })
              .ok());
  CHECK(events == stream.size() / 9);
}

}  // namespace kvcs::http
