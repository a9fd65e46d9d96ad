// Goal: an operator sets up provider, tenant, account and token over HTTP, an agent calls, and the
// door refuses whoever is not the tenant. Method: the whole daemon and a real upstream on loopback.
#include <nlohmann/json.hpp>

#include <atomic>

#include "briefing/briefing.h"
#include "gateway/gateway_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

LoopbackServer::Behaviour echo_authorization() {
  return [](LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      const bool right = request->head.find("Bearer upstream-secret-1") != std::string::npos;
      const std::string body = std::string("{\"right\":") + (right ? "true" : "false") + "}";
      if (!peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body)) {
        return;
      }
    }
  };
}

}  // namespace

TEST_CASE("gateway over HTTP: set up by an admin, called by an agent, frozen and revoked",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  const std::string path = "/api/v1/kahuna/local", body = R"({"path":"/v1/x"})";
  const RawResponse answered = gateway.call(gateway.token, path, body);
  CHECK(answered.status == 200);
  CHECK(answered.body == R"({"success":true,"status":200,"data":{"right":true},"cache":"MISS"})");
  CHECK_FALSE(answered.header("x-request-id").empty());
  CHECK_FALSE(answered.header("ratelimit-limit").empty());

  CHECK(gateway.admin("PUT", "/admin/system/mode", R"({"mode":"frozen"})").status == 200);
  const RawResponse frozen = gateway.call(gateway.token, path, body);
  CHECK(frozen.status == 503);
  CHECK(frozen.body.find("FROZEN_GATEWAY") != std::string::npos);
  CHECK(gateway.admin("PUT", "/admin/system/mode", R"({"mode":"active"})").status == 200);

  CHECK(gateway.admin("POST", "/admin/tenants/kahuna/suspend").status == 200);
  CHECK(gateway.call(gateway.token, path, body).status == 403);
  CHECK(gateway.admin("POST", "/admin/tenants/kahuna/resume").status == 200);
  CHECK(gateway.call(gateway.token, path, body).status == 200);

  CHECK(gateway.admin("DELETE", "/admin/tenants/kahuna/tokens/" + gateway.token_id).status == 204);
  CHECK(gateway.call(gateway.token, path, body).status == 401);
}

TEST_CASE("gateway over HTTP: whoever is not the tenant gets the same 401", "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  const std::string body = R"({"path":"/v1/x"})";
  const auto refused = [&](const std::string& key, const std::string& path) {
    const RawResponse response = gateway.call(key, path, body);
    CHECK(response.status == 401);
    CHECK(response.header("www-authenticate") == "Bearer");
    const Json json = parse_json(response.body).value();
    CHECK(json["code"] == "AUTH_FAILED");
    CHECK(json["status"] == 401);
    return json["error"].get<std::string>();
  };
  const std::string words = refused("kt_" + std::string(64, 'a'), "/api/v1/kahuna/local");
  CHECK(refused(gateway.token, "/api/v1/other/local") == words);
  CHECK(refused(gateway.app.credential("admin_key"), "/api/v1/kahuna/local") == words);
  CHECK(refused("short", "/api/v1/kahuna/local") == words);
  CHECK(gateway.app.call("POST", "/api/v1/kahuna/local", {}, body).status == 401);
}

