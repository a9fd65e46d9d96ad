// Goal: whoever changes something as an administrator is in the audit, also where the change is no
// value of the key-value store; and wrong keys are, within a bound. Method: the whole daemon, its
// routes called by its owner, and the audit read over HTTP.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "db/db.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// How many rows of the audit have this key and action, and an admin key as the actor.
int count_audit(TestApp& app, const std::string& key, const std::string& action,
                const std::string& actor = "adminkey:") {
  const Result<Json> page =
      parse_json(app.as_owner("GET", "/admin/audit?limit=1000").body, size_t{128});
  REQUIRE(page.ok());
  int found = 0;
  for (const Json& row : page.value()["audit"]) {
    const bool is_it = row["key"].get<std::string>().starts_with(key) && row["action"] == action &&
                       row["actor"].get<std::string>().starts_with(actor);
    found += is_it ? 1 : 0;
  }
  return found;
}

}  // namespace

TEST_CASE("audit: deeds that change no value leave a record of who did them", "[e2e][app]") {
  TestApp app;
  const std::string org = "/admin/organizations/" + app.credential("organization_id");
  const RawResponse made = app.as_owner("POST", org + "/projects", R"({"name":"p"})");
  REQUIRE(made.status == 201);
  const std::string project = json_text(made.body, "project_id");
  CHECK(app.as_owner("DELETE", org + "/projects/" + project).status == 204);
  CHECK(count_audit(app, project, "create") == 1);
  CHECK(count_audit(app, project, "delete") == 1);

  CHECK(app.as_owner("DELETE", "/admin/cache?provider=hubspot").status == 200);
  CHECK(count_audit(app, "cache::hubspot:", "purge") == 1);

  CHECK(app.as_owner("POST", "/admin/jobs/system-health/run").status == 202);
  CHECK(app.as_owner("POST", "/admin/jobs/no-such-job/run").status == 404);
  CHECK(count_audit(app, "job:system-health", "run") == 1);
  CHECK(count_audit(app, "job:no-such-job", "run") == 0);

  CHECK(app.as_owner("PUT", "/admin/tenants/acme", "{}").status == 200);
  CHECK(app.as_owner("PUT", "/admin/providers/consent",
                     R"({"base_url":"https://x.example","auth_type":"oauth2_refresh_token",)"
                     R"("allowed_path_prefixes":["/"],"auth":{"client_id":"c","client_secret":"s",)"
                     R"("token_url":"https://x.example/t","authorize_url":"https://x.example/a"}})")
            .status == 200);
  CHECK(app.as_owner("POST", "/admin/tenants/acme/providers/consent/connect", "{}").status == 201);
  CHECK(count_audit(app, "connect:acme:consent:default", "link") == 1);

  REQUIRE(app.parts()
              .ledger
              ->write([](Database& db) {
                return db.execute(
                    "INSERT INTO decision_log (id, ts_ms, kind, severity, subject, suggestion, "
                    "evidence_json) VALUES ('d1', 1, 'k', 'low', 's', 'x', '{}')");
              })
              .ok());
  CHECK(app.as_owner("PATCH", "/admin/decisions/d1", R"({"status":"accepted"})").status == 200);
  CHECK(count_audit(app, "decision:d1", "accepted") == 1);
}

TEST_CASE("audit: a wrong admin key is told once for an address and minute", "[e2e][app]") {
  ManualClock clock(1'769'947'200'000);
  AppOptions options;
  options.clock = &clock;
  TestApp app(options);
  for (int minute = 1; minute <= 2; minute++) {
    for (int i = 0; i < 5; i++)
      CHECK(app.as("ka_wrong_key_0001", "GET", "/admin/me").status == 401);
    CHECK(count_audit(app, "signin:", "refused", "unknown") == minute);
    clock.advance_ms(60'000);
  }
  // Neither a missing key nor a right one of too small a role is a guess.
  CHECK(app.call("GET", "/admin/me").status == 401);
  CHECK(count_audit(app, "signin:", "refused", "unknown") == 2);
  CHECK(app.as_owner("GET", "/admin/audit").body.find("127.0.0.1") == std::string::npos);
}
