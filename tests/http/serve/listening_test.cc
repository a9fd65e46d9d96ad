// The addresses that a server listens at: several at once, socket files, and those of systemd.
#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "http/serve/listening_socket.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Asks at a socket file; "" when nobody is there.
std::string ask_at_file(const std::string& path) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  std::string answer;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    constexpr std::string_view kAsk = "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    (void)::send(socket, kAsk.data(), kAsk.size(), MSG_NOSIGNAL);
    char bytes[4096];
    ssize_t n;
    while ((n = ::recv(socket, bytes, sizeof bytes, 0)) > 0) {
      answer.append(bytes, static_cast<size_t>(n));
    }
  }
  ::close(socket);
  return answer;
}

std::vector<http::Route> who() {
  return {route(http::Method::kGet, "/who", [](http::Request& request) -> Result<http::Response> {
    return http::text_response(200, "you are '" + request.remote_ip + "'");
  })};
}

}  // namespace

TEST_CASE("listening: a name is listened to at all of its addresses, by one port", "[unit][http]") {
  const auto all = http::listen_at_all("localhost", 0);
  INFO(all.status().to_string());
  REQUIRE(all.ok());
  REQUIRE_FALSE(all->empty());
  bool v4 = false;
  for (const http::ListeningSocket& socket : *all) {
    CHECK(socket.port == all->front().port);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(socket.descriptor, reinterpret_cast<sockaddr*>(&bound), &size);
    v4 = v4 || bound.ss_family == AF_INET;
  }
  CHECK(v4);
  // One that is taken is told; none stays open then.
  CHECK(http::listen_at_all("localhost", all->front().port).code() == Code::kConflict);
  for (const http::ListeningSocket& socket : *all) ::close(socket.descriptor);
  CHECK(http::listen_at_all("127.0.0.1", 0)->size() == 1);
  CHECK(http::listen_at_all("no.such.host.invalid", 0).code() == Code::kInvalid);
  http::ServerConfig config = TestServer::quiet_config();
  config.listen_host = "localhost";
  TestServer server(who(), config);
  RawClient client(server.port());
  client.send("GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.read_response().status == 200);
}

TEST_CASE("listening: several addresses, each with its own kind of client", "[unit][http]") {
  TempDir dir;
  const std::string path = dir.file("k.sock");
  http::ServerConfig config = TestServer::quiet_config();
  config.connections_max = 2;
  config.connections_address_percent = 50;
  config.listen_more = {"[::1]:0", "unix:" + path};
  {
    TestServer server(who(), config);
    CHECK(fetch(server.port(), "GET", "/who").body == "you are '127.0.0.1'");
    CHECK(ask_at_file(path).find("you are ''") != std::string::npos);
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0660);
    // A second server leaves the file of a living one alone.
    CHECK(http::listen_at_file(path).code() == Code::kConflict);
    CHECK_FALSE(ask_at_file(path).empty());
  }
  CHECK(::access(path.c_str(), F_OK) != 0);
}

TEST_CASE("listening: the file of a dead server is replaced, and what is no socket is not",
          "[unit][http]") {
  TempDir dir;
  const std::string path = dir.file("k.sock");
  const auto dead = http::listen_at_file(path);
  REQUIRE(dead.ok());
  ::close(dead->descriptor);
  {
    http::ServerConfig config = TestServer::quiet_config();
    config.listen_more = {"unix:" + path};
    const TestServer server(who(), config);
    // What the dead one would have removed is not its file any more.
    http::remove_socket_files({*dead});
    CHECK_FALSE(ask_at_file(path).empty());
  }
  const std::string plain = dir.file("plain");
  std::ofstream(plain) << "text";
  CHECK(http::listen_at_file(plain).code() == Code::kConflict);
  CHECK(::access(plain.c_str(), F_OK) == 0);
  // A server of datagrams is one, too.
  const std::string other = dir.file("datagrams");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, other.data(), other.size());
  const int datagrams = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(datagrams, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  CHECK(http::listen_at_file(other).code() == Code::kConflict);
  CHECK(::access(other.c_str(), F_OK) == 0);
  ::close(datagrams);
  CHECK(http::listen_at_file("relative").code() == Code::kInvalid);
  CHECK(http::listen_at_file("/" + std::string(200, 'a')).code() == Code::kInvalid);
}

TEST_CASE("listening: when one address fails none stays open", "[unit][http]") {
  TempDir dir;
  http::ServerConfig config = TestServer::quiet_config();
  config.listen_more = {"unix:" + dir.file("k.sock"), "nowhere"};
  const auto opened = http::open_listening_sockets(config);
  CHECK(opened.code() == Code::kInvalid);
  CHECK(opened.status().message().find("'nowhere'") != std::string::npos);
  CHECK(::access(dir.file("k.sock").c_str(), F_OK) != 0);
}

TEST_CASE("listening: the sockets that systemd passes stand in the place of addresses",
          "[unit][http]") {
  // As systemd does it: the descriptors from 3 on, and two variables of the environment.
  const auto passed = http::listen_at("127.0.0.1", 0);
  REQUIRE(passed.ok());
  const int before = ::dup(3);
  REQUIRE(::dup2(passed->descriptor, 3) == 3);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "1", 1);
  const auto sockets = http::open_listening_sockets(TestServer::quiet_config());
  CHECK(std::getenv("LISTEN_FDS") == nullptr);
  if (before >= 0) {
    ::dup2(before, 3);
    ::close(before);
  } else {
    ::close(3);
  }
  ::close(passed->descriptor);
  REQUIRE(sockets.ok());
  REQUIRE(sockets->size() == 1);
  CHECK(sockets->front().descriptor == 3);
  CHECK(sockets->front().port == passed->port);
}

TEST_CASE("listening: all addresses of both families at one port are two listeners",
          "[unit][http]") {
  const auto four = http::listen_at("0.0.0.0", 0);
  REQUIRE(four.ok());
  const auto six = http::listen_at("::", four->port, true);
  INFO(six.status().to_string());
  REQUIRE(six.ok());
  ::close(six->descriptor);
  ::close(four->descriptor);
}

TEST_CASE("server: who connects before the start waits for it", "[unit][http]") {
  const auto hello = [](http::Request&) -> Result<http::Response> {
    return http::text_response(200, "hello");
  };
  const auto clock = make_system_clock();
  const http::Router router({route(http::Method::kGet, "/hello", hello)});
  http::ServerConfig config = TestServer::quiet_config();
  http::Server server(config, router, *clock, nullptr);
  REQUIRE(server.bind().ok());
  REQUIRE(server.port() > 0);
  RawClient client(server.port());
  CHECK(client.connected());
  CHECK(client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
  REQUIRE(server.start().ok());
  CHECK(client.read_response().status == 200);
  // One that ends before it starts gives its address back.
  const int port = server.port();
  server.stop(0);
  config.listen_port = port;
  {
    http::Server bound(config, router, *clock, nullptr);
    REQUIRE(bound.bind().ok());
  }
  http::Server next(config, router, *clock, nullptr);
  CHECK(next.start().ok());
}
