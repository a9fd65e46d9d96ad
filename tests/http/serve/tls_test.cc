// TLS on the server's own connections, against OpenSSL's client and certificates made here.
#include <catch2/catch.hpp>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "base/log.h"
#include "support/certificate.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_server.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// A blocking TLS client; sends a request, reads to the end of what one response needs.
class TlsClient final {
 public:
  TlsClient(int port, int max_version = 0)
      : raw_(port), context_(SSL_CTX_new(TLS_client_method())), ssl_(SSL_new(context_)) {
    if (max_version != 0) SSL_set_max_proto_version(ssl_, max_version);
    SSL_set_fd(ssl_, raw_.socket());
    connected_ = SSL_connect(ssl_) == 1;
    ERR_clear_error();
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  bool connected() const { return connected_; }
  std::string subject() const {
    X509* certificate = SSL_get1_peer_certificate(ssl_);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    X509_free(certificate);
    return name;
  }
  void send(std::string_view text) {
    for (size_t sent = 0; sent < text.size();) {
      const int n = SSL_write(ssl_, text.data() + sent,
                              static_cast<int>(std::min<size_t>(text.size() - sent, 16384)));
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }
  // Until `size` bytes of body came, or the end.
  std::string read_body(size_t size) {
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == buffer_.npos || buffer_.size() < end + 4 + size) {
      char bytes[16384];
      const int n = SSL_read(ssl_, bytes, sizeof bytes);
      if (n <= 0) return "";
      buffer_.append(bytes, static_cast<size_t>(n));
    }
    const std::string body = buffer_.substr(end + 4, size);
    buffer_.erase(0, end + 4 + size);
    return body;
  }

 private:
  RawClient raw_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_ = false;
  std::string buffer_;
};

http::ServerConfig tls_config(const TempDir& directory) {
  ::signal(SIGPIPE,
           SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL, to clients that have gone too.
  http::ServerConfig config = TestServer::quiet_config();
  config.tls = {directory.file("cert.pem"), directory.file("key.pem")};
  return config;
}

std::vector<http::Route> routes() {
  return {route(http::Method::kGet, "/https",
                [](http::Request& request) -> Result<http::Response> {
                  return http::text_response(200, request.https ? "https" : "plain");
                }),
          route(
              http::Method::kPost, "/echo",
              [](http::Request& request) -> Result<http::Response> {
                return http::text_response(200, KVCS_TRY(request.body->read_all()));
              },
              http::mib(4))};
}

constexpr const char* kGet = "GET /https HTTP/1.1\r\nHost: h\r\n\r\n";

}  // namespace

TEST_CASE("tls: requests, large bodies and pipelines work as without", "[unit][http]") {
  const TempDir directory;
  const http::ServerConfig config = tls_config(directory);
  make_certificate(config.tls, "first");
  TestServer server(routes(), config);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server.port(), version);
    REQUIRE(client.connected());
    client.send(kGet);
    CHECK(client.read_body(5) == "https");
    client.send(std::string(kGet) + kGet + kGet);
    for (int i = 0; i < 3; i++) CHECK(client.read_body(5) == "https");
    const std::string body(300'000, 'b');
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + body);
    CHECK(client.read_body(body.size()) == body);
    client.send(kGet);
    CHECK(client.read_body(5) == "https");
  }
}

TEST_CASE("tls: a key that others can read is told at the start", "[unit][http]") {
  const TempDir directory;
  const http::ServerConfig config = tls_config(directory);
  make_certificate(config.tls, "first");
  for (const mode_t mode : {0600, 0644}) {
    REQUIRE(::chmod(config.tls.key_path.c_str(), mode) == 0);
    std::string said;
    log::set_sink([&](std::string_view line) { said += line; });
    { const TestServer server(routes(), config); }
    log::set_sink(nullptr);
    const bool told = said.find("file.readable_by_others") != said.npos &&
                      said.find(config.tls.key_path) != said.npos;
    CHECK(told == (mode == 0644));
  }
}

