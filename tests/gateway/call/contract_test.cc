// Goal: every documented answer of the tool gateway at its own door: each code with its status,
// envelope and row in the error ledger, the examples byte for byte, the rule of `fields`, the
// words about several accounts, and /health. Method: the whole daemon, an upstream on loopback that
// does what the path asks for.
#include <nlohmann/json.hpp>

#include <map>

#include "gateway/gateway_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr const char* kContacts =
    R"({"results":[{"id":"123","properties":{"email":"alice@example.com","firstname":"Alice"},)"
    R"("archived":false}],"paging":{"next":{"after":"124"}}})";
constexpr const char* kList = R"({"path":"/v1/contacts"})";

// /v1/status/NNN answers NNN, /v1/hang never, /v1/breaks not to its end, /v1/events with one event
// and then nothing, the others the contacts.
LoopbackServer::Behaviour documented_upstream() {
  return [](LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      const std::string line(request->line());
      if (line.find("/v1/hang") != line.npos) {
        peer.wait_closed();
        return;
      }
      if (line.find("/v1/events") != line.npos) {
        peer.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
        peer.send_chunk("data: 1\n\n");
        peer.wait_closed();
        return;
      }
      if (line.find("/v1/breaks") != line.npos) {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.send_chunk(std::string(600'000, 'x'));
        return;
      }
      const size_t status = line.find("/v1/status/");
      const bool well = status == line.npos;
      const std::string code = well ? "200" : line.substr(status + 11, 3);
      const std::string body = well ? kContacts : R"({"message":"not today"})";
      const bool sent =
          peer.send("HTTP/1.1 " + code + " Whatever\r\nContent-Type: application/json\r\n" +
                    "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
      if (!sent) return;
    }
  };
}

struct ContractHouse {
  explicit ContractHouse(AppOptions options = {}) : gateway(upstream, {}, std::move(options)) {
    put("/admin/providers/hubspot",
        R"({"base_url":")" + base() +
            R"(","allow_private_addresses":true,)"
            R"("auth_type":"bearer","allowed_path_prefixes":["/v1/","/crm/"]})");
  }
  std::string base() const { return "http://127.0.0.1:" + std::to_string(upstream.port()); }
  void put(const std::string& path, const std::string& body) const {
    const RawResponse answer = gateway.admin("PUT", path, body);
    INFO(path << " " << answer.body);
    REQUIRE(answer.status / 100 == 2);
  }
  void put_account(const std::string& provider, const std::string& account,
                   const std::string& body) const {
    put("/admin/tenants/kahuna/providers/" + provider + "/accounts/" + account, body);
  }
  RawResponse call(const std::string& provider, const std::string& body) const {
    return gateway.call(gateway.token, "/api/v1/kahuna/" + provider, body);
  }
  // The codes in the error ledger, newest first.
  std::vector<std::string> ledger() {
    REQUIRE(gateway.app.parts().ledger->drain().ok());
    std::vector<std::string> codes;
    const RawResponse listed = gateway.admin("GET", "/admin/errors?limit=100");
    REQUIRE(listed.status == 200);
    const Json page = parse_json(listed.body).value();
    for (const Json& row : page.at("errors")) {
      codes.push_back(row["code"].get<std::string>());
    }
    return codes;
  }

  LoopbackServer upstream{documented_upstream()};
  GatewayApp gateway;
};

// {"error","code","status"} first and in this order, no "success", the status in the status line.
void check_envelope(const RawResponse& response, int status, const std::string& code) {
  INFO(response.status << " " << response.body);
  CHECK(response.status == status);
  const Result<Json> parsed = parse_json(response.body);
  REQUIRE(parsed.ok());
  const Json& json = parsed.value();
  REQUIRE(json.size() >= 3);
  auto member = json.begin();
  CHECK(member.key() == "error");
  CHECK_FALSE(member->get<std::string>().empty());
  ++member;
  CHECK(member.key() == "code");
  CHECK(*member == code);
  ++member;
  CHECK(member.key() == "status");
  CHECK(*member == status);
  CHECK_FALSE(json.contains("success"));
  CHECK(json["request_id"] == response.header("x-request-id"));
  CHECK(response.header("content-type") == "application/json");
  CHECK(response.header("www-authenticate") == (code == "AUTH_FAILED" ? "Bearer" : ""));
  const bool retryable = status == 429 || status == 503;
  CHECK(response.header("retry-after").empty() == !retryable);
}

}  // namespace

