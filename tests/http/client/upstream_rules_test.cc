// Goal: nothing is sent that two parsers could read in two ways, and nothing is sent into private
// networks unless the caller allows it, however the address is written.
#include "http/client/upstream_rules.h"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>

#include <cstring>
#include <string>
#include <vector>

#include "http/client/upstream_clients.h"
#include "support/loopback_server.h"
#include "support/scripted_upstream.h"
#include "support/temp_dir.h"

namespace kvcs::http {
namespace {

using test::LoopbackServer;

// As the engines ask it: of the address that a name was resolved to.
bool is_private(const char* text) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    return is_private_address(reinterpret_cast<const sockaddr*>(&v4));
  }
  REQUIRE(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
  return is_private_address(reinterpret_cast<const sockaddr*>(&v6));
}

std::string any_engine() {
  return GENERATE(values<std::string>({"curl", "plain"}));
}

}  // namespace

TEST_CASE("upstream: which addresses are private", "[unit][http][upstream]") {
  for (const char* address :
       {"127.0.0.1",        "127.255.255.254", "0.0.0.0",          "0.1.2.3",     "10.0.0.1",
        "10.255.255.255",   "172.16.0.1",      "172.31.255.255",   "192.168.0.1", "169.254.169.254",
        "100.64.0.1",       "100.127.255.255", "192.0.0.1",        "192.0.2.1",   "198.18.0.1",
        "198.19.255.255",   "198.51.100.7",    "203.0.113.7",      "224.0.0.1",   "239.255.255.255",
        "240.0.0.1",        "255.255.255.255", "168.63.129.16",    "::",          "::1",
        "fc00::1",          "fd00:ec2::254",   "fe80::1",          "fec0::1",     "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::",    "2001::1",         "2001:db8::1",      "100::1"}) {
    INFO(address);
    CHECK(is_private(address));
  }
  for (const char* address :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
        "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
        "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8",
        "64:ff9b::808:808", "2002:808:808::"}) {
    INFO(address);
    CHECK_FALSE(is_private(address));
  }
  sockaddr other{};
  other.sa_family = AF_UNIX;
  CHECK(is_private_address(&other));
}

TEST_CASE("upstream: private hosts are refused in every spelling", "[contract][http][upstream]") {
  LoopbackServer server(test::answer_always("secret"));
  const std::string port = ":" + std::to_string(server.port()) + "/";
  auto clock = make_system_clock();
  auto client = make_http_upstream({}, *clock);
  for (const char* host :
       {"127.0.0.1",       "127.1",       "2130706433", "0x7f000001",      "0177.0.0.1",
        "0x7f.1",          "localhost",   "LOCALHOST",  "[::1]",           "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "0.0.0.0",     "0",          "169.254.169.254", "10.1.2.3",
        "172.16.0.1",      "192.168.1.1", "100.64.0.1", "[fc00::1]",       "[fe80::1]",
        "[fd00:ec2::254]", "[::]"}) {
    INFO(host);
    UpstreamRequest request = request_to(std::string("http://") + host + port);
    request.allow_private_addresses = false;
    const auto refused = client->open(request);
    CHECK(refused.code() == Code::kForbidden);
    CHECK(refused.status().reason() == "private_address");
  }
  CHECK(server.accepted_count() == 0);
}

TEST_CASE("upstream: a connection opened with permission is not used without it",
          "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  LoopbackServer server(test::answer_always("secret"));
  TestClient client(engine);
  UpstreamRequest request = request_to(server.url());
  {
    auto allowed = client.open(request);
    REQUIRE(allowed.ok());
    REQUIRE((*allowed)->read_all(100).ok());  // Its connection is in the pool now.
  }
  request.allow_private_addresses = false;
  CHECK(client.open(request).code() == Code::kForbidden);
}