TEST_CASE("tls: plain HTTP at the port is told so in the clear", "[unit][http]") {
  const TempDir directory;
  const http::ServerConfig config = tls_config(directory);
  make_certificate(config.tls, "first");
  TestServer server(routes(), config);
  CHECK(server.server().certificate_expires_s() > ::time(nullptr) + 3000);
  CHECK(server.server().certificate_expires_s() < ::time(nullptr) + 4000);
  const std::string post = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123456789";
  for (const std::string& request : {std::string(kGet), post}) {
    RawClient client(server.port());
    client.send(request);
    const RawResponse refused = client.read_response();
    CHECK(refused.status == 400);
    CHECK(refused.body.find("use https:// instead of http://") != std::string::npos);
    CHECK(refused.header("connection") == "close");
  }
  TlsClient client(server.port());
  REQUIRE(client.connected());
  client.send(kGet);
  CHECK(client.read_body(5) == "https");
}

TEST_CASE("tls: a client that sends or takes slowly holds no thread, and is served whole",
          "[unit][http]") {
  constexpr size_t kBytes = 12 << 20;  // Beyond what sockets buffer.
  const TempDir directory;
  const http::ServerConfig config = tls_config(directory);
  make_certificate(config.tls, "first");
  std::vector<http::Route> all = routes();
  all.push_back(route(http::Method::kGet, "/long", [](http::Request&) -> Result<http::Response> {
    return http::text_response(200, std::string(kBytes, 'x'));
  }));
  TestServer server(std::move(all), config);
  const auto wait_parked = [&](int count) {
    wait_until([&] { return server.server().stats().parked_requests == count; }, "it is parked");
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server.port(), version);
    REQUIRE(client.connected());
    for (const size_t piece : {size_t{1}, size_t{90'000}}) {
      client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(3 * piece) +
                  "\r\n\r\n");
      for (int i = 0; i < 3; i++) {
        wait_parked(1);
        client.send(std::string(piece, 'p'));
      }
      CHECK(client.read_body(3 * piece).size() == 3 * piece);
    }
    client.send("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_parked(1);
    client.send(kGet);  // What it sends meanwhile is read once its answer is out.
    CHECK(client.read_body(kBytes).size() == kBytes);
    CHECK(client.read_body(5) == "https");
    CHECK(server.server().stats().blocked_waits == 0);
  }
}

TEST_CASE("tls: old versions and plain text are turned away", "[unit][http]") {
  const TempDir directory;
  const http::ServerConfig config = tls_config(directory);
  make_certificate(config.tls, "first");
  TestServer server(routes(), config);
  CHECK_FALSE(TlsClient(server.port(), TLS1_1_VERSION).connected());
  RawClient plain(server.port());
  plain.send(kGet);
  CHECK(plain.read_response().status == 400);
  CHECK(TlsClient(server.port()).connected());
}

TEST_CASE("tls: a handshake that stalls is ended and holds no worker", "[unit][http]") {
  const TempDir directory;
  http::ServerConfig config = tls_config(directory);
  config.head_timeout_ms = 200;
  make_certificate(config.tls, "first");
  TestServer server(routes(), config);
  std::vector<RawClient> stalled;
  for (int i = 0; i < 50; i++) {
    stalled.emplace_back(server.port());
    stalled.back().send(std::string_view("\x16\x03\x01\x02", 4));
  }
  CHECK(TlsClient(server.port()).connected());
  for (RawClient& client : stalled) CHECK(client.closed_by_server());
}

TEST_CASE("tls: reload takes the new certificate, keeps the old one on failure", "[unit][http]") {
  const TempDir directory;
  const http::ServerConfig config = tls_config(directory);
  make_certificate(config.tls, "first");
  TestServer server(routes(), config);
  TlsClient before(server.port());
  CHECK(before.subject() == "first");
  make_certificate(config.tls, "second");
  REQUIRE(server.server().reload_tls().ok());
  CHECK(TlsClient(server.port()).subject() == "second");
  before.send(kGet);
  CHECK(before.read_body(5) == "https");  // Sessions that exist go on.
  std::ofstream(config.tls.key_path) << "not a key";
  CHECK(server.server().reload_tls().code() == Code::kInvalid);
  CHECK(TlsClient(server.port()).subject() == "second");
}

TEST_CASE("tls: a certificate without its key, or unreadable, does not start", "[unit][http]") {
  const TempDir directory;
  http::ServerConfig config = tls_config(directory);
  const auto clock = make_system_clock();
  const http::Router router({});
  CHECK(http::Server(config, router, *clock, nullptr).start().code() == Code::kInvalid);
  config.tls.key_path.clear();
  CHECK(http::Server(config, router, *clock, nullptr).start().code() == Code::kInvalid);
}
