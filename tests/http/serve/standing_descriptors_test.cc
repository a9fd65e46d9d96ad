// Goal: a descriptor that stays registered tells each wait of what came since the last one, no
// more and no less, and a pooled socket never brings the answer of one request to another. Method:
// the slots with a socket pair and an epoll set of their own; then a server whose requests ask a
// peer that sends its bytes in awkward pieces.
#include "http/serve/standing_descriptors.h"

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "http/client/upstream.h"
#include "support/loopback_server.h"
#include "support/raw_client.h"
#include "support/test_server.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;
using http::StandingDescriptors;
using http::StandingRegistration;

namespace {

// One end of a connection, registered, and the events that its epoll set makes.
class Registered final {
 public:
  Registered() {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_) == 0);
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    registration = StandingRegistration::make(table);
    REQUIRE(registration);
    REQUIRE(registration->arm(epoll_, ends_[0], EPOLLIN));
  }
  ~Registered() {
    registration.reset();
    for (const int descriptor : {ends_[0], ends_[1], epoll_}) {
      if (descriptor >= 0) ::close(descriptor);
    }
  }
  void peer_sends() { REQUIRE(::send(ends_[1], "x", 1, 0) == 1); }
  void peer_closes() {
    ::close(ends_[1]);
    ends_[1] = -1;
  }
  void read_byte() {
    char byte;
    REQUIRE(::recv(ends_[0], &byte, 1, 0) == 1);
  }
  // The next event, as a worker has it; nothing when there is none.
  std::optional<epoll_event> event() {
    epoll_event event{};
    if (::epoll_wait(epoll_, &event, 1, 0) != 1) return std::nullopt;
    return event;
  }
  // What note() says of the next event, which must be there.
  uint64_t note_event() {
    const auto next = event();
    REQUIRE(next);
    REQUIRE(StandingDescriptors::is_cookie(next->data.u64));
    return table->note(next->data.u64, (next->events & EPOLLRDHUP) != 0);
  }

  std::shared_ptr<StandingDescriptors> table = std::make_shared<StandingDescriptors>();
  std::unique_ptr<StandingRegistration> registration;

 private:
  int ends_[2] = {-1, -1};
  int epoll_ = -1;
};

constexpr uint64_t kWait = 77;

}  // namespace

TEST_CASE("standing: an event wakes the wait that is there, and no wait that has ended",
          "[unit][http]") {
  Registered one;
  CHECK_FALSE(one.event().has_value());
  CHECK_FALSE(one.registration->begin_wait(kWait));
  one.peer_sends();
  CHECK(one.note_event() == kWait);
  one.registration->end_wait();
  one.registration->take();
  one.peer_sends();
  CHECK(one.note_event() == 0);
}

TEST_CASE("standing: what comes between two waits ends the next one at once", "[unit][http]") {
  Registered one;
  one.peer_sends();
  CHECK(one.registration->is_quiet());
  CHECK(one.note_event() == 0);
  CHECK_FALSE(one.registration->is_quiet());
  CHECK(one.registration->begin_wait(kWait));
  one.registration->end_wait();
  one.registration->take();
  CHECK(one.registration->is_quiet());
  CHECK_FALSE(one.registration->begin_wait(kWait));
}

TEST_CASE("standing: a peer that has closed is never waited for again", "[unit][http]") {
  Registered one;
  one.peer_closes();
  CHECK(one.note_event() == 0);
  for (int i = 0; i < 2; i++) {
    CHECK_FALSE(one.registration->is_quiet());
    CHECK(one.registration->begin_wait(kWait));
    one.registration->end_wait();
    one.registration->take();
  }
}

TEST_CASE("standing: it is registered once, and again after a wait for one event", "[unit][http]") {
  Registered one;
  one.peer_sends();
  CHECK(one.event().has_value());
  // Registering anew would make a second event of the byte that nobody has read.
  CHECK(one.registration->arm(-1, -1, EPOLLIN));
  CHECK_FALSE(one.event().has_value());
  one.registration->disarm();
  CHECK_FALSE(one.registration->is_quiet());
  CHECK_FALSE(one.registration->arm(-1, -1, EPOLLIN));
}

TEST_CASE("standing: a late event of a closed descriptor is nothing to its successor",
          "[unit][http]") {
  Registered one;
  one.peer_sends();
  const auto late = one.event();
  REQUIRE(late);
  one.registration.reset();
  one.registration = StandingRegistration::make(one.table);
  CHECK_FALSE(one.registration->begin_wait(kWait));
  CHECK(one.table->note(late->data.u64, true) == 0);
  CHECK_FALSE(one.registration->begin_wait(kWait));
}

TEST_CASE("standing: a full table says so, and takes more when some have gone", "[unit][http]") {
  auto table = std::make_shared<StandingDescriptors>();
  std::vector<std::unique_ptr<StandingRegistration>> all;
  while (auto one = StandingRegistration::make(table)) all.push_back(std::move(one));
  CHECK(all.size() == StandingDescriptors::kMax);
  all.pop_back();
  CHECK(StandingRegistration::make(table) != nullptr);
}

