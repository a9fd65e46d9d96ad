// Goal: bytes that come by several connections are handed over in order, whole, and no further than
// to the first thing that went wrong. Method: a server that cuts ranges out of 43 MiB of bytes that
// differ everywhere, and answers one of them as the test says.
#include "cli/range_reader.h"

#include <atomic>

#include "base/bytes.h"
#include "cli/cli_desk.h"
#include "support/no_threads.h"

using namespace kvcs;
using kvcs::test::LoopbackPeer;
using kvcs::test::LoopbackServer;

namespace {

constexpr uint64_t kSize = (43 << 20) + 5;

std::string some_bytes() {
  std::string bytes(kSize, '\0');
  uint32_t state = 1;
  for (char& c : bytes) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

// Bytes first–last of a "range: bytes=first-last" line.
std::pair<uint64_t, uint64_t> range_of(const std::string& head) {
  const size_t at = head.find("range: bytes=");
  REQUIRE(at != std::string::npos);
  const std::string text = head.substr(at + 13, head.find('\r', at) - at - 13);
  return {std::stoull(text), std::stoull(text.substr(text.find('-') + 1))};
}

struct RangeServer {
  // `odd_answer` to the range that begins at `odd_from`, whole with its head; "" ends the
  // connection.
  explicit RangeServer(uint64_t odd_from = UINT64_MAX, std::string odd_answer = {})
      : server([this, odd_from, odd_answer = std::move(odd_answer)](LoopbackPeer& peer) {
          while (const auto request = peer.read_request()) {
            const auto [first, last] = range_of(request->head + "\r\n");
            asked++;
            if (first == odd_from) {
              peer.send(odd_answer);
              if (odd_answer.empty()) return;
              continue;
            }
            const std::string body = bytes.substr(first, last - first + 1);
            peer.send("HTTP/1.1 206 Part\r\nContent-Length: " + std::to_string(body.size()) +
                      "\r\n\r\n" + body);
          }
        }) {}

  Status read(uint64_t from = 0) {
    got.clear();
    cli::ApiSettings settings;
    settings.url = "http://127.0.0.1:" + std::to_string(server.port());
    return cli::read_ranges(settings, {settings.url + "/blob", "abc", "", from, kSize},
                            [this](std::string_view more) {
                              got += more;
                              return refuses_from <= got.size() ? invalid("Enough.") : ok();
                            });
  }

  const std::string bytes = some_bytes();
  std::atomic<int> asked{0};
  LoopbackServer server;
  std::string got;
  size_t refuses_from = SIZE_MAX;
};

}  // namespace

TEST_CASE("range reader: all of it in order, from any offset", "[unit][cli]") {
  RangeServer server;
  REQUIRE(server.read().ok());
  CHECK(server.got == server.bytes);
  CHECK(server.server.accepted_count() == 4);
  REQUIRE(server.read(kSize - 3).ok());
  CHECK(server.got == server.bytes.substr(kSize - 3));
}

TEST_CASE("range reader: what is handed over before a failure is the beginning", "[unit][cli]") {
  constexpr uint64_t kThird = 16 << 20;
  RangeServer cut(kThird);
  CHECK_FALSE(cut.read().ok());
  CHECK(cut.got.size() <= kThird);
  CHECK(cut.got == cut.bytes.substr(0, cut.got.size()));

  RangeServer whole(kThird, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  CHECK(whole.read().reason() == cli::kNoRanges);
  CHECK(whole.got.size() <= kThird);

  RangeServer shorter(kThird, "HTTP/1.1 206 Part\r\nContent-Length: 2\r\n\r\nhi");
  CHECK(shorter.read().message() == "The transfer broke off.");
  RangeServer gone(kThird, "HTTP/1.1 404 Gone\r\nContent-Length: 18\r\n\r\n{\"error\":\"Gone.\"} ");
  CHECK(gone.read().message() == "Gone.");
}

TEST_CASE("range reader: a system without threads is told", "[fault][cli]") {
  RangeServer server;
  const test::NoThreads limit;
  CHECK(server.read().code() == Code::kUnavailable);
  CHECK(server.asked == 0);
}

TEST_CASE("range reader: who takes no more ends it", "[unit][cli]") {
  RangeServer server;
  server.refuses_from = 1;
  CHECK(server.read().message() == "Enough.");
  CHECK(server.got == server.bytes.substr(0, 8 << 20));
  CHECK(server.asked <= 6);
}
