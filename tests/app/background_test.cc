// Goal: the daemon has its jobs and the routes that watch over the tool gateway, and no secret that
// goes in comes out of any of them, the logs included. Method: the whole daemon over HTTP.
#include <mutex>

#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

void set_up_tenant(const TestApp& app) {
  const RawResponse made =
      app.as_owner("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})");
  REQUIRE(made.status == 201);
}

}  // namespace

TEST_CASE("background: the documented jobs are in the table, and each runs", "[unit][app][jobs]") {
  TestApp app;
  const std::string list = app.as_owner("GET", "/admin/jobs").body;
  const std::pair<const char*, const char*> rows[] = {
      {"system-health", "*/5 * * * *"},
      {"token-health", "*/15 * * * *"},
      {"provider-health", "*/30 * * * *"},
      {"ledger-prune", "0 4 * * *"},
      {"autoresearch", "0 6 * * *"},
      {"month-roll", "0 0 1 * *"},
      {"token-refresh", "* * * * *"},
      {"alert-delivery", "* * * * *"},
      {"kv-check", "40 1 * * *"},
      {"artifact-sweep", "*/10 * * * *"},
      {"artifact-text-check", "20 3 * * *"},
      {"database-checkpoint", "*/15 * * * *"},
  };
  for (const auto& [name, schedule] : rows) {
    INFO(name);
    CHECK(list.find("\"job\":\"" + std::string(name) + "\",\"schedule\":\"" + schedule + "\"") !=
          std::string::npos);
    CHECK(app.as_owner("POST", "/admin/jobs/" + std::string(name) + "/run").status == 202);
  }
  CHECK(app.as_owner("POST", "/admin/jobs/none/run").status == 404);
  app.parts().cron->stop();  // Waits for what runs.
  for (const JobStatus& job : app.parts().cron->list()) {
    INFO(job.name << ": " << job.last_result);
    CHECK(job.failures == 0);
  }
  for (const char* key : {"system:health", "system:token_health", "system:provider_health"}) {
    INFO(key);
    CHECK(app.parts().kv->get(KvFamily::kSystem, key).ok());
  }
  CHECK(app.as_owner("GET", "/admin/briefings/latest").status == 200);
  CHECK(app.as_owner("GET", "/admin/briefings/yesterday").status == 400);
}

TEST_CASE("background: accounts are stored, counted and removed, and never shown",
          "[unit][app][jobs]") {
  std::mutex mutex;
  std::string lines;
  TestApp app;
  log::set_level(log::Level::kDebug);
  log::set_sink([&](std::string_view line) {
    const std::lock_guard lock(mutex);
    lines += line;
  });
  set_up_tenant(app);
  const std::string account = "/admin/tenants/acme/providers/notion/accounts/main";
  std::string seen;
  const auto call = [&](const char* method, const std::string& path, int status,
                        const std::string& body = "") {
    const RawResponse response = app.as_owner(method, path, body);
    INFO(method << " " << path << " " << response.body);
    CHECK(response.status == status);
    seen += response.body;
    return response.body;
  };
  call("PUT", account, 201, R"({"access_token":"tool-secret-1","api_key":"tool-secret-2"})");
  call("PUT", account, 200, R"({"access_token":"tool-secret-3"})");
  call("PUT", account, 400, R"({"access_token":"tool-secret-4","expires_at":"tool-secret-5"})");
  call("GET", account, 200);
  call("GET", "/admin/tenants/acme/accounts", 200);
  call("POST", account + "/refresh", 400, "{}");
  call("PUT", "/admin/tenants/nobody/providers/notion/accounts/main", 404,
       R"({"access_token":"tool-secret-6"})");
  call("POST", "/admin/tenants/acme/providers/notion/connect", 400, "{}");
  CHECK(call("GET", "/health", 200).find("\"total\":1") != std::string::npos);
  call("GET", "/metrics", 200);
  call("GET", "/admin/kv/tokens/keys", 200);
  call("GET", "/admin/kv/tokens/values/tokens:acme:notion:main", 200);
  CHECK(app.parts().ledger->drain().ok());
  call("GET", "/admin/audit", 200);
  call("GET", "/admin/errors", 200);
  call("DELETE", account, 200);
  call("GET", account, 404);
  CHECK(app.call("GET", "/connect/notion?ticket=x").status == 404);
  CHECK(app.call("GET", "/connect/callback?state=x&code=tool-secret-7").status == 400);
  log::set_sink(nullptr);
  log::set_level(log::Level::kError);
  CHECK(seen.find("tool-secret") == std::string::npos);
  const std::lock_guard lock(mutex);
  CHECK(lines.find("tool-secret") == std::string::npos);
}