TEST_CASE("gateway contract: each code comes with its status, envelope and ledger row",
          "[e2e][gateway]") {
  ContractHouse house;
  const GatewayApp& gateway = house.gateway;
  house.put(
      "/admin/providers/closed",
      R"({"base_url":"http://127.0.0.1:1","auth_type":"none","allow_private_addresses":true})");
  house.put("/admin/providers/rare",
            R"({"base_url":")" + house.base() +
                R"(","auth_type":"none",)"
                R"("allow_private_addresses":true,"rate_limit":{"requests_per_minute":1}})");
  house.put("/admin/providers/stale", R"({"base_url":"https://api.example","auth_type":"bearer"})");
  house.put_account("stale", "main",
                    R"({"access_token":"old-token-1","expires_at":"2020-01-01T00:00:00Z"})");
  CHECK(house.call("rare", kList).status == 200);

  std::vector<std::string> codes;
  const auto expect = [&](const RawResponse& response, int status, const std::string& code) {
    check_envelope(response, status, code);
    codes.insert(codes.begin(), code);
    CHECK(house.ledger() == codes);
  };
  expect(gateway.app.call("POST", "/api/v1/kahuna/local", {}, kList), 401, "AUTH_FAILED");
  expect(house.call("nothing", kList), 404, "CONFIG_MISSING");
  expect(house.call("hubspot", kList), 404, "TOKEN_MISSING");
  expect(house.call("stale", kList), 401, "TOKEN_EXPIRED");
  for (const int status : {400, 401, 403, 404, 409, 418, 422, 500, 502}) {
    expect(house.call("local", R"({"path":"/v1/status/)" + std::to_string(status) + "\"}"), status,
           "UPSTREAM_ERROR");
  }
  expect(house.call("local", R"({"path":"/v1/x","colour":1})"), 400, "VALIDATION_ERROR");
  expect(house.call("local", "{"), 400, "VALIDATION_ERROR");
  expect(house.call("local", R"({"path":"/v2/x"})"), 403, "PATH_NOT_ALLOWED");
  // What a rate limit of ours refuses is counted, and leaves no row.
  check_envelope(house.call("rare", kList), 429, "RATE_LIMITED");
  CHECK(house.ledger() == codes);
  expect(house.call("local", R"({"path":"/v1/hang","timeout_ms":50})"), 504, "TIMEOUT");
  expect(house.call("closed", R"({"path":"/"})"), 502, "UPSTREAM_UNREACHABLE");
  house.put("/admin/system/mode", R"({"mode":"frozen"})");
  expect(house.call("local", kList), 503, "FROZEN_GATEWAY");
  house.put("/admin/system/mode", R"({"mode":"active"})");
  CHECK(gateway.admin("POST", "/admin/tenants/kahuna/suspend").status == 200);
  expect(house.call("local", kList), 403, "TENANT_SUSPENDED");
  // The record alone: a deletion would take the token along.
  CHECK(gateway.admin("DELETE", "/admin/kv/config/values/tenant_config:kahuna").status == 204);
  expect(house.call("local", kList), 404, "TENANT_NOT_FOUND");
}