TEST_CASE("gateway over HTTP: requests without a token are counted, and one row tells of them",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  ManualClock clock;
  GatewayApp gateway(upstream, {}, {.clock = &clock});
  for (int i = 0; i < 40; ++i) {
    const RawResponse refused =
        gateway.app.call("POST", "/api/v1/made-up/call%20+1-555-01%20to%20renew%20hubspot");
    CHECK((refused.status == 401 || refused.status == 429));
  }
  REQUIRE(gateway.app.parts().ledger->drain().ok());
  const std::string errors = gateway.admin("GET", "/admin/errors").body;
  INFO(errors);
  CHECK(errors.find("\"AUTH_FAILED\"") != std::string::npos);
  CHECK(errors.find("\"RATE_LIMITED\"") == std::string::npos);
  CHECK(errors.find("555-01") == std::string::npos);
  CHECK(errors.find("made-up") == std::string::npos);
  clock.advance_ms(60'000);
  CHECK(gateway.app.call("POST", "/api/v1/made-up/x").status == 401);
  REQUIRE(gateway.app.parts().ledger->drain().ok());
  CHECK(gateway.admin("GET", "/admin/errors").body.find("39 more requests were refused") !=
        std::string::npos);
  const std::string metrics = gateway.admin("GET", "/metrics").body;
  CHECK(metrics.find("code=\"AUTH_FAILED\"} 31\n") != std::string::npos);
  CHECK(metrics.find("code=\"RATE_LIMITED\"} 10\n") != std::string::npos);
  CHECK(metrics.find("555-01") == std::string::npos);
}

TEST_CASE("gateway over HTTP: what callers make up is no finding of the briefing",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  for (int i = 0; i < 12; ++i) {
    gateway.app.call("POST", "/api/v1/made-up/call%20+1-555-01");
    CHECK(gateway.call(gateway.token, "/api/v1/kahuna/call%20+1-555-02", "{}").status == 404);
    CHECK(gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"call +1-555-03":1})").status ==
          400);
  }
  REQUIRE(gateway.app.parts().ledger->drain().ok());
  // An authenticated caller's mistake is named where its operator looks for it, and only there.
  CHECK(gateway.admin("GET", "/admin/errors").body.find("555-02") != std::string::npos);
  REQUIRE(gateway.app.parts().briefing->run().ok());
  const std::string briefing = gateway.admin("GET", "/admin/briefings/latest").body;
  INFO(briefing);
  CHECK(briefing.find("CONFIG_MISSING") != std::string::npos);
  CHECK(briefing.find("VALIDATION_ERROR at local") != std::string::npos);
  CHECK(briefing.find("555-0") == std::string::npos);
  CHECK(briefing.find("made-up") == std::string::npos);
}

TEST_CASE("gateway over HTTP: private addresses are refused unless the provider allows them",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  CHECK(gateway
            .admin("PUT", "/admin/providers/inside",
                   R"({"base_url":"https://127.0.0.1:1","auth_type":"none"})")
            .status == 200);
  const RawResponse refused =
      gateway.call(gateway.token, "/api/v1/kahuna/inside", R"({"path":"/latest/meta-data"})");
  CHECK(refused.status == 403);
  CHECK(refused.body.find("private") != std::string::npos);
}

TEST_CASE("gateway over HTTP: admins see records, never secrets", "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  CHECK(gateway
            .admin("PUT", "/admin/providers/hubspot",
                   R"({"auth":{"client_id":"c1","client_secret":"client-secret-1"}})")
            .status == 200);
  for (const char* path :
       {"/admin/providers", "/admin/providers/hubspot", "/admin/tenants", "/admin/tenants/kahuna",
        "/admin/tenants/kahuna/tokens", "/admin/system/mode", "/metrics"}) {
    INFO(path);
    const RawResponse shown = gateway.admin("GET", path);
    CHECK(shown.status == 200);
    CHECK(shown.body.find("client-secret-1") == std::string::npos);
    CHECK(shown.body.find("upstream-secret-1") == std::string::npos);
    CHECK(shown.body.find(gateway.token) == std::string::npos);
  }
  CHECK(gateway.admin("PUT", "/admin/providers/x", "{}").status == 400);
  CHECK(gateway.admin("GET", "/admin/providers/none").status == 404);
  CHECK(gateway.admin("DELETE", "/admin/providers/hubspot").status == 204);
  CHECK(gateway.admin("GET", "/admin/tenants/none").status == 404);
  CHECK(gateway.admin("DELETE", "/admin/cache?provider=hubspot").body == "{\"purged\":0}");
  CHECK(gateway.admin("DELETE", "/admin/tenants/kahuna").status == 204);
  const RawResponse gone =
      gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"path":"/v1/x"})");
  CHECK(gone.status == 401);  // Its tokens have gone with it.
}

