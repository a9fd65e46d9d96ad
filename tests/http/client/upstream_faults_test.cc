// Goal: every failure that upstream.h names happens as it says, for both engines: a broken or
// hostile server, a client that leaves, time running out, requests that must not be sent.
#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "base/thread.h"
#include "base/wait.h"
#include "http/client/upstream_clients.h"
#include "support/loopback_server.h"

namespace kvcs::http {
namespace {

using test::LoopbackPeer;
using test::LoopbackServer;

std::string any_engine() {
  return GENERATE(values<std::string>({"curl", "plain"}));
}

// A server that reads one request, sends `bytes` and closes.
LoopbackServer::Behaviour sends(std::string bytes) {
  return [bytes = std::move(bytes)](LoopbackPeer& peer) {
    if (peer.read_request()) peer.send(bytes);
  };
}

Status failure_of(TestClient& client, const UpstreamRequest& request) {
  auto response = client.open(request);
  if (!response.ok()) return response.status();
  auto body = (*response)->read_all(1 << 20);
  if (body.ok()) return ok();
  char more[1];
  CHECK((*response)->read(more).code() == body.code());  // A failure is final.
  return body.status();
}

struct SocketPair {
  SocketPair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0); }
  ~SocketPair() {
    ::close(ends[0]);
    if (ends[1] >= 0) ::close(ends[1]);
  }
  void leave() {
    ::close(ends[1]);
    ends[1] = -1;
  }
  int ends[2];
};

}  // namespace