TEST_CASE("gateway contract: what the door refuses before a call is in the envelope, too",
          "[e2e][gateway]") {
  ContractHouse house;
  const GatewayApp& gateway = house.gateway;
  const std::string path = "/api/v1/kahuna/local";
  check_envelope(gateway.call(gateway.token, path + "/more", kList), 404, "NOT_FOUND");
  check_envelope(gateway.call("kt_" + std::string(64, 'a'), path, kList), 401, "AUTH_FAILED");
  const RawResponse get = gateway.app.as(gateway.token, "GET", path);
  check_envelope(get, 405, "METHOD_NOT_ALLOWED");
  CHECK(get.header("allow").find("POST") != std::string::npos);
  RawClient client(gateway.app.port());
  REQUIRE(client.send("POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
                      gateway.token + "\r\nContent-Length: 4194305\r\n\r\n"));
  check_envelope(client.read_response(), 413, "PAYLOAD_TOO_LARGE");
}

TEST_CASE("gateway contract: a store that is away is 503, one that is broken 500",
          "[fault][e2e][gateway]") {
  auto plan = std::make_shared<std::map<std::string, Status>>();  // Owners: this test and the app.
  AppOptions options;
  options.kv_faults = [plan](std::string_view, std::string_view key) {
    for (const auto& [prefix, status] : *plan) {
      if (key.starts_with(prefix)) return status;
    }
    return ok();
  };
  ContractHouse house(options);
  house.put_account("hubspot", "away", R"({"access_token":"token-away-1"})");
  house.put_account("hubspot", "broken", R"({"access_token":"token-broken-1"})");
  // Put before anyone calls, so that no other thread reads it meanwhile.
  *plan = {{"tokens:kahuna:hubspot:away", unavailable("The store is away.", "EIO")},
           {"tokens:kahuna:hubspot:broken", internal("bit 7")}};
  const auto of = [&](const std::string& account) {
    return house.call("hubspot", R"({"path":"/v1/contacts","account_id":")" + account + "\"}");
  };
  const RawResponse away = of("away"), broken = of("broken");
  check_envelope(away, 503, "UNAVAILABLE");
  check_envelope(broken, 500, "INTERNAL");
  CHECK(away.body.find("EIO") == std::string::npos);
  CHECK(broken.body.find("bit 7") == std::string::npos);
  CHECK(house.ledger() == std::vector<std::string>{"INTERNAL", "UNAVAILABLE"});
}

TEST_CASE("gateway contract: the documented examples come out byte for byte", "[e2e][gateway]") {
  ContractHouse house;
  house.put_account("hubspot", "default", R"({"access_token":"hubspot-token-1"})");
  const auto body = [&](const std::string& ask) {
    const RawResponse response = house.call("hubspot", ask);
    CHECK(response.status == 200);
    CHECK(response.header("x-gateway-cache") == "MISS");
    return response.body;
  };
  const std::string data = kContacts;
  CHECK(body(kList) == R"({"success":true,"status":200,"data":)" + data + R"(,"cache":"MISS"})");
  CHECK(body(R"({"path":"/v1/contacts","format":"compact"})") == data);
  const std::string projected =
      R"({"results":[{"id":"123","properties":{"email":"alice@example.com"}}],)"
      R"("paging":{"next":{"after":"124"}}})";
  CHECK(body(R"({"action":"list","object_type":"contacts","limit":2,)"
             R"("properties":["email","firstname","lastname"],)"
             R"("fields":["id","properties.email"],"format":"compact"})") == projected);
  CHECK(body(R"({"path":"/v1/contacts","fields":["results.id","results.properties.email"]})") ==
        R"({"success":true,"status":200,"data":)" + projected + R"(,"cache":"MISS"})");
  CHECK(body(R"({"action":"search","object_type":"deals","filters":[{"propertyName":"dealstage",)"
             R"("operator":"EQ","value":"closedwon"}]})") ==
        R"({"success":true,"status":200,"data":)" + data + R"(,"cache":"MISS"})");

  house.put_account("hubspot", "kahuna_prod", R"({"access_token":"hubspot-token-2"})");
  CHECK(body(R"({"domain":"hubspot","path":"/crm/v3/objects/contacts",)"
             R"("account_id":"kahuna_prod"})") ==
        R"({"success":true,"status":200,"data":)" + data + R"(,"cache":"MISS"})");
  const RawResponse several = house.call("hubspot", kList);
  check_envelope(several, 400, "VALIDATION_ERROR");
  CHECK(several.body.starts_with(
      R"({"error":"Tenant kahuna has multiple hubspot accounts. Pass account_id explicitly. )"
      R"(Available: default, kahuna_prod.","code":"VALIDATION_ERROR","status":400)"));
  const RawResponse unknown =
      house.call("hubspot", R"({"path":"/v1/contacts","account_id":"nope"})");
  check_envelope(unknown, 404, "TOKEN_MISSING");
  CHECK(unknown.body.find("Available: default, kahuna_prod.") != std::string::npos);
}

