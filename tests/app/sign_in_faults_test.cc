// Goal: what is good once is not spent for nothing: a store that fails at a session leaves the code
// and the approval that it was for. Method: a whole daemon over a store that fails by plan.
#include <nlohmann/json.hpp>

#include <atomic>

#include "portal/dev_issuer.h"
#include "portal/totp.h"
#include "support/base32.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Fails one write of this kind.
struct Fault {
  std::atomic<bool> is_armed = false;
  std::string op, prefix;

  AppOptions options() {
    AppOptions options;
    options.kv_faults = [this](std::string_view wanted, std::string_view key) -> Status {
      const bool fails = is_armed && wanted == op && key.starts_with(prefix);
      if (!fails || !is_armed.exchange(false)) return ok();
      return unavailable("The disk is full.");
    };
    return options;
  }
};

}  // namespace

TEST_CASE("sign-in: a recovery code that opened no session is good still", "[fault][app][portal]") {
  Fault fault;
  TestApp app(fault.options());
  Browser ada = set_up(app);
  const Json begun =
      json_of(ada.send("POST", "/auth/totp", dump_json(Json{{"current_password", kGoodPassword}})));
  const std::string secret = from_base32(begun["secret"].get<std::string>());
  const std::string code =
      portal::totp_code(secret, app.parts().clock().unix_s() / portal::kTotpStepS);
  const Json on = json_of(ada.send("POST", "/auth/totp/confirm", dump_json(Json{{"code", code}})));
  const std::string sign_in =
      dump_json(Json{{"email", "ada@example.com"}, {"password", kGoodPassword}});
  int at = 0;
  for (const auto& [op, prefix] :
       {std::pair<const char*, const char*>{"write", "session:"}, {"cas", "person:"}}) {
    INFO(op << " " << prefix);
    Browser other(app);
    const std::string recovery = on["recovery_codes"][at++].get<std::string>();
    const std::string ticket = json_text(other.send("POST", "/auth/login", sign_in).body, "ticket");
    fault.op = op;
    fault.prefix = prefix;
    fault.is_armed = true;
    const std::string body = dump_json(Json{{"ticket", ticket}, {"code", recovery}});
    int status = other.send("POST", "/auth/login/totp", body).status;
    if (status == 503) status = other.send("POST", "/auth/login/totp", body).status;
    CHECK(status == 200);
    fault.is_armed = false;
    CHECK(other.send("GET", "/api/v1/me").status == 200);
  }
}

TEST_CASE("sign-in: a setup link that made nobody is good still", "[fault][app][portal]") {
  Fault fault;
  TestApp app(fault.options());
  fault.op = "cas";
  fault.prefix = "sign_in:";
  fault.is_armed = true;
  const std::string body = dump_json(Json{{"token", setup_token(app)},
                                          {"email", "ada@example.com"},
                                          {"name", "Ada"},
                                          {"password", kGoodPassword}});
  CHECK(app.call("POST", "/auth/setup", {}, body).status == 503);
  CHECK_FALSE(fault.is_armed);
  CHECK(app.call("POST", "/auth/setup", {}, body).status == 201);
  CHECK(app.call("POST", "/auth/setup", {}, body).status == 401);
}

TEST_CASE("sign-in: a refresh token of the development issuer that renewed nothing is good still",
          "[fault][portal]") {
  ManualClock clock{1'800'000'000'000};
  const auto entropy = make_seeded_entropy(5);
  const auto store = make_memory_kv(clock);
  const Sealer sealer({Secret(std::string(32, 'k'))}, *entropy);
  std::string failing;
  const auto kv = make_faulty_kv(*store, [&](std::string_view op, std::string_view) -> Status {
    return op == failing ? unavailable("The disk is full.") : ok();
  });
  const auto issuer =
      portal::DevIssuer::create({.kv = *kv,
                                 .sealer = sealer,
                                 .clock = clock,
                                 .entropy = *entropy,
                                 .public_url = [] { return std::string("http://x"); }})
          .value();
  portal::DevGrant grant;
  grant.client_id = "c";
  grant.subject = "ada";
  std::string token = text_member(issuer->give_tokens(grant).value(), "refresh_token");
  CHECK(issuer->refresh(token, "other").status().reason() == "invalid_grant");
  for (const char* op : {"cas", "write"}) {
    INFO(op);
    failing = op;
    Result<Json> renewed = issuer->refresh(token, "c");
    failing.clear();
    if (!renewed.ok()) renewed = issuer->refresh(token, "c");
    REQUIRE(renewed.ok());
    CHECK(issuer->refresh(token, "c").status().reason() == "invalid_grant");
    token = text_member(*renewed, "refresh_token");
  }
}

TEST_CASE("device sign-in: sessions that are ended while the device's begins end that too",
          "[fault][app][portal]") {
  std::atomic<bool> is_armed = false;
  TestApp* house = nullptr;
  const auto remove_all = [&] {
    KvStore& kv = *house->parts().kv;
    KvBatch batch;
    for (const char* prefix : {"session:", "session_of:"}) {
      const KvPage page = kv.scan(KvFamily::kSystem, prefix, "", 100).value();
      for (const KvItem& item : page.items) batch.remove(KvFamily::kSystem, item.key);
    }
    return kv.write(batch, KvDurability::kSynced);
  };
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    const bool begins = op == "write" && key.starts_with("session:");
    return begins && is_armed.exchange(false) ? remove_all() : ok();
  };
  TestApp app(options);
  house = &app;
  Browser ada = set_up(app);
  const Json started = json_of(app.call("POST", "/auth/device", {}, "device_name=box"));
  REQUIRE(ada.send("POST", "/auth/device/" + started["user_code"].get<std::string>(),
                   R"({"allow":true})")
              .status == 204);
  is_armed = true;
  const RawResponse answer =
      app.call("POST", "/auth/device/token", {},
               "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
               "&device_code=" +
                   started["device_code"].get<std::string>());
  CHECK_FALSE(is_armed);
  CHECK(answer.status == 400);
  CHECK(json_text(answer.body, "error") == "access_denied");
  CHECK(app.parts().kv->scan(KvFamily::kSystem, "session_of:", "", 10).value().items.empty());
}

TEST_CASE("device sign-in: an approval that opened no session is good still",
          "[fault][app][portal]") {
  Fault fault{.op = "write", .prefix = "session:"};
  TestApp app(fault.options());
  Browser ada = set_up(app);
  const Json started = json_of(app.call("POST", "/auth/device", {}, "device_name=box"));
  REQUIRE(ada.send("POST", "/auth/device/" + started["user_code"].get<std::string>(),
                   R"({"allow":true})")
              .status == 204);
  const auto ask = [&] {
    return app.call("POST", "/auth/device/token", {},
                    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
                    "&device_code=" +
                        started["device_code"].get<std::string>());
  };
  fault.is_armed = true;
  CHECK(ask().status == 503);
  CHECK_FALSE(fault.is_armed);
  const RawResponse given = ask();
  INFO(given.body);
  REQUIRE(given.status == 200);
  CHECK(app.as(json_text(given.body, "access_token"), "GET", "/api/v1/me").status == 200);
  CHECK(ask().status == 400);  // Once.
}