TEST_CASE("gateway over HTTP: a provider of consent says what is registered at the service",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  const auto callback_of = [&](const std::string& provider) {
    return json_text(gateway.admin("GET", "/admin/providers/" + provider).body, "callback_url");
  };
  // The address that the way to the service has in it, and no other.
  CHECK(callback_of("google_drive") == gateway.app.parts().public_url() + "/connect/callback");
  CHECK(callback_of("local").empty());
  CHECK(gateway.admin("GET", "/admin/providers").body.find("/connect/callback") !=
        std::string::npos);
}

TEST_CASE("gateway over HTTP: a key space of V5 in bulk form makes a working tenant",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  const std::string bearer = "legacy-bearer-of-the-old-gateway", base = upstream.url("");
  Json bulk = Json::array();
  const auto add = [&](const std::string& key, const Json& value) {
    bulk.push_back(Json{{"key", key}, {"value", dump_json(value)}});
  };
  add("tenant_auth:" + sha256_hex(bearer), Json{{"tenant_id", "legacy"}, {"status", "active"}});
  add("tenant_config:legacy", Json{{"tenant_id", "legacy"}, {"name", "Legacy"}});
  add("api_config:old_api", Json{{"base_url", base.substr(0, base.find_last_not_of('/') + 1)},
                                 {"auth_type", "bearer"},
                                 {"version", "v1"},
                                 {"auth", {{"client_secret", "client-secret-1"}}},
                                 {"allow_private_addresses", true}});
  add("tokens:legacy:old_api:default", Json{{"access_token", "upstream-secret-1"}});
  add("refresh:legacy:old_api:default", Json{{"refresh_token", "refresh-secret-1"}});
  add("tokens:legacy:old_api:damaged", "no record");
  const RawResponse imported = gateway.admin("PUT", "/admin/kv/bulk", dump_json(bulk));
  INFO(imported.body);
  CHECK(imported.status == 200);
  const auto works = [&] {
    const RawResponse answered = gateway.call(bearer, "/api/v1/legacy/old_api",
                                              R"({"path":"/v1/x","account_id":"default"})");
    INFO(answered.body);
    CHECK(answered.status == 200);
    CHECK(answered.body.find("\"right\":true") != std::string::npos);
  };
  works();
  // What came in clear is kept sealed, and as such goes out and comes in again.
  const RawResponse exported = gateway.admin("GET", "/admin/kv/bulk");
  CHECK(exported.status == 200);
  CHECK(exported.body.find("tokens:legacy:old_api:default") != std::string::npos);
  CHECK(exported.body.find("-secret-1") == std::string::npos);
  const RawResponse again = gateway.admin("PUT", "/admin/kv/bulk", exported.body);
  INFO(again.body);
  CHECK(again.status == 200);
  works();
  const RawResponse one =
      gateway.admin("PUT", "/admin/kv/tokens/values/tokens:legacy:old_api:default",
                    R"({"access_token":"upstream-secret-1"})");
  CHECK(one.status == 204);
  CHECK(gateway.admin("GET", "/admin/kv/bulk").body.find("-secret-1") == std::string::npos);
  works();
  CHECK(gateway.call(bearer, "/api/v1/kahuna/local", R"({"path":"/v1/x"})").status == 401);
}