TEST_CASE("gateway contract: an answer that breaks off after its head is in the error ledger",
          "[fault][e2e][gateway]") {
  ContractHouse house;
  const RawResponse broken =
      house.call("local", R"({"path":"/v1/breaks","format":"compact","account_id":"default"})");
  CHECK(broken.status == 200);
  CHECK_FALSE(broken.complete);
  CHECK(house.ledger() == std::vector<std::string>{"UPSTREAM_UNREACHABLE"});
  const RawResponse listed = house.gateway.admin("GET", "/admin/errors");
  const Json row = parse_json(listed.body).value()["errors"][0];
  INFO(listed.body);
  CHECK(row["request_id"] == broken.header("x-request-id"));
  CHECK(row["path"] == "/v1/breaks");
  CHECK(row["account_id"] == "default");
  CHECK(row["status"] == 200);
  CHECK(row["upstream_status"] == 200);
  CHECK(row["message"].get<std::string>().find("broke off") != std::string::npos);
}

TEST_CASE("gateway contract: events pass as they come, before the stream's end", "[e2e][gateway]") {
  ContractHouse house;
  const RawResponse events =
      house.call("local", R"({"path":"/v1/events","account_id":"default","timeout_ms":500})");
  INFO(events.body);
  CHECK(events.status == 200);
  CHECK(events.header("content-type") == "text/event-stream");
  CHECK(events.body == "data: 1\n\n");
  CHECK_FALSE(events.complete);
}

TEST_CASE("gateway contract: the Idempotency-Key header is the body's idempotency_key",
          "[e2e][gateway]") {
  ContractHouse house;
  const GatewayApp& gateway = house.gateway;
  const auto post = [&](const std::string& header, const std::string& more) {
    TestApp::Headers headers = {{"Authorization", "Bearer " + gateway.token}};
    if (!header.empty()) headers.emplace_back("Idempotency-Key", header);
    return gateway.app.call("POST", "/api/v1/kahuna/local", headers,
                            R"({"path":"/v1/contacts")" + more + "}");
  };
  const RawResponse first = post("one", "");
  CHECK(first.status == 200);
  CHECK(first.header("idempotent-replay").empty());
  CHECK(post("one", "").header("idempotent-replay-of") == first.header("x-request-id"));
  check_envelope(post("one", R"(,"cache":true)"), 409, "IDEMPOTENCY_KEY_REUSED");
  // The same key by either way, and both when they agree.
  CHECK(post("two", R"(,"idempotency_key":"two")").status == 200);
  CHECK(post("", R"(,"idempotency_key":"two")").header("idempotent-replay") == "true");
  const RawResponse both = post("one", R"(,"idempotency_key":"two")");
  check_envelope(both, 400, "VALIDATION_ERROR");
  CHECK(both.body.find("Idempotency-Key") != std::string::npos);
  check_envelope(post("has space", ""), 400, "VALIDATION_ERROR");
  check_envelope(post(std::string(256, 'k'), ""), 400, "VALIDATION_ERROR");
}

