// Goal: codes are those of RFC 6238, each counts once and for a short time, and what the store
// holds gives none of them away. Method: the RFC's own vectors; the service over a store in memory
// with a clock that is moved by hand.
#include "portal/totp.h"

#include "base/bytes.h"
#include "identity/people_rig.h"
#include "kv/keyspace.h"
#include "support/base32.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

TEST_CASE("totp: codes and base32 are those of the RFCs", "[unit][portal]") {
  const std::string secret = "12345678901234567890";
  const std::pair<int64_t, const char*> vectors[] = {
      {59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
      {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
  for (const auto& [unix_s, code] : vectors) CHECK(totp_code(secret, unix_s / 30) == code);
  CHECK(to_base32("") == "");
  CHECK(to_base32("f") == "MY");
  CHECK(to_base32("foo") == "MZXW6");
  CHECK(to_base32("foobar") == "MZXW6YTBOI");
}

TEST_CASE("totp: each refusal has its reason, and each code counts once", "[unit][portal]") {
  PeopleRig rig;
  Sealer sealer({Secret(std::string(32, 'k'))}, *rig.entropy);
  int64_t wait_s = 0;
  TotpService totp(*rig.kv, rig.audited, sealer, rig.clock, rig.clock, *rig.entropy,
                   [&](std::string_view) { return wait_s; });
  const std::string id = rig.person("ada").id;
  CHECK_FALSE(totp.is_on(id).value());
  CHECK(totp.confirm(id, "123456", rig.who).status().reason() == "totp_not_started");
  CHECK(totp.check(id, "123456", rig.who).reason() == "totp_is_off");
  CHECK(totp.remove(id, "123456", rig.who).reason() == "totp_is_off");
  CHECK(totp.take_off(id, rig.who).reason() == "totp_is_off");
  const TotpService::Start begun = totp.start(id, "ada:x@b.c", rig.who).value();
  CHECK(begun.url.reveal().starts_with("otpauth://totp/kvcs:ada%3Ax%40b.c?secret=" +
                                       std::string(begun.secret_base32.reveal())));
  // Sealed: the store alone gives no code.
  const std::string key = keyspace::person_totp(id);
  const std::string stored = rig.kv->get(KvFamily::kConfig, key)->value;
  CHECK(stored.find(begun.secret_base32.reveal()) == std::string::npos);
  const std::string sealed = stored.substr(stored.find("\"sealed\":\"") + 10);
  const std::string secret =
      std::string(sealer.open(sealed.substr(0, sealed.find('"')), key)->reveal());
  CHECK(to_base32(secret) == begun.secret_base32.reveal());
  const auto code = [&](int64_t steps) {
    return totp_code(secret, rig.clock.unix_ms() / 1000 / kTotpStepS + steps);
  };
  CHECK_FALSE(totp.is_on(id).value());
  for (const int64_t far : {-2, 2}) {
    CHECK(totp.confirm(id, code(far), rig.who).status().reason() == "wrong_code");
  }
  wait_s = 4;
  CHECK(totp.confirm(id, code(0), rig.who).status().reason() == "too_many_tries");
  wait_s = 0;
  const std::vector<Secret> codes =
      totp.confirm(id, " " + code(-1).insert(3, " "), rig.who).value();
  CHECK(totp.is_on(id).value());
  CHECK(totp.confirm(id, code(0), rig.who).status().reason() == "totp_is_on");
  CHECK(totp.start(id, "ada", rig.who).status().reason() == "totp_is_on");
  const std::string on = rig.kv->get(KvFamily::kConfig, key)->value;
  for (const Secret& one : codes) CHECK(on.find(one.reveal()) == std::string::npos);
  CHECK(totp.check(id, code(-1), rig.who).reason() == "wrong_code");
  CHECK(totp.check(id, code(1), rig.who).ok());
  CHECK(totp.check(id, code(1), rig.who).reason() == "wrong_code");
  // Not back in time, either.
  CHECK(totp.check(id, code(0), rig.who).reason() == "wrong_code");
  rig.pass(2 * kTotpStepS);
  CHECK(totp.check(id, code(0), rig.who).ok());
  CHECK(totp.remove(id, "000000", rig.who).reason() == "wrong_code");
  CHECK(totp.remove(id, codes[0].reveal(), rig.who).ok());
  CHECK_FALSE(totp.is_on(id).value());
  CHECK(rig.kv->get(KvFamily::kConfig, key).code() == Code::kNotFound);
  // A secret that nobody confirms is gone after a while.
  REQUIRE(totp.start(id, "ada", rig.who).ok());
  rig.pass(kTotpStartLifetimeS);
  CHECK(totp.confirm(id, "123456", rig.who).status().reason() == "totp_not_started");
  // A record that is damaged lets nobody in.
  REQUIRE(rig.kv
              ->write(
                  [&] {
                    KvBatch batch;
                    batch.put(KvFamily::kConfig, key, std::string("{"));
                    return batch;
                  }(),
                  KvDurability::kSynced)
              .ok());
  CHECK(totp.is_on(id).value());
  CHECK(totp.check(id, "123456", rig.who).code() == Code::kInternal);
  CHECK(totp.take_off(id, rig.who).ok());
}

TEST_CASE("totp: after many wrong codes in a row it takes a recovery code", "[unit][portal]") {
  PeopleRig rig;
  Sealer sealer({Secret(std::string(32, 'k'))}, *rig.entropy);
  int64_t wait_s = 0, tries = 0;
  const auto take_try = [&](std::string_view) {
    tries++;
    return wait_s;
  };
  TotpService totp(*rig.kv, rig.audited, sealer, rig.clock, rig.clock, *rig.entropy, take_try);
  const std::string id = rig.person("ada").id;
  const std::string secret =
      from_base32(std::string(totp.start(id, "ada", rig.who)->secret_base32.reveal()));
  const auto code = [&] {
    rig.pass(2 * kTotpStepS);
    return totp_code(secret, rig.clock.unix_ms() / 1000 / kTotpStepS);
  };
  const std::vector<Secret> recovery = totp.confirm(id, code(), rig.who).value();
  const auto alerts = [&] {
    size_t count = 0;
    for (const KvItem& item : rig.kv->scan(KvFamily::kOutbox, "", "", 1000)->items) {
      count += item.entry.value.find("account.codes_locked") != std::string::npos;
    }
    return count;
  };
  KvBatch opened;
  opened.put(KvFamily::kConfig, std::string("opened"), std::string("1"));
  // A right one begins the count anew, wherever the wrong ones were given.
  for (int i = 1; i < kWrongCodesMax; i++) {
    CHECK(totp.check(id, "000000x", rig.who, opened).reason() == "wrong_code");
  }
  CHECK(rig.kv->get(KvFamily::kConfig, "opened").code() == Code::kNotFound);
  CHECK(totp.check(id, code(), rig.who).ok());
  for (int i = 1; i < kWrongCodesMax; i++) {
    CHECK(totp.check(id, "000000x", rig.who).reason() == "wrong_code");
  }
  CHECK(alerts() == 0);
  CHECK(totp.remove(id, "000000x", rig.who).reason() == "wrong_code");
  CHECK(alerts() == 1);
  CHECK(totp.check(id, code(), rig.who, opened).reason() == "recovery_code_needed");
  CHECK(totp.remove(id, code(), rig.who).reason() == "recovery_code_needed");
  CHECK(totp.check(id, "nonsense", rig.who).reason() == "recovery_code_needed");
  CHECK(alerts() == 1);
  // Whoever goes on takes no tries, and a recovery code needs none.
  tries = 0;
  CHECK(totp.check(id, "000000x", rig.who).reason() == "recovery_code_needed");
  CHECK(totp.confirm(id, "000000x", rig.who).status().reason() == "totp_is_on");
  CHECK(tries == 0);
  wait_s = 4;
  CHECK(totp.check(id, recovery[0].reveal(), rig.who, opened).ok());
  CHECK(totp.check(id, recovery[0].reveal(), rig.who).reason() == "too_many_tries");
  wait_s = 0;
  CHECK(rig.kv->get(KvFamily::kConfig, "opened").ok());
  CHECK(totp.check(id, code(), rig.who).ok());
}