TEST_CASE("gateway over HTTP: a bearer of another system is listed, revoked and stays so",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  const auto record = [](const std::string& tenant) {
    return dump_json(Json{{"tenant_id", tenant}, {"status", "active"}});
  };
  const auto auth = [](const std::string& bearer) { return "tenant_auth:" + sha256_hex(bearer); };
  const auto bulk = [&](const std::string& bearer, const std::string& tenant) {
    return dump_json(Json::array({Json{{"key", auth(bearer)}, {"value", record(tenant)}}}));
  };
  const auto status_of = [&](const std::string& bearer, const std::string& tenant) {
    return gateway.call(bearer, "/api/v1/" + tenant + "/local", R"({"path":"/v1/x"})").status;
  };
  const auto tokens_of = [&](const std::string& tenant) {
    return parse_json(gateway.admin("GET", "/admin/tenants/" + tenant + "/tokens").body)
        .value()["tokens"];
  };
  // By bulk, and as a single value; the second of a tenant that is not set up yet.
  const std::string first = "the-bearer-of-an-agent-1", second = "the-bearer-of-an-agent-2";
  REQUIRE(gateway.admin("PUT", "/admin/kv/bulk", bulk(first, "kahuna")).status == 200);
  REQUIRE(gateway.admin("PUT", "/admin/kv/auto/values/" + auth(second), record("zed")).status ==
          204);
  REQUIRE(gateway.admin("PUT", "/admin/tenants/zed", "{}").status == 200);
  // One that an older daemon's import left gets its id at the start.
  const std::string third = "the-bearer-of-an-agent-3";
  KvBatch batch;
  batch.put(KvFamily::kAuth, auth(third), record("zed"));
  // And one whose tenant was deleted then: it does not come back with the name.
  const std::string orphan = "the-bearer-of-an-agent-4";
  batch.put(KvFamily::kAuth, auth(orphan), record("gone"));
  REQUIRE(gateway.app.parts().kv->write(batch, KvDurability::kSynced).ok());
  gateway.app.restart();

  REQUIRE(gateway.admin("PUT", "/admin/tenants/gone", "{}").status == 200);
  CHECK(status_of(orphan, "gone") == 401);
  Json tokens = tokens_of("zed");
  REQUIRE(tokens.size() == 2);
  gateway.app.restart();
  CHECK(tokens_of("zed") == tokens);
  for (const Json& token : tokens) {
    CHECK(token["name"] == "imported");
    CHECK(
        gateway.admin("DELETE", "/admin/tenants/zed/tokens/" + token["token_id"].get<std::string>())
            .status == 204);
  }
  CHECK(status_of(second, "zed") == 401);
  CHECK(status_of(third, "zed") == 401);
  CHECK(status_of(first, "kahuna") != 401);
  // The same import again makes no second token, and gives nobody back what was revoked.
  REQUIRE(gateway.admin("PUT", "/admin/kv/bulk", bulk(second, "zed")).status == 200);
  CHECK(tokens_of("zed").size() == 2);
  CHECK(status_of(second, "zed") == 401);
}

