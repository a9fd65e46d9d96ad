// Goal: whoever is suspended is out at once, with what is under way. Method: streams of
// the AI and of the tool gateway that would go on for good, and the write that ends them; a whole
// daemon with a provider on loopback.
#include <sys/socket.h>

#include <cerrno>

#include "base/clock.h"
#include "gateway/gateway_house.h"
#include "identity/directory.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// A stream that has begun: its "Hello" is here.
RawClient begin_stream(int port, const std::string& key, const std::string& path,
                       const std::string& body) {
  RawClient client(port);
  REQUIRE(client.send("POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key +
                      "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body));
  std::string got;
  while (got.find("Hello") == got.npos) {
    const std::string more = client.read_some();
    REQUIRE_FALSE(more.empty());
    got += more;
  }
  return client;
}

RawClient begin_chat(const AiHouse& house, const std::string& key) {
  return begin_stream(house.app.port(), key, "/v1/chat/completions", kHelloStream);
}

// The end of a connection is there before the write that made it is answered.
bool is_open(const RawClient& client) {
  char byte = 0;
  return ::recv(client.socket(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

// Nothing more comes but the end of the connection, and within a second.
void check_ended(RawClient& client) {
  const int64_t began_us = make_system_clock()->mono_us();
  std::string rest;
  for (std::string more; !(more = client.read_some()).empty();) rest += more;
  CHECK(make_system_clock()->mono_us() - began_us < 1'000'000);
  INFO(rest);
  CHECK(rest.find("0\r\n\r\n") == rest.npos);  // No clean end: the client sees a broken transfer.
}

}  // namespace

TEST_CASE("withdrawal: a model's stream ends with the write that takes its caller's right away",
          "[contract][app]") {
  AiHouse house;
  house.provider.say_hello_for_good();
  const std::string keys = "/admin/users/" + house.user + "/api-keys";
  const RawResponse second = house.admin("POST", keys, R"({"name":"second"})");
  const std::string other = json_text(second.body, "api_key");
  struct Way {
    const char* method;
    std::string path, body, back;
  };
  const std::string user = "/admin/users/" + house.user, org = "/admin/organizations/" + house.org;
  for (const auto& [method, path, body, back] : std::vector<Way>{
           {"PATCH", user, R"({"status":"suspended"})", R"({"status":"active"})"},
           {"POST", org + "/suspend", "", org + "/resume"},
       }) {
    INFO(method << " " << path);
    RawClient stream = begin_chat(house, house.key);
    RawClient beside = begin_chat(house, other);
    REQUIRE(house.admin(method, path, body).status == 200);
    check_ended(stream);
    check_ended(beside);
    REQUIRE(house
                .admin(back.starts_with("/") ? "POST" : "PATCH",
                       back.starts_with("/") ? back : path, back.starts_with("/") ? "" : back)
                .status == 200);
  }
}

TEST_CASE("withdrawal: a write that concerns others ends no stream", "[contract][app]") {
  AiHouse house;
  house.provider.say_hello_for_good();
  RawClient stream = begin_chat(house, house.key);
  const RawResponse made = house.admin("POST", "/admin/organizations", R"({"name":"Other"})");
  REQUIRE(made.status == 201);
  REQUIRE(house.admin("POST", "/admin/organizations/" + json_text(made.body, "org_id") + "/suspend")
              .status == 200);
  // Of its own owner, but nothing that shuts it out.
  house.change_user(R"({"monthly_limit_usd":7})");
  house.change_org(R"({"monthly_budget_usd":70})");
  CHECK(is_open(stream));
}

TEST_CASE("withdrawal: a tool's stream ends with its tenant and its organization, not its token",
          "[contract][app]") {
  FakeProvider provider;
  provider.say_hello_for_good();
  GatewayApp gateway(provider.server());
  const std::string tenant = "/admin/tenants/kahuna";
  const auto organization = gateway.app.parts().directory->organization_by_slug("kahuna");
  REQUIRE(organization.ok());
  const std::string org = "/admin/organizations/" + organization.value()->id;
  const auto begin = [&] {
    return begin_stream(gateway.app.port(), gateway.token, "/api/v1/kahuna/local",
                        R"({"path":"/v1/x"})");
  };
  for (const std::string& path : {tenant, org}) {
    INFO(path);
    RawClient stream = begin();
    REQUIRE(gateway.admin("POST", path + "/suspend").status == 200);
    check_ended(stream);
    REQUIRE(gateway.admin("POST", path + "/resume").status == 200);
  }
  RawClient stream = begin();
  REQUIRE(gateway.admin("DELETE", tenant + "/tokens/" + gateway.token_id).status == 204);
  CHECK(is_open(stream));
}

TEST_CASE(
    "withdrawal: a tool's stream ends with a tenant that is deleted, whose organization stays",
    "[contract][app]") {
  FakeProvider provider;
  provider.say_hello_for_good();
  GatewayApp gateway(provider.server());
  const auto organization = gateway.app.parts().directory->organization_by_slug("kahuna");
  REQUIRE(organization.ok());
  RawClient stream = begin_stream(gateway.app.port(), gateway.token, "/api/v1/kahuna/local",
                                  R"({"path":"/v1/x"})");
  REQUIRE(gateway.admin("DELETE", "/admin/tenants/kahuna").status == 204);
  CHECK(gateway.admin("GET", "/admin/organizations/" + organization.value()->id).status == 200);
  CHECK(gateway.app.parts().directory->organization_by_slug("kahuna").ok());
  check_ended(stream);
}

TEST_CASE("withdrawal: a gateway that is frozen ends the streams of tools, and none of models",
          "[contract][app]") {
  FakeProvider provider;
  provider.say_hello_for_good();
  GatewayApp gateway(provider.server());
  RawClient stream = begin_stream(gateway.app.port(), gateway.token, "/api/v1/kahuna/local",
                                  R"({"path":"/v1/x"})");
  // Of an account no stream is taken away: what is sent with it is its provider's to end.
  REQUIRE(
      gateway.admin("DELETE", "/admin/tenants/kahuna/providers/local/accounts/default").status ==
      200);
  CHECK(is_open(stream));
  REQUIRE(gateway.admin("PUT", "/admin/system/mode", R"({"mode":"frozen"})").status == 200);
  check_ended(stream);
  AiHouse house;
  house.provider.say_hello_for_good();
  RawClient chat = begin_chat(house, house.key);
  REQUIRE(house.admin("PUT", "/admin/system/mode", R"({"mode":"frozen"})").status == 200);
  CHECK(is_open(chat));
}
