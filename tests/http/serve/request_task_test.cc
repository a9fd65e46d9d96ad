// Requests that wait for another server or for an event: without a thread, to their deadline, until
// the client leaves, until the server stops.
#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"
#include "base/wait.h"
#include "http/client/upstream.h"
#include "support/loopback_server.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_server.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// A provider that answers once `wanted` requests wait for it at the same time.
class Gathering final {
 public:
  explicit Gathering(int wanted, const std::string& certificate = {}, const std::string& key = {})
      : wanted_(wanted), server_([this](LoopbackPeer& peer) { behave(peer); }, certificate, key) {}
  ~Gathering() { open(); }
  std::string url() const { return server_.url(); }
  LoopbackServer& server() { return server_; }
  // False after ten seconds.
  bool wait_for(int count) {
    MutexLock lock(mutex_);
    while (here_ < count) {
      if (!changed_.wait_for_ms(mutex_, 10'000)) return false;
    }
    return true;
  }
  void open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  void behave(LoopbackPeer& peer) {
    while (peer.read_request()) {
      {
        MutexLock lock(mutex_);
        here_++;
        changed_.notify_all();
        while (here_ < wanted_ && !open_) changed_.wait(mutex_);
      }
      if (!peer.answer("met")) return;
    }
  }

  const int wanted_;
  Mutex mutex_;
  CondVar changed_;
  int here_ KVCS_GUARDED_BY(mutex_) = 0;
  bool open_ KVCS_GUARDED_BY(mutex_) = false;
  LoopbackServer server_;  // Last: its threads use the others.
};

// A server whose "/ask" passes on what the upstream answers.
struct Proxy {
  explicit Proxy(const std::string& target, http::ServerConfig config = small(),
                 int deadline_ms = 30'000, const std::string& ca_file = {})
      : clock(make_system_clock()),
        upstream(http::make_http_upstream({.ca_file = ca_file}, *clock)),
        server({route(http::Method::kGet, "/ask",
                      [this, target, deadline_ms](http::Request&) -> Result<http::Response> {
                        http::UpstreamRequest asked;
                        asked.url = target;
                        asked.stop_if_client_leaves = true;
                        asked.deadline_ms = deadline_ms;
                        asked.allow_private_addresses = true;
                        auto opened = upstream->open(asked);
                        if (!opened.ok()) last_reason(opened.status());
                        auto answer = KVCS_TRY(std::move(opened));
                        return http::text_response(200, KVCS_TRY(answer->read_all(http::kib(64))));
                      }),
                route(http::Method::kGet, "/hello",
                      [](http::Request&) -> Result<http::Response> {
                        return http::text_response(200, "hello");
                      })},
               config) {}
  static http::ServerConfig small() {
    http::ServerConfig config = TestServer::quiet_config();
    config.workers_min = 2;
    config.workers_max = 3;
    return config;
  }
  void last_reason(const Status& status) {
    MutexLock lock(mutex);
    reason = status.reason();
  }
  std::string last_reason() {
    MutexLock lock(mutex);
    return reason;
  }

  Mutex mutex;
  std::string reason KVCS_GUARDED_BY(mutex);
  std::unique_ptr<Clock> clock;
  std::unique_ptr<http::HttpUpstream> upstream;
  TestServer server;  // Last: its requests use the others.
};

bool ask(RawClient& client) {
  return client.send("GET /ask HTTP/1.1\r\nHost: h\r\n\r\n");
}

}  // namespace

TEST_CASE("serving: a hundred requests wait at once with three workers", "[unit][http]") {
  constexpr int kCount = 100;
  Gathering provider(kCount);
  Proxy proxy(provider.url());
  for (int round = 0; round < 2; round++) {  // The second time on pooled connections.
    std::vector<RawClient> clients;
    for (int i = 0; i < kCount; i++) {
      clients.emplace_back(proxy.server.port());
      REQUIRE(ask(clients.back()));
    }
    // Others are served meanwhile.
    CHECK(fetch(proxy.server.port(), "GET", "/hello").body == "hello");
    for (auto& client : clients) {
      const RawResponse response = client.read_response();
      CHECK(response.status == 200);
      CHECK(response.body == "met");
    }
  }
  CHECK(proxy.server.server().stats().workers <= 3);
}

TEST_CASE("serving: requests to a provider behind TLS wait without a thread too", "[unit][http]") {
  constexpr int kCount = 30;
  TempDir dir;
  const std::string certificate = dir.file("cert.pem"), key = dir.file("key.pem");
  make_self_signed(certificate, key);
  Gathering provider(kCount, certificate, key);
  Proxy proxy("https://localhost:" + std::to_string(provider.server().port()) + "/", Proxy::small(),
              30'000, certificate);
  for (int round = 0; round < 2; round++) {
    std::vector<RawClient> clients;
    for (int i = 0; i < kCount; i++) {
      clients.emplace_back(proxy.server.port());
      REQUIRE(ask(clients.back()));
    }
    for (auto& client : clients) CHECK(client.read_response().body == "met");
  }
  CHECK(proxy.last_reason().empty());
}

TEST_CASE("serving: each waiting request ends at its own deadline", "[fault][http]") {
  Gathering provider(1000);
  Proxy proxy(provider.url(), Proxy::small(), 40);
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; i++) {
    clients.emplace_back(proxy.server.port());
    REQUIRE(ask(clients.back()));
  }
  for (auto& client : clients) CHECK(client.read_response().status == 504);
  CHECK(proxy.last_reason() == "deadline");
}

TEST_CASE("serving: a client that leaves ends the wait at once", "[fault][http]") {
  Gathering provider(1000);
  Proxy proxy(provider.url());
  for (const bool with_reset : {false, true}) {
    RawClient client(proxy.server.port());
    REQUIRE(ask(client));
    REQUIRE(provider.wait_for(with_reset ? 2 : 1));
    // What it pipelines meanwhile is no reason to stop, its leaving is.
    if (!with_reset) client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    if (with_reset) client.reset();
    { RawClient gone(std::move(client)); }
  }
  provider.open();
  CHECK(provider.server().wait_client_closed_count(2));
  CHECK(proxy.last_reason() == "client_gone");
}

TEST_CASE("serving: a client that pipelines gets both answers in order", "[unit][http]") {
  Gathering provider(2);
  Proxy proxy(provider.url());
  RawClient client(proxy.server.port());
  REQUIRE(ask(client));
  REQUIRE(provider.wait_for(1));
  REQUIRE(client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
  RawClient other(proxy.server.port());
  REQUIRE(ask(other));
  CHECK(client.read_response().body == "met");
  CHECK(client.read_response().body == "hello");
  CHECK(other.read_response().body == "met");
}

TEST_CASE("serving: a server that stops ends the waits that are left", "[fault][http]") {
  Gathering provider(1000);
  Proxy proxy(provider.url());
  std::vector<RawClient> clients;
  for (int i = 0; i < 10; i++) {
    clients.emplace_back(proxy.server.port());
    REQUIRE(ask(clients.back()));
  }
  REQUIRE(provider.wait_for(10));
  proxy.server.server().stop(0);
  for (auto& client : clients) CHECK(client.read_response().status != 200);
  CHECK(proxy.server.server().stats().connections == 0);
}

TEST_CASE("serving: a request that waits is let to its end by a server that stops",
          "[unit][http]") {
  Gathering provider(2);
  Proxy proxy(provider.url());
  RawClient client(proxy.server.port());
  REQUIRE(ask(client));
  REQUIRE(provider.wait_for(1));
  Thread stopper("stopper", [&] { proxy.server.server().stop(10'000); });
  provider.open();
  CHECK(client.read_response().body == "met");
  stopper.join();
}

namespace {

// A server whose "/event" waits for one event, in the handler; "/stream" waits for it behind the
// head of its answer. The waits end at `limit_ms`.
struct EventServer {
  explicit EventServer(http::ServerConfig config = Proxy::small(), int limit_ms = 30'000)
      : server({route(http::Method::kGet, "/event",
                      [this, limit_ms](http::Request&) -> Result<http::Response> {
                        KVCS_TRY(wait_for(limit_ms));
                        return http::text_response(200, "signalled");
                      }),
                route(http::Method::kGet, "/stream",
                      [this, limit_ms](http::Request&) -> Result<http::Response> {
                        http::Response response;
                        response.stream = [this, limit_ms](http::BodyWriter& out) -> Status {
                          KVCS_TRY(wait_for(limit_ms));
                          return out.write("signalled");
                        };
                        return response;
                      })},
               config) {}
  Status wait_for(int limit_ms) {
    here++;
    const Waiter::Woken woken = wait_for_event(event, 0, limit_ms);
    if (woken == Waiter::Woken::kClientGone) gone++;
    if (woken == Waiter::Woken::kClientGone) return client_gone();
    return woken == Waiter::Woken::kReady ? ok() : timed_out("no signal");
  }
  std::vector<RawClient> clients(int count, const std::string& path = "/event") {
    std::vector<RawClient> all;
    for (int i = 0; i < count; i++) {
      all.emplace_back(server.port());
      REQUIRE(all.back().send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    return all;
  }
  http::Server::Stats stats() { return server.server().stats(); }

  std::atomic<int> here = 0, gone = 0;
  Event event;
  TestServer server;  // Last: its requests use the others.
};

}  // namespace

TEST_CASE("serving: three hundred requests wait for one event with three workers", "[unit][http]") {
  constexpr int kCount = 300;
  EventServer waits;
  auto clients = waits.clients(kCount);
  wait_until([&] { return waits.stats().parked_requests == kCount; }, "all are parked");
  CHECK(waits.stats().workers <= 3);
  waits.event.signal();
  for (auto& client : clients) CHECK(client.read_response().body == "signalled");
  CHECK(waits.stats().workers <= 3);
  CHECK(waits.stats().parked_requests == 0);
  CHECK(waits.stats().blocked_waits == 0);
  // The event's count has left 0 for good.
  CHECK(fetch(waits.server.port(), "GET", "/event").body == "signalled");
}

TEST_CASE("serving: requests wake whether the signal comes before, while or after they park",
          "[unit][http]") {
  for (int round = 0; round < 20; round++) {
    EventServer waits;
    auto clients = waits.clients(8);
    wait_until([&] { return waits.here > round % 8; }, "some have begun to wait");
    waits.event.signal();
    for (auto& client : clients) REQUIRE(client.read_response().body == "signalled");
  }
}

TEST_CASE("serving: a wait for an event ends at its time, with the client, and with the server",
          "[fault][http]") {
  {
    EventServer waits(Proxy::small(), 40);
    auto clients = waits.clients(20);
    for (auto& client : clients) CHECK(client.read_response().status == 504);
  }
  EventServer waits;
  auto clients = waits.clients(3);
  wait_until([&] { return waits.stats().parked_requests == 3; }, "all are parked");
  { const RawClient leaves(std::move(clients.back())); }
  clients.pop_back();
  wait_until([&] { return waits.gone == 1; }, "the wait of the client that left has ended");
  CHECK(waits.stats().parked_requests == 2);
  waits.server.server().stop(0);
  for (auto& client : clients) CHECK(client.read_response().status != 200);
  CHECK(waits.gone == 3);
}