TEST_CASE("upstream: broken answers are failures of the upstream", "[fault][http][upstream]") {
  struct Row {
    const char* name;
    std::string sent;
    const char* reason;
  };
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::vector<Row> rows = {
      {"nothing at all", "", "truncated"},
      {"half a head", "HTTP/1.1 200 OK\r\nContent-", "truncated"},
      {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "not_http"},
      {"garbage status", "HTTP/1.1 2x0 OK\r\n\r\n", "not_http"},
      {"status out of range", "HTTP/1.1 999 What\r\n\r\n", "not_http"},
      {"a header without colon", head + "nonsense\r\n\r\n", "not_http"},
      {"a header name with a space", head + "X Y: 1\r\nContent-Length: 0\r\n\r\n", "not_http"},
      {"an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "not_http"},
      {"a huge header", head + "X: " + std::string(70'000, 'h') + "\r\n\r\n", "not_http"},
      {"less than the length", head + "Content-Length: 10\r\n\r\nfour", "truncated"},
      {"chunks without end", head + "Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n", "truncated"},
      {"half a chunk", head + "Transfer-Encoding: chunked\r\n\r\nff\r\nfour", "truncated"},
      {"a chunk size that is none", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "truncated"},
  };
  const std::string engine = any_engine();
  for (const auto& row : rows) {
    INFO(engine << ": " << row.name);
    LoopbackServer server(sends(row.sent));
    TestClient client(engine);
    const Status failed = failure_of(client, request_to(server.url("/path?secret=s3cr3t")));
    CHECK(failed.code() == Code::kUpstream);
    CHECK(failed.reason() == row.reason);
    CHECK_FALSE(surely_not_sent(failed));
    CHECK(failed.to_string().find("s3cr3t") == std::string::npos);
    // The operator's log names the server, the callers' message does not.
    CHECK(failed.cause().starts_with("127.0.0.1:" + std::to_string(server.port())));
    CHECK(failed.message().find("127.0.0.1") == std::string::npos);
    CHECK(failed.message().find(std::to_string(server.port())) == std::string::npos);
  }
}

TEST_CASE("upstream: the plain engine refuses what parsers could read in two ways",
          "[fault][http][upstream]") {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  for (const std::string& sent :
       std::vector<std::string>{head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                                head + "Content-Length: +1\r\n\r\na",
                                head + "Content-Length: 99999999999999999999\r\n\r\n",
                                head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                                head + "X: 1\r\n folded: 2\r\nContent-Length: 0\r\n\r\n",
                                "HTTP/1.1 200 OK\nX: 1\r\nContent-Length: 0\r\n\r\n",
                                head + "Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n"}) {
    INFO(sent);
    LoopbackServer server(sends(sent));
    TestClient client("plain");
    CHECK(failure_of(client, request_to(server.url())).code() == Code::kUpstream);
  }
}

TEST_CASE("upstream: a reset in the middle of a body is a failure after the bytes before it",
          "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  LoopbackServer server([](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    peer.reset();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  });
  TestClient client(engine);
  const Status failed = failure_of(client, request_to(server.url()));
  CHECK(failed.code() == Code::kUpstream);
  CHECK(failed.reason() == "truncated");
}

TEST_CASE("upstream: bytes that drip in are put together", "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  LoopbackServer server([](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    const std::string all =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
        "3;ext\r\nabc\r\n1\r\nd\r\n0\r\nT: t\r\n\r\n";
    for (const char c : all) peer.send(std::string_view(&c, 1));
    peer.wait_closed();
  });
  TestClient client(engine);
  auto response = client.open(request_to(server.url()));
  REQUIRE(response.ok());
  CHECK((*response)->header("x") == "y");
  CHECK((*response)->read_all(100).value() == "abcd");
}

TEST_CASE("upstream: nobody listening is told apart from silence", "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  int port = 0;
  { port = LoopbackServer(test::answer_always("")).port(); }
  TestClient client(engine);
  const Status refused =
      failure_of(client, request_to("http://127.0.0.1:" + std::to_string(port) + "/"));
  CHECK(refused.code() == Code::kUpstream);
  CHECK(refused.reason() == "connect_failed");
  CHECK(surely_not_sent(refused));
  CHECK(refused.message().find("refused") != std::string::npos);
}

TEST_CASE("upstream: a name that does not resolve says so", "[fault][http][upstream]") {
  TestClient client("curl");
  UpstreamRequest request = request_to("http://no-such-host.invalid/");
  const Status failed = failure_of(client, request);
  CHECK(failed.code() == Code::kUpstream);
  CHECK(failed.reason() == "dns_failed");
  CHECK(surely_not_sent(failed));
}

TEST_CASE("upstream: deadline and idle time end a silent exchange", "[fault][http][upstream]") {
  const std::string engine = any_engine();
  const bool head_first = GENERATE(false, true);
  INFO(engine << (head_first ? ", in the body" : ", before the head"));
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    if (head_first) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
    peer.wait_closed();
  });
  TestClient client(engine);
  UpstreamRequest request = request_to(server.url());
  request.deadline_ms = 60;
  Status failed = failure_of(client, request);
  CHECK(failed.code() == Code::kTimeout);
  CHECK(failed.reason() == "deadline");
  request.deadline_ms = 0;
  request.idle_timeout_ms = 60;
  failed = failure_of(client, request);
  CHECK(failed.code() == Code::kTimeout);
  CHECK(failed.reason() == "idle");
  CHECK_FALSE(surely_not_sent(failed));
  CHECK(server.wait_client_closed_count(2));  // Cancelled, not abandoned.
}

TEST_CASE("upstream: an endless stream ends at the deadline", "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer.send_chunk(std::string(8000, 'e'))) {
    }
  });
  TestClient client(engine);
  UpstreamRequest request = request_to(server.url());
  request.deadline_ms = 100;
  auto response = client.open(request);
  REQUIRE(response.ok());
  std::vector<char> block(16 << 10);
  Status failed;
  while (failed.ok()) {
    auto n = (*response)->read(block);
    if (!n.ok())
      failed = n.status();
    else
      REQUIRE(*n > 0);
  }
  CHECK(failed.reason() == "deadline");
}

