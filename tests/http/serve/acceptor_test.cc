// The accept loop: what each error of accept(2) does to it, by an accept call of the test's own,
// and what clients and the daemon see of it.
#include "http/serve/acceptor.h"

#include <catch2/catch.hpp>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <deque>

#include "base/log.h"
#include "base/mutex.h"
#include "http/serve/listening_socket.h"
#include "support/command.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_server.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// An acceptor whose accept call returns what the test has planned, then connections that are none.
class Rig final {
 public:
  explicit Rig(std::deque<int> errors, bool has_room = false)
      : errors_(std::move(errors)),
        has_room_(has_room),
        acceptor_({[this](int socket, const sockaddr_storage&) {
                     ::close(socket);
                     taken_++;
                   },
                   [this] {
                     room_asked_++;
                     return has_room_;
                   },
                   [this](const Status& why) {
                     const MutexLock lock(mutex_);
                     fatal_ = why;
                   },
                   [this](int, sockaddr*, socklen_t*) { return accept(); }}) {
    log::set_sink([this](std::string_view line) {
      const MutexLock lock(mutex_);
      log_ += line;
    });
    auto socket = http::listen_at("127.0.0.1", 0);
    REQUIRE(socket.ok());
    REQUIRE(acceptor_.start({socket->descriptor}).ok());
  }
  ~Rig() {
    acceptor_.stop();
    log::set_sink(nullptr);
  }
  int taken() const { return taken_; }
  int room_asked() const { return room_asked_; }
  Status fatal() {
    const MutexLock lock(mutex_);
    return fatal_;
  }
  int lines(std::string_view text) {
    const MutexLock lock(mutex_);
    int count = 0;
    for (size_t at = 0; (at = log_.find(text, at)) != log_.npos; at++) count++;
    return count;
  }

 private:
  // One connection follows the errors; then none waits.
  int accept() {
    const MutexLock lock(mutex_);
    if (!errors_.empty()) {
      errno = errors_.front();
      errors_.pop_front();
      return -1;
    }
    if (!std::exchange(connected_, true)) return ::eventfd(0, 0);
    errno = EAGAIN;
    return -1;
  }

  Mutex mutex_;
  std::deque<int> errors_ KVCS_GUARDED_BY(mutex_);
  bool connected_ KVCS_GUARDED_BY(mutex_) = false;
  Status fatal_ KVCS_GUARDED_BY(mutex_);
  std::string log_ KVCS_GUARDED_BY(mutex_);
  const bool has_room_;
  std::atomic<int> taken_{0}, room_asked_{0};
  http::Acceptor acceptor_;
};

Result<http::Response> hello(http::Request&) {
  return http::text_response(200, "hello");
}

}  // namespace

TEST_CASE("acceptor: an error of one connection is passed over", "[fault][http]") {
  const int error = GENERATE(EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
                             EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT, EPERM);
  INFO(std::strerror(error));
  Rig rig({error, error});
  wait_until([&] { return rig.taken() == 1; }, "the connection behind it is taken");
  CHECK(rig.fatal().ok());
  CHECK(rig.room_asked() == 0);
  CHECK(rig.lines("http.accept_failed") == (error == EINTR ? 0 : 1));
}

TEST_CASE("acceptor: without descriptors or memory it makes room, or pauses and goes on",
          "[fault][http]") {
  const int error = GENERATE(EMFILE, ENFILE, ENOBUFS, ENOMEM);
  const bool has_room = GENERATE(true, false);
  INFO(std::strerror(error));
  Rig rig({error, error, error}, has_room);
  wait_until([&] { return rig.taken() == 1; }, "the connection behind it is taken");
  CHECK(rig.room_asked() == 3);
  CHECK(rig.fatal().ok());
  CHECK(rig.lines("http.accept_failed") == 1);
  CHECK(rig.lines(std::strerror(error)) == 1);
}

TEST_CASE("acceptor: errors without end neither spin nor keep a stop waiting", "[fault][http]") {
  const Rig rig(std::deque<int>(1'000'000, GENERATE(ECONNABORTED, EMFILE)));
  CHECK(rig.taken() == 0);
}

TEST_CASE("acceptor: a listening socket that is gone ends the loop and tells its owner",
          "[fault][http]") {
  const int error = GENERATE(EBADF, EINVAL, ENOTSOCK, EFAULT);
  Rig rig({ECONNABORTED, error});
  wait_until([&] { return !rig.fatal().ok(); }, "the owner is told");
  CHECK(rig.taken() == 0);
  CHECK(rig.fatal().to_string().find(std::strerror(error)) != std::string::npos);
  CHECK(rig.lines("http.accept_ended") == 1);
}

TEST_CASE("acceptor: a frequent fault is a line at first, then one a minute with a count",
          "[unit][http]") {
  http::RareLines lines;
  CHECK(lines.due(5) == 1);
  for (int64_t at_ms : {6, 1000, 60'004}) CHECK(lines.due(at_ms) == 0);
  CHECK(lines.due(60'005) == 4);
  CHECK(lines.due(60'006) == 0);
}

TEST_CASE("acceptor: addresses that cannot be listened at are named", "[unit][http]") {
  CHECK(http::listen_at("no-such-host.invalid", 80)
            .status()
            .message()
            .find("no-such-host.invalid:80") != std::string::npos);
  const auto foreign = http::listen_at("192.0.2.1", 0);
  CHECK(foreign.status().to_string().find("192.0.2.1:0") != std::string::npos);
  const auto six = http::listen_at("::1", 0);
  REQUIRE(six.ok());
  CHECK(http::listen_at("::1", six->port).code() == Code::kConflict);
  ::close(six->descriptor);
}

TEST_CASE("acceptor: the longest idle connections make room for new ones", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.connections_max = 10;
  TestServer server({route(http::Method::kGet, "/hello", hello)}, config);
  std::vector<RawClient> clients;
  for (int i = 0; i < 12; i++) {
    clients.emplace_back(server.port());
    REQUIRE(clients.back().request("GET", "/hello").status == 200);
  }
  // Which two is told by their age, as far as the clock's steps tell one.
  int closed = 0;
  for (RawClient& client : clients) closed += client.request("GET", "/hello").status == 0;
  CHECK(closed == 2);
  CHECK(clients.back().request("GET", "/hello").status == 200);
  CHECK(server.server().stats().given_up_connections == 2);
  CHECK(server.server().stats().refused_connections == 0);
}

TEST_CASE("serve: a daemon that can accept no more ends with an error", "[e2e]") {
  TempDir dir;
  const CommandRun run =
      run_line(dir.path(), "serve --data-dir data --listen 127.0.0.1:0",
               {{.number = SYS_accept4, .argument = 1, .at_least = 0, .error = EBADF}});
  INFO(run.error);
  CHECK(run.code == 1);
  CHECK(run.error.find("http.accept_ended") != std::string::npos);
  CHECK(run.error.find("server.failed") != std::string::npos);
  CHECK(run.error.find(std::strerror(EBADF)) != std::string::npos);
}