TEST_CASE("gateway contract: fields are checked at the door", "[e2e][gateway]") {
  ContractHouse house;
  const auto refused = [&](const std::string& fields, const char* word) {
    const RawResponse response =
        house.call("local", R"({"path":"/v1/contacts","fields":)" + fields + "}");
    check_envelope(response, 400, "VALIDATION_ERROR");
    INFO(response.body);
    CHECK(response.body.find(word) != std::string::npos);
  };
  std::string many = "[";
  for (int i = 0; i < 65; i++) many += std::string(i ? "," : "") + "\"f" + std::to_string(i) + "\"";
  refused(many + "]", "64");
  refused(R"(["a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"])", "16");
  refused("[1]", "fields");
  refused("\"id\"", "fields");
  for (const char* same : {"[]", "null"}) {
    INFO(same);
    const RawResponse all =
        house.call("local", std::string(R"({"path":"/v1/contacts","format":"compact","fields":)") +
                                same + "}");
    CHECK(all.body == kContacts);
  }
  const RawResponse missing = house.call(
      "local", R"({"path":"/v1/contacts","format":"compact","fields":["id","nope.never"]})");
  CHECK(missing.body == R"({"results":[{"id":"123"}],"paging":{"next":{"after":"124"}}})");
}

TEST_CASE("gateway contract: compact answers keep the upstream's status", "[e2e][gateway]") {
  ContractHouse house;
  const RawResponse created =
      house.call("local", R"({"path":"/v1/status/201","method":"POST","format":"compact"})");
  CHECK(created.status == 201);
  CHECK(created.body == R"({"message":"not today"})");
  CHECK(created.header("x-gateway-cache") == "MISS");
  CHECK_FALSE(created.header("x-request-id").empty());
  // Errors have the envelope in either format.
  check_envelope(house.call("local", R"({"path":"/v1/status/404","format":"compact"})"), 404,
                 "UPSTREAM_ERROR");
}

TEST_CASE("gateway contract: /health has the documented members", "[e2e][gateway]") {
  ContractHouse house;
  // 57 accounts, of which one expires within 15 minutes, and 70 providers.
  const int64_t now_s = make_system_clock()->unix_s();
  const auto until = [&](int64_t seconds) {
    return R"({"access_token":"token-0001","expires_at":)" + std::to_string(now_s + seconds) + "}";
  };
  for (int i = 0; i < 54; i++) {
    house.put_account("hubspot", "a" + std::to_string(i), R"({"access_token":"token-0001"})");
  }
  house.put_account("hubspot", "soon", until(600));
  house.put_account("hubspot", "later", until(7200));
  Json providers =
      parse_json(house.gateway.admin("GET", "/admin/providers").body).value()["providers"];
  for (size_t i = providers.size(); i < 70; i++) {
    house.put("/admin/providers/p" + std::to_string(i),
              R"({"base_url":"https://api.example","auth_type":"none"})");
  }
  // The counts are at most a second old.
  const std::string expected =
      R"({"status":"healthy","services":{"kv":"up","d1":"up"},)"
      R"("tokens":{"total":57,"expiring_soon":1,"expired":0},"providers":70,)";
  house.gateway.app.restart();
  const RawResponse health = house.gateway.app.call("GET", "/health");
  CHECK(health.status == 200);
  INFO(health.body);
  CHECK(health.body.starts_with(expected));
  const Json json = parse_json(health.body).value();
  CHECK(json["mode"] == "active");
  for (const char* more : {"version", "uptime_s", "checked_at"}) CHECK(json.contains(more));
}

TEST_CASE("gateway contract: an expired token is counted and leaves the daemon healthy",
          "[e2e][gateway]") {
  ContractHouse house;
  const int64_t now_s = make_system_clock()->unix_s();
  house.put_account(
      "hubspot", "gone",
      R"({"access_token":"token-0001","expires_at":)" + std::to_string(now_s - 600) + "}");
  house.gateway.app.restart();
  const RawResponse health = house.gateway.app.call("GET", "/health");
  CHECK(health.status == 200);
  const Json json = parse_json(health.body).value();
  CHECK(json["status"] == "healthy");
  CHECK(json["tokens"]["expired"] == 1);
  const Json admin = parse_json(house.gateway.admin("GET", "/admin/health").body).value();
  CHECK(admin["status"] == "healthy");
  CHECK(admin["warnings"] == Json::array());
}
