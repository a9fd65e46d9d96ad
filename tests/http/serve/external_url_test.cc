// Goal: a URL in an answer leads its caller back to this server, through whatever proxies, and
// nobody else chooses its host.
#include "http/external_url.h"

#include <catch2/catch.hpp>

#include "support/raw_client.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Method;
using http::Request;
using http::Response;

// The defaults of Apache (ProxyPass), Caddy and Traefik, and what nginx is told to send; what an
// untrusted peer says of the place is not believed.
TEST_CASE("server: URLs begin as the client reaches the trusted proxy", "[unit][http]") {
  const auto base = [](Request& request) -> Result<Response> {
    return http::text_response(200, KVCS_TRY(http::external_url(request, "http://fallback")));
  };
  http::ServerConfig config = TestServer::quiet_config();
  const auto ask = [&](const std::vector<std::pair<std::string, std::string>>& headers) {
    TestServer server({route(Method::kGet, "/base", base)}, config);
    std::string head = "GET /base HTTP/1.1\r\n";
    for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
    RawClient client(server.port());
    client.send(head + "\r\n");
    const RawResponse answer = client.read_response();
    if (answer.status == 200) return answer.body;
    const bool is_told = answer.body.find("host_unusable") != std::string::npos;
    return std::to_string(answer.status) + (is_told ? " host_unusable" : "");
  };
  const std::vector<std::pair<std::string, std::string>> apache = {
      {"Host", "127.0.0.1:8080"},
      {"X-Forwarded-Host", "kv.example"},
      {"X-Forwarded-For", "6.6.6.6"},
      {"X-Forwarded-Proto", "https"}};
  CHECK(ask(apache) == "http://127.0.0.1:8080");
  CHECK(ask({{"Host", "a"}, {"X-Forwarded-Prefix", "/evil"}, {"X-Forwarded-Port", "1"}}) ==
        "http://a");
  config.trusted_proxies = {"127.0.0.1"};
  CHECK(ask(apache) == "https://kv.example");
  CHECK(ask({{"Host", "kvcs_server:8080"}}) == "http://kvcs_server:8080");
  CHECK(ask({{"Host", "[::1]:8080"}}) == "http://[::1]:8080");
  CHECK(ask({{"Host", "a"}, {"X-Forwarded-Host", "first.example, last.example:8443"}}) ==
        "http://last.example:8443");
  CHECK(
      ask({{"Host", "kv.example"}, {"X-Forwarded-Port", "8443"}, {"X-Forwarded-Proto", "https"}}) ==
      "https://kv.example:8443");
  CHECK(
      ask({{"Host", "kv.example"}, {"X-Forwarded-Port", "443"}, {"X-Forwarded-Proto", "https"}}) ==
      "https://kv.example");
  CHECK(ask({{"Host", "kv.example:81"}, {"X-Forwarded-Port", "82"}}) == "http://kv.example:81");
  CHECK(ask({{"Host", "kv.example"}, {"X-Forwarded-Prefix", "/team/kvcs/"}}) ==
        "http://kv.example/team/kvcs");
  for (const char* const prefix : {"kvcs", "/../x", "//evil.example", "/a?b", "/a\\b"}) {
    INFO(prefix);
    CHECK(ask({{"Host", "kv.example"}, {"X-Forwarded-Prefix", prefix}}) == "http://kv.example");
  }
  for (const char* const host : {"evil.example/x", "a@b", "a:0", "a:65536", "[::1", "a b", ":80"}) {
    INFO(host);
    CHECK(ask({{"Host", "kv.example"}, {"X-Forwarded-Host", host}}) == "http://kv.example");
  }
  // Names without empty labels, but for the dot at the end, and addresses that are ones.
  for (const char* const host : {".", "..", "a..b", ".a", "a..", "..:80", "[:::::]", "[1.2.3.4]",
                                 "[a.b]", "[]", "[1:2]", "[::1]x"}) {
    INFO(host);
    CHECK_FALSE(http::is_url_host(host));
  }
  for (const char* const host : {"a", "kv.example.", "1.2.3.4:80", "[::]", "[::ffff:1.2.3.4]:80"}) {
    INFO(host);
    CHECK(http::is_url_host(host));
  }
  CHECK(ask({{"Host", ".."}}) == "400 host_unusable");
  // A Host that RFC 3986 allows and no URL of ours could do with.
  CHECK(ask({{"Host", "a'b"}}) == "400 host_unusable");
  CHECK(ask({{"Host", "a:b"}}) == "400 host_unusable");
}