TEST_CASE("upstream: URLs that cannot be sent safely are invalid", "[unit][http][upstream]") {
  for (const char* url : {"",
                          "ftp://a/",
                          "file:///etc/passwd",
                          "gopher://a/",
                          "http:/a",
                          "http",
                          "https",
                          "//a/",
                          "a",
                          "http://",
                          "http:///x",
                          "http://user@a/",
                          "http://user:pw@a/",
                          "http://a@b@c/",
                          "http://a b/",
                          "http://a/\r\nX: y",
                          "http://a/\n",
                          "http://a/\t",
                          "http://a/\x7f",
                          "http://a/\xc3\xa9",
                          "http://a\\@b/",
                          "http://a/#frag",
                          "http://a:0/",
                          "http://a:65536/",
                          "http://a:x/",
                          "http://a:/",
                          "http://a:+1/",
                          "http://[::1/",
                          "http://[::1]x/",
                          "http://[fe80::1%25lo]/",
                          "http://[::g]/",
                          "http://a%00/",
                          "http://%31%32%37.1/",
                          "http://a,b/"}) {
    INFO(url);
    CHECK(check_upstream_url(url).code() == Code::kInvalid);
  }
  CHECK(check_upstream_url(std::string("http://a/\0b", 11)).code() == Code::kInvalid);
  CHECK(check_upstream_url("http://a/" + std::string(20'000, 'p')).code() == Code::kInvalid);
  // What a URL carries as a secret is not repeated.
  CHECK(check_upstream_url("http://u:hunter2@a/").message().find("hunter2") == std::string::npos);
  CHECK(check_upstream_url("http://a/?key=hunter2#x").message().find("hunter2") ==
        std::string::npos);
  for (const char* url : {"http://a", "HTTP://A.example:8080?x", "https://[2001:db8::1]:443/p",
                          "https://api.example.com/v1/chat?x=%20&y=[1]", "http://my_host/"}) {
    INFO(url);
    CHECK(check_upstream_url(url).ok());
  }
  const auto url = parse_upstream_url("HTTP://A.Example:8080?x").value();
  CHECK(url.to_string() == "http://a.example:8080/?x");
  CHECK(parse_upstream_url("https://[::1]:443/p").value().authority == "[::1]");
}

TEST_CASE("upstream: methods and headers that would inject are invalid",
          "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  LoopbackServer server(test::answer_always(""));
  TestClient client(engine);
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"X", "a\r\nY: b"},
                                                        {"X", "a\nb"},
                                                        {"X", "a\rb"},
                                                        {"X", std::string("a\0b", 3)},
                                                        {"X\r\nY", "a"},
                                                        {"X Y", "a"},
                                                        {"X:", "a"},
                                                        {"", "a"},
                                                        {"X", "\x7f"}}) {
    UpstreamRequest request = request_to(server.url());
    request.headers = {{name, value}};
    CHECK(client.open(request).code() == Code::kInvalid);
  }
  for (const char* method : {"", "GET /", "G\r\nT", "CONNECT"}) {
    UpstreamRequest request = request_to(server.url());
    request.method = method;
    CHECK(client.open(request).code() == Code::kInvalid);
  }
  CHECK(server.accepted_count() == 0);
}

TEST_CASE("upstream: TLS needs a certificate that is trusted and names the host",
          "[contract][http][upstream]") {
  test::TempDir dir;
  const std::string certificate = dir.file("cert.pem"), key = dir.file("key.pem");
  test::make_self_signed(certificate, key);
  LoopbackServer server(test::answer_always("over tls"), certificate, key);
  UpstreamConfig config;
  config.ca_file = certificate;
  SECTION("trusted: it works, and the connection is reused") {
    TestClient client("curl", config);
    for (int i = 0; i < 3; i++) {
      auto response = client.open(request_to(server.url()));
      REQUIRE(response.ok());
      CHECK((*response)->read_all(100).value() == "over tls");
    }
    CHECK(server.accepted_count() == 1);
  }
  SECTION("not trusted by the system") {
    TestClient client("curl");
    const auto refused = client.open(request_to(server.url()));
    CHECK(refused.code() == Code::kUpstream);
    CHECK(refused.status().reason() == "tls_failed");
    CHECK(refused.status().cause().find("localhost") != std::string::npos);
  }
  SECTION("another name") {
    TestClient client("curl", config);
    const auto refused =
        client.open(request_to("https://127.0.0.1:" + std::to_string(server.port()) + "/"));
    CHECK(refused.status().reason() == "tls_failed");
  }
  SECTION("a ca_file that is missing is named to the operator") {
    config.ca_file = dir.file("absent.pem");
    TestClient client("curl", config);
    const auto refused = client.open(request_to(server.url()));
    CHECK(refused.status().reason() == "tls_failed");
    CHECK(refused.status().cause().find("absent.pem") != std::string::npos);
  }
  SECTION("plain text where TLS is expected") {
    LoopbackServer plain([](test::LoopbackPeer& peer) { peer.send("hello\r\n"); });
    TestClient client("curl", config);
    const auto refused =
        client.open(request_to("https://localhost:" + std::to_string(plain.port()) + "/"));
    CHECK(refused.status().reason() == "tls_failed");
  }
}

TEST_CASE("upstream: the scripted fake answers in order, records, truncates and hangs",
          "[unit][http][upstream]") {
  ManualClock clock;
  test::ScriptedUpstream upstream(&clock);
  upstream.push_json(200, "{}");
  upstream.push_sse({"data: 1\n\n"}, test::ScriptedAnswer::End::kTruncated);
  test::ScriptedAnswer slow;
  slow.latency_ms = 40'000;
  upstream.push(slow);
  auto first = upstream.open(request_to("http://a/1"));
  REQUIRE(first.ok());
  CHECK((*first)->read_all(100).value() == "{}");
  auto second = upstream.open(request_to("http://a/2"));
  REQUIRE(second.ok());
  CHECK((*second)->read_all(100).code() == Code::kUpstream);
  CHECK(upstream.open(request_to("http://a/3")).code() == Code::kTimeout);
  CHECK(upstream.open(request_to("http://a/4")).code() == Code::kUpstream);  // Nothing left.
  CHECK(upstream.seen_count() == 4);
  CHECK(upstream.last_seen().url == "http://a/4");
  CHECK(upstream.open(request_to("ftp://a/")).code() == Code::kInvalid);
}

}  // namespace kvcs::http
