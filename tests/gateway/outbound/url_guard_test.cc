// Goal: no spelling of a path, host or header leaves the provider's host, its allowed prefixes or
// the headers that a caller may send. Method: tables of attacks beside what must keep working.
#include "gateway/outbound/url_guard.h"

#include <catch2/catch.hpp>

using namespace kvcs;
using namespace kvcs::gateway;

TEST_CASE("url guard: paths that could mean another place are refused", "[unit][gateway]") {
  for (const char* path : {"",
                           "crm",
                           "//evil.example",
                           "/a//b",
                           "/..",
                           "/../x",
                           "/a/../b",
                           "/a/..",
                           "/./a",
                           "/a/.",
                           "/%2e%2e/x",
                           "/a/%2E%2e/b",
                           "/%2e/x",
                           "/.%2e/x",
                           "/a%2fb",
                           "/a%2F..%2Fb",
                           "/a%5cb",
                           "/a\\b",
                           "\\\\evil",
                           "/%252e%252e/x",
                           "/a%252fb",
                           "/a%00b",
                           "/a\r\nHost: x",
                           "/a%0d%0ab",
                           "/a\tb",
                           "/a?x=1",
                           "/a#b",
                           "http://evil.example/",
                           "https:/evil",
                           "/http://evil",
                           "@evil.example/",
                           "/@evil.example/x",
                           "/user@evil",
                           "/a%zz",
                           "/a%2",
                           "/a%",
                           "/\xff",
                           "/%ff",
                           "/..;/x",
                           "/a/..;b/c",
                           "/.;/x",
                           "/%2e%2e;/x",
                           "/a/%2e."}) {
    INFO(path);
    CHECK(check_path(path).code() == Code::kInvalid);
  }
  CHECK(check_path("/" + std::string(5000, 'a')).code() == Code::kInvalid);
}

TEST_CASE("url guard: ordinary paths pass and are encoded once", "[unit][gateway]") {
  const std::pair<const char*, const char*> rows[] = {
      {"/", "/"},
      {"/crm/v3/objects/contacts", "/crm/v3/objects/contacts"},
      {"/crm/v3/objects/", "/crm/v3/objects/"},
      {"/users/@me/guilds", "/users/@me/guilds"},
      {"/v21/customers:search", "/v21/customers:search"},
      {"/a b", "/a%20b"},
      {"/a%20b", "/a%20b"},
      {"/caf\u00e9", "/caf%C3%A9"},
      {"/what%3Fever", "/what%3Fever"},
      {"/file..name", "/file..name"},
      {"/...", "/..."},
      {"/\"<>", "/%22%3C%3E"},
  };
  for (const auto& [given, expected] : rows) {
    INFO(given);
    const auto path = check_path(given);
    REQUIRE(path.ok());
    CHECK(path.value() == expected);
  }
}

TEST_CASE("url guard: only allowed prefixes pass, however they are written", "[unit][gateway]") {
  const std::vector<std::string> prefixes = {"/crm/", "/files/"};
  CHECK(check_prefix("/crm/v3", prefixes).ok());
  CHECK(check_prefix("/%63rm/v3", prefixes).ok());
  for (const char* path : {"/", "/crm", "/admin/", "/CRM/v3", "/crmx/", "/x/crm/"}) {
    const Status status = check_prefix(path, prefixes);
    CHECK(status.code() == Code::kForbidden);
    CHECK(status.reason() == "PATH_NOT_ALLOWED");
  }
  CHECK(check_prefix("/anything", {}).ok());
}

namespace {

Result<BaseUrl> fill(std::string_view base_url, const Meta& account, const Meta& tenant) {
  return fill_base_url(base_url, {account, tenant});
}

}  // namespace

TEST_CASE("url guard: a base URL takes plain words from meta and nothing else", "[unit][gateway]") {
  const auto base =
      fill("https://{shop}.myshopify.com/x/{id}/", {{"shop", "a-b"}}, {{"id", "n_1"}});
  REQUIRE(base.ok());
  CHECK(base.value().origin == "https://a-b.myshopify.com");
  CHECK(base.value().path == "/x/n_1");
  const auto plain = fill("https://api.example.com", {}, {});
  CHECK(plain.value().origin == "https://api.example.com");
  CHECK(plain.value().path.empty());
  const auto in_path = fill("https://h.example/ex/{id}", {{"id", "u-1"}}, {});
  CHECK(in_path.value().origin == "https://h.example");
  CHECK(in_path.value().path == "/ex/u-1");
  for (const char* evil : {"evil.example/", "evil.example", "a.b", "x@evil", "a/b", "", "a#", "a?b",
                           "a:1", "a_b", "a%2f", "\u1234", "a\r\n"}) {
    INFO(evil);
    CHECK(fill("https://{shop}.myshopify.com", {{"shop", evil}}, {}).code() == Code::kInvalid);
  }
  CHECK(fill("https://{shop}.x.com", {}, {}).status().reason() == "CONFIG_MISSING");
}

TEST_CASE("url guard: callers' headers are those of a list, never the gateway's own",
          "[unit][gateway]") {
  const AuthRule rule{AuthType::kApiKeyHeader, "x-shop-token", "", "", ""};
  const std::vector<std::pair<std::string, std::string>> defaults = {
      {"notion-version", "2022-06-28"}, {"developer-token", "{meta.developer_token}"}};
  for (const char* name :
       {"Accept", "content-type", "Prefer", "X-Custom", "if-match", "Notion-Version"}) {
    INFO(name);
    CHECK(check_header(name, "v", rule, defaults).ok());
  }
  for (const char* name : {"Authorization",
                           "authorization",
                           "Host",
                           "Cookie",
                           "Connection",
                           "Transfer-Encoding",
                           "Content-Length",
                           "TE",
                           "Upgrade",
                           "Proxy-Authorization",
                           "Expect",
                           "X-Forwarded-For",
                           "x-forwarded-host",
                           "X-Real-IP",
                           "X-Original-URL",
                           "X-HTTP-Method-Override",
                           "Forwarded",
                           "X-Shop-Token",
                           "developer-token",
                           "x-amz-date",
                           "Via",
                           "",
                           "a b",
                           "a:b",
                           "a\r\nb"}) {
    INFO(name);
    CHECK(check_header(name, "v", rule, defaults).code() == Code::kInvalid);
  }
  CHECK(check_header("accept", "a\r\nx: y", rule, defaults).code() == Code::kInvalid);
  CHECK(check_header("accept", std::string(5000, 'a'), rule, defaults).code() == Code::kInvalid);
}