TEST_CASE("gateway over HTTP: an ETag never belongs to a later record than it came with",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  // What another admin does just before the store does `op`, once.
  std::atomic<bool> armed = false;
  std::string op;
  std::function<void(std::string_view key)> other;
  AppOptions options;
  options.kv_faults = [&](std::string_view now, std::string_view key) -> Status {
    const bool ours = key.starts_with("tenant_config:") || key.starts_with("api_config:") ||
                      key.starts_with("agent_job_schedule:");
    if (ours && now == op && armed.exchange(false)) other(key);
    return ok();
  };
  GatewayApp gateway(upstream, {}, options);
  struct Row {
    const char* path;
    std::string one, other;
  };
  const Row rows[] = {
      {"/admin/tenants/kahuna", R"({"name":"One"})", R"({"name":"Other"})"},
      {"/admin/providers/hubspot", R"({"timeout_ms":1000})", R"({"timeout_ms":2000})"},
      {"/admin/agent-schedules/kahuna", "[]",
       R"([{"name":"a","agent_type":"s","message":"m","cadence":"daily"}])"}};
  for (const Row& row : rows) {
    INFO(row.path);
    const auto put = [&](const std::string& body, const std::string& etag) {
      return gateway.app.call(
          "PUT", row.path,
          {{"Authorization", "Bearer " + gateway.app.credential("admin_key")}, {"If-Match", etag}},
          body);
    };
    const auto change = [&](std::string_view) {
      CHECK(gateway.admin("PUT", row.path, row.other).status == 200);
    };
    // Before each of the reads of one GET in turn: whichever record the answer shows, its ETag
    // passes only while that record stands.
    for (int reads = 1; reads <= 3; ++reads) {
      INFO(reads);
      REQUIRE(gateway.admin("PUT", row.path, row.one).status == 200);
      const std::string shown_one = gateway.admin("GET", row.path).body;
      int left = reads;
      other = [&](std::string_view key) {
        if (--left > 0) {
          armed = true;
        } else {
          change(key);
        }
      };
      op = "get";
      armed = true;
      const RawResponse seen = gateway.admin("GET", row.path);
      armed = false;
      if (left > 0) break;  // It reads no more often than that.
      const RawResponse late = put(row.one, seen.header("etag"));
      if (seen.body == shown_one) CHECK(late.status == 409);
    }
    // Between the comparison and the write of one PUT. Admin writes go one by one, so the other is
    // one of another process; the key-value store is not this one's alone.
    REQUIRE(gateway.admin("PUT", row.path, row.other).status == 200);
    const std::string others = gateway.admin("GET", row.path).body;
    std::string stored;
    op = "cas";
    other = [&](std::string_view key) {
      KvBatch batch;
      batch.put(KvFamily::kConfig, std::string(key), stored);
      CHECK(gateway.app.parts().kv->write(batch, KvDurability::kBuffered).ok());
    };
    const std::string key = (row.path == rows[0].path   ? "tenant_config:kahuna"
                             : row.path == rows[1].path ? "api_config:hubspot"
                                                        : "agent_job_schedule:kahuna");
    stored = gateway.app.parts().kv->get(KvFamily::kConfig, key)->value;
    REQUIRE(gateway.admin("PUT", row.path, row.one).status == 200);
    const std::string etag = gateway.admin("GET", row.path).header("etag");
    armed = true;
    const RawResponse overtaken = put(row.one, etag);
    CHECK_FALSE(armed);
    CHECK(overtaken.status == 409);
    CHECK(overtaken.body.find("etag_mismatch") != std::string::npos);
    CHECK(gateway.admin("GET", row.path).body == others);
  }
}

TEST_CASE("gateway over HTTP: If-Match keeps one admin from undoing another's change",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_authorization());
  GatewayApp gateway(upstream);
  struct Row {
    const char* path;
    std::string one, other;
  };
  const Row rows[] = {
      {"/admin/tenants/kahuna", R"({"name":"One"})", R"({"name":"Other"})"},
      {"/admin/providers/hubspot", R"({"timeout_ms":1000})", R"({"timeout_ms":2000})"},
      {"/admin/agent-schedules/kahuna", "[]",
       R"([{"name":"a","agent_type":"s","message":"m","cadence":"daily"}])"}};
  const auto put = [&](const Row& row, const std::string& body, const std::string& etag) {
    return gateway.app.call(
        "PUT", row.path,
        {{"Authorization", "Bearer " + gateway.app.credential("admin_key")}, {"If-Match", etag}},
        body);
  };
  for (const Row& row : rows) {
    INFO(row.path);
    const std::string before = gateway.admin("GET", row.path).header("etag");
    CHECK_FALSE(before.empty());
    const RawResponse changed = put(row, row.one, before);
    INFO(changed.body);
    CHECK(changed.status == 200);
    CHECK(changed.header("etag") != before);
    CHECK(changed.header("etag") == gateway.admin("GET", row.path).header("etag"));
    const RawResponse late = put(row, row.other, before);
    CHECK(late.status == 409);
    CHECK(late.body.find("etag_mismatch") != std::string::npos);
    CHECK(gateway.admin("GET", row.path).body == changed.body);
    CHECK(put(row, row.other, "*").status == 200);
    CHECK(gateway.admin("PUT", row.path, row.one).status == 200);  // Without: the last one counts.
  }
  // "*" wants a record; "0" wants none.
  const Row fresh = {"/admin/providers/fresh", "", ""};
  const std::string record = R"({"base_url":"https://fresh.example","auth_type":"none"})";
  CHECK(put(fresh, record, "*").status == 409);
  CHECK(put(fresh, record, "\"0\"").status == 200);
  CHECK(put(fresh, record, "\"0\"").status == 409);
}
