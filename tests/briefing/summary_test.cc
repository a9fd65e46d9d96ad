// Goal: with a model and a key that pays, the daily briefing has a summary, billed like any other
// request; whatever goes wrong with it, the briefing is there. Method: the whole daemon, a provider
// on loopback, the job as Cron runs it.
#include <nlohmann/json.hpp>

#include "briefing/briefing.h"
#include "ledger/rows.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct BriefingHouse {
  BriefingHouse() : house([this](Config& config) { kept = &config; }) {
    kept->briefing.model = "gpt-4o-mini";
    kept->briefing.api_key = Secret(house.key);
    house.app.restart();
    const auto fail_a_job = [](Database& db) {
      return insert_job_run(db, {"ledger-prune", now_ms() - 1000, 5, "disk full", ""});
    };
    REQUIRE(house.app.parts().ledger->write(fail_a_job).ok());
  }
  static int64_t now_ms() { return make_system_clock()->unix_ms(); }
  // What the job reports, and the briefing that it leaves.
  std::string run() {
    Result<std::string> report = house.app.parts().briefing->run();
    INFO(report.status().to_string());
    REQUIRE(report.ok());
    const RawResponse shown = house.admin("GET", "/admin/briefings/latest");
    REQUIRE(shown.status == 200);
    briefing = parse_json(shown.body).value();
    CHECK(has(shown.body, "disk full"));
    CHECK_FALSE(has(shown.body, house.key));
    CHECK_FALSE(has(shown.body, "sk-secret"));
    return report.value();
  }
  Config* kept = nullptr;
  AiHouse house;
  Json briefing;
};

}  // namespace

TEST_CASE("briefing: a model summarizes it on the key that pays",
          "[contract][briefing][gateway][ai]") {
  BriefingHouse world;
  world.house.provider.answer_json(
      R"({"choices":[{"index":0,"message":{"role":"assistant","content":"One job\nfails."}}],)" +
      kUsage + "}");
  CHECK(world.run() == R"({"findings":1,"summary":true})");
  CHECK(world.briefing["summary"] == "One job fails.");
  REQUIRE(world.house.provider.bodies().size() == 1);
  const Json asked = parse_json(world.house.provider.bodies()[0]).value();
  CHECK(asked["model"] == "gpt-4o-mini");
  CHECK(has(asked["messages"][1]["content"].get<std::string>(), "disk full"));
  CHECK(has(world.house.usage(), "\"request_count\":1"));
  CHECK_FALSE(has(world.house.provider.heads()[0], world.house.key));
}

TEST_CASE("briefing: it stands without a summary that fails", "[fault][briefing][gateway][ai]") {
  BriefingHouse world;
  const auto fails_with = [&](const std::string& words) {
    CHECK(world.run() == R"({"findings":1,"summary":false})");
    INFO(world.briefing["summary_error"]);
    CHECK_FALSE(world.briefing.contains("summary"));
    CHECK(has(world.briefing["summary_error"].get<std::string>(), words));
  };
  world.house.provider.answer_json(R"({"error":{"message":"overloaded"}})", "500 Oops");
  fails_with("overloaded");
  world.house.provider.answer_json("{\"choices\":[]," + kUsage + "}");
  fails_with("no text");
  world.house.change_user(R"({"monthly_limit_usd":0})");
  fails_with("limit");
  REQUIRE(
      world.house
          .admin("DELETE", "/admin/users/" + world.house.user + "/api-keys/" + world.house.key_id)
          .status < 300);
  fails_with("key");

  world.kept->briefing.model.clear();
  world.house.app.restart();
  CHECK(world.run() == R"({"findings":1})");
  CHECK_FALSE(world.briefing.contains("summary_error"));
}