namespace {

// A server whose "/ask" gives back what the peer answers.
struct Asking {
  explicit Asking(const LoopbackServer& peer) : Asking(peer, nullptr) {}
  // With the upstream, and so the pooled sockets, of another server.
  Asking(const LoopbackServer& peer, std::shared_ptr<http::HttpUpstream> shared)
      : clock(make_system_clock()),
        upstream(shared ? shared : http::make_http_upstream({}, *clock)),
        server({route(http::Method::kGet, "/ask",
                      [this, url = peer.url()](http::Request&) -> Result<http::Response> {
                        http::UpstreamRequest asked;
                        asked.url = url;
                        asked.deadline_ms = 20'000;
                        asked.allow_private_addresses = true;
                        auto answer = KVCS_TRY(upstream->open(asked));
                        return http::text_response(200, KVCS_TRY(answer->read_all(http::mib(4))));
                      })},
               TestServer::quiet_config()) {}
  RawResponse ask() { return fetch(server.port(), "GET", "/ask"); }

  std::unique_ptr<Clock> clock;
  std::shared_ptr<http::HttpUpstream> upstream;
  TestServer server;  // Last: its requests use the others.
};

std::string with_length(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("standing: an answer in single bytes arrives whole, on new and on pooled sockets",
          "[unit][http]") {
  LoopbackServer peer([](LoopbackPeer& client) {
    while (client.read_request()) {
      for (const char c : with_length("in pieces")) {
        if (!client.send({&c, 1})) return;
      }
    }
  });
  Asking asking(peer);
  for (int i = 0; i < 5; i++) CHECK(asking.ask().body == "in pieces");
  CHECK(peer.accepted_count() == 1);
}

TEST_CASE("standing: a head that comes at once and needs several reads is read to its end",
          "[unit][http]") {
  LoopbackServer peer([](LoopbackPeer& client) {
    while (client.read_request()) {
      std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n";
      for (int i = 0; i < 20; i++) answer += "x-long: " + std::string(1000, 'x') + "\r\n";
      if (!client.send(answer + "\r\nhead")) return;
    }
  });
  Asking asking(peer);
  for (int i = 0; i < 3; i++) CHECK(asking.ask().body == "head");
  CHECK(peer.accepted_count() == 1);
}

TEST_CASE("standing: long bodies and short answers follow one another on one socket",
          "[unit][http]") {
  const std::string long_body(1 << 20, 'l');
  LoopbackServer peer([&](LoopbackPeer& client) {
    for (int i = 0; client.read_request(); i++) {
      if (!client.send(with_length(i % 2 == 0 ? long_body : "short"))) return;
    }
  });
  Asking asking(peer);
  for (int i = 0; i < 3; i++) {
    CHECK(asking.ask().body == long_body);
    CHECK(asking.ask().body == "short");
  }
  CHECK(peer.accepted_count() == 1);
}

TEST_CASE("standing: bytes behind an answer are never the answer to the next request",
          "[unit][http]") {
  // The body fills the read that takes it, so that the rest stays in the socket.
  const std::string body(100'000, 'b');
  LoopbackServer peer([&](LoopbackPeer& client) {
    while (client.read_request()) {
      if (!client.send(with_length(body) + with_length("of another"))) return;
    }
  });
  Asking asking(peer);
  for (int i = 0; i < 5; i++) CHECK(asking.ask().body == body);
}

TEST_CASE("standing: a peer that closes after each answer is asked on a new socket",
          "[unit][http]") {
  LoopbackServer peer([](LoopbackPeer& client) {
    if (client.read_request()) client.answer("once");
  });
  Asking asking(peer);
  for (int i = 0; i < 20; i++) {
    const RawResponse response = asking.ask();
    CHECK(response.status == 200);
    CHECK(response.body == "once");
  }
}

TEST_CASE("standing: two servers take turns with the sockets of one pool", "[unit][http]") {
  LoopbackServer peer(answer_always("shared"));
  auto first = std::make_unique<Asking>(peer);
  Asking second(peer, first->upstream);
  for (int i = 0; i < 3; i++) {
    CHECK(first->ask().body == "shared");
    CHECK(second.ask().body == "shared");
  }
  CHECK(peer.accepted_count() == 1);
}

TEST_CASE("standing: a pooled socket outlives the server that it was registered with",
          "[unit][http]") {
  LoopbackServer peer(answer_always("shared"));
  auto first = std::make_unique<Asking>(peer);
  const std::shared_ptr<http::HttpUpstream> upstream = first->upstream;
  const std::unique_ptr<Clock> clock = std::move(first->clock);
  CHECK(first->ask().body == "shared");
  first.reset();
  Asking second(peer, upstream);
  CHECK(second.ask().body == "shared");
  CHECK(peer.accepted_count() == 1);
}