TEST_CASE("upstream: a full accept queue is a connect timeout", "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  // A listener that never accepts, with its queue filled.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(listener, any, size) == 0);
  REQUIRE(::listen(listener, 0) == 0);
  REQUIRE(::getsockname(listener, any, &size) == 0);
  std::vector<int> fillers;
  for (int i = 0; i < 4; i++) {
    fillers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(fillers.back(), any, size);
  }
  TestClient client(engine);
  UpstreamRequest request =
      request_to("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/");
  const auto fails_unsent = [&](Code code, std::string_view reason) {
    const Status failed = failure_of(client, request);
    CHECK(failed.code() == code);
    CHECK(failed.reason() == reason);
    CHECK(surely_not_sent(failed));
  };
  request.connect_timeout_ms = 80;
  fails_unsent(Code::kTimeout, "connect_timeout");
  // Whatever ends the wait for a connection, nothing has left.
  request.connect_timeout_ms = 5'000;
  request.deadline_ms = 80;
  fails_unsent(Code::kTimeout, "connect_timeout");
  request.deadline_ms = 5'000;
  request.idle_timeout_ms = 80;
  fails_unsent(Code::kTimeout, "connect_timeout");
  request.idle_timeout_ms = 5'000;
  request.stop_if_client_leaves = true;
  SocketPair client_socket;
  ThreadWaiter waiter(client_socket.ends[0]);
  const WaiterScope scope(waiter);
  client_socket.leave();
  fails_unsent(Code::kUnavailable, "client_gone_unsent");
  request.after_client_left_ms = 5'000;  // Not for what costs nobody anything.
  request.connect_timeout_ms = 10'000;
  fails_unsent(Code::kUnavailable, "client_gone_unsent");
  for (const int filler : fillers) ::close(filler);
  ::close(listener);
}

TEST_CASE("upstream: a client that leaves cancels within a second and the upstream sees it",
          "[fault][http][upstream]") {
  const std::string engine = any_engine();
  const bool head_first = GENERATE(false, true);
  const bool pipelined = GENERATE(false, true);
  INFO(engine << (head_first ? ", in the body" : ", before the head")
              << (pipelined ? ", with bytes waiting" : ""));
  SocketPair client_socket;
  Mutex mutex;
  CondVar changed;
  bool asked = false;
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    if (head_first) peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    {
      MutexLock lock(mutex);
      asked = true;
      changed.notify_all();
    }
    peer.wait_closed();
  });
  TestClient client(engine);
  UpstreamRequest request = request_to(server.url());
  ThreadWaiter waiter(client_socket.ends[0]);
  const WaiterScope scope(waiter);
  request.stop_if_client_leaves = true;
  if (pipelined) REQUIRE(::write(client_socket.ends[1], "GET", 3) == 3);
  std::chrono::steady_clock::time_point left_at;
  Thread leaver("test-leaver", [&] {
    {
      MutexLock lock(mutex);
      while (!asked) changed.wait(mutex);
    }
    left_at = std::chrono::steady_clock::now();
    client_socket.leave();
  });
  const Status failed = failure_of(client, request);
  const auto ended_at = std::chrono::steady_clock::now();
  leaver.join();
  CHECK(failed.code() == Code::kUnavailable);
  CHECK(failed.reason() == "client_gone");
  CHECK(client_left(failed));
  CHECK_FALSE(surely_not_sent(failed));
  CHECK(server.wait_client_closed_count(1));
  CHECK(ended_at - left_at < std::chrono::seconds(1));
}

namespace {

// A client that leaves as soon as the server has its request; the exchange waits for both.
struct LeavingClient {
  LeavingClient() : waiter(socket.ends[0]), scope(waiter) {}
  UpstreamRequest request(const LoopbackServer& server) const {
    UpstreamRequest request = request_to(server.url());
    request.method = "POST";
    request.stop_if_client_leaves = true;
    request.after_client_left_ms = 5'000;
    return request;
  }
  SocketPair socket;
  ThreadWaiter waiter;
  const WaiterScope scope;
};

}  // namespace

