// Goal: a daemon that is killed while everything is sealed anew loses no secret: each opens, under
// the old master key or the new one, and the job goes on to its end in the next life. Method: the
// real binary with so many accounts that the walk takes a while, killed in the middle of it; what
// is in its stores is read with the same code in this process while no daemon has them.
#include <nlohmann/json.hpp>

#include "app/app.h"
#include "app/parts.h"
#include "app/reseal.h"
#include "gateway/tokens/tokens.h"
#include "support/fault_house.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int kAccounts = 300;

struct Held {
  int64_t fresh = 0, old = 0;
};

Held read_held(const std::string& body) {
  const Result<Json> status = parse_json(body);
  if (!status.ok() || (*status)["keys"].size() != 2) return {};
  return {(*status)["keys"][0]["records"].get<int64_t>(),
          (*status)["keys"][1]["records"].get<int64_t>()};
}

// No daemon is on the directory.
Held check_secrets(const std::string& data_dir) {
  const auto app = App::create(TestApp::quiet_config(data_dir));
  INFO(app.status().to_string());
  REQUIRE(app.ok());
  Parts& parts = (*app)->parts();
  const auto counts = count_sealed(*parts.kv);
  REQUIRE(counts.ok());
  Held held;
  for (const auto& [key, records] : *counts) {
    (key == parts.sealer->key_ids().front() ? held.fresh : held.old) += records;
  }
  int opened = 0;
  for (int i = 0; i < kAccounts; i++) {
    const std::string number = std::to_string(i);
    const auto token = parts.gateway.tokens->find({"acme", "crm", "a" + number});
    if (token.ok() && token.value()->access_token.reveal() == "SECRET" + number) opened++;
  }
  CHECK(opened == kAccounts);
  return held;
}

}  // namespace

TEST_CASE("reseal: a walk that is killed loses no secret, and goes on in the next life",
          "[e2e][slow][app]") {
  FaultHouse house("/none/", "admin:\n  requests_per_minute: 1000000\n");
  REQUIRE(house.admin("PUT", "/admin/providers/crm",
                      R"({"base_url":"http://127.0.0.1:1","auth_type":"bearer",)"
                      R"("allow_private_addresses":true})")
                  .status /
              100 ==
          2);
  REQUIRE(house.admin("PUT", "/admin/tenants/acme", "{}").status / 100 == 2);
  for (int i = 0; i < kAccounts; i++) {
    const std::string number = std::to_string(i);
    const RawResponse put =
        house.admin("PUT", "/admin/tenants/acme/providers/crm/accounts/a" + number,
                    R"({"access_token":"SECRET)" + number + "\"}");
    INFO(put.body);
    REQUIRE(put.status / 100 == 2);
  }
  REQUIRE(house.admin("POST", "/admin/master-keys/rotate", "{}").status == 200);
  wait_until([&] { return read_held(house.admin("GET", "/admin/master-keys").body).fresh > 20; },
             "the walk has begun");
  house.kill();
  const Held middle = check_secrets(house.data_dir());
  INFO(middle.fresh << " under the new key, " << middle.old << " under the old one");
  CHECK(middle.fresh > 20);
  CHECK(middle.old > 0);

  house.start();
  wait_until(
      [&] {
        (void)house.admin("POST", "/admin/jobs/reseal/run");
        return read_held(house.admin("GET", "/admin/master-keys").body).old == 0;
      },
      "the walk has ended");
  const RawResponse keys = house.admin("GET", "/admin/master-keys");
  CHECK(keys.body.find("\"removable\":true") != std::string::npos);
  CHECK(house.stop() == 0);
  const Held ended = check_secrets(house.data_dir());
  CHECK(ended.old == 0);
  CHECK(ended.fresh == middle.fresh + middle.old);
}