TEST_CASE("upstream: an exchange may outlive its client and says that it did",
          "[fault][http][upstream]") {
  const std::string engine = any_engine();
  const bool head_first = GENERATE(false, true);
  INFO(engine << (head_first ? ", in the body" : ", before the head"));
  LeavingClient leaving;
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    if (head_first) peer.send(head + "us");
    leaving.socket.leave();
    peer.send(head_first ? "age" : head + "usage");
    peer.wait_closed();
  });
  TestClient client(engine);
  auto response = client.open(leaving.request(server));
  REQUIRE(response.ok());
  const auto body = (*response)->read_all(100);
  REQUIRE(body.ok());
  CHECK(*body == "usage");
  // The plain engine waits before each read, so that it has seen the client leave.
  if (engine == "plain") CHECK((*response)->client_left());
}

TEST_CASE("upstream: an exchange outlives its client for the time that it was given",
          "[fault][http][upstream]") {
  const std::string engine = any_engine();
  const bool head_first = GENERATE(false, true);
  INFO(engine << (head_first ? ", in the body" : ", before the head"));
  LeavingClient leaving;
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    if (head_first) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nus");
    leaving.socket.leave();
    peer.wait_closed();
  });
  TestClient client(engine);
  UpstreamRequest request = leaving.request(server);
  request.after_client_left_ms = 60;
  const Status failed = failure_of(client, request);
  CHECK(failed.code() == Code::kUnavailable);
  CHECK(failed.reason() == "client_gone");
  CHECK(failed.cause().find("60 ms after the client left") != std::string::npos);
  CHECK(server.wait_client_closed_count(1));
}

TEST_CASE("upstream: a failure after the client left keeps that reason",
          "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  std::atomic<bool> noted{false};
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nus");
    noted.wait(false);
  });
  TestClient client(engine);
  const LeavingClient leaving;
  auto response = client.open(leaving.request(server));
  if (response.ok()) (*response)->note_client_left();
  noted = true;
  noted.notify_all();
  REQUIRE(response.ok());
  const Status failed = (*response)->read_all(100).status();
  CHECK(failed.reason() == "client_gone");
  CHECK(failed.cause().find("broke off its response") != std::string::npos);
}

TEST_CASE("upstream: what is read after the client left is bounded", "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  const std::string block(10'000, 'e');
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer.send_chunk(block)) {
    }
    peer.wait_closed();
  });
  TestClient client(engine);
  LeavingClient leaving;
  UpstreamRequest request = leaving.request(server);
  request.after_client_left_bytes = 100'000;
  auto response = client.open(request);
  REQUIRE(response.ok());
  std::vector<char> part(1000);
  for (int i = 0; i < 200; i++) REQUIRE((*response)->read(part).ok());
  CHECK_FALSE((*response)->client_left());
  (*response)->note_client_left();  // As of a write to the client that failed.
  CHECK((*response)->client_left());
  const auto rest = (*response)->read_all(1 << 20);
  CHECK(rest.status().reason() == "client_gone");
  CHECK(rest.status().cause().find("too much") != std::string::npos);
  CHECK((*response)->read(part).status().reason() == "client_gone");

  // Without the time the next read is the last.
  request.after_client_left_ms = 0;
  response = client.open(request);
  REQUIRE(response.ok());
  (*response)->note_client_left();
  CHECK((*response)->read(part).status().reason() == "client_gone");
  CHECK(server.wait_client_closed_count(2));
}

TEST_CASE("upstream: a response dropped before its end closes the upstream's connection",
          "[fault][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    peer.wait_closed();
  });
  TestClient client(engine);
  auto response = client.open(request_to(server.url()));
  REQUIRE(response.ok());
  response.value().reset();
  CHECK(server.wait_client_closed_count(1));
}

}  // namespace kvcs::http
