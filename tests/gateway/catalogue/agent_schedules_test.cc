// Goal: an operator says when a tenant's agents are to run, and on each day the worker gets what
// falls on it, once. Method: the whole daemon on a clock moved by hand, a worker on loopback.
#include "gateway/catalogue/agent_schedules.h"

#include <nlohmann/json.hpp>

#include "gateway/gateway_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr const char* kPath = "/admin/agent-schedules/kahuna";
constexpr int64_t kMonday2026Ms = 1'767'592'800'000;  // 2026-01-05T06:00:00Z

constexpr const char* kSchedule =
    R"([{"name":"pipeline review","agent_type":"sales","message":"Review the pipeline.",)"
    R"("enabled":true,"cadence":"daily","callback_url":"https://kahuna.example/done"},)"
    R"({"name":"week plan","agent_type":"sales","message":"Plan.","cadence":"weekly_monday"},)"
    R"({"name":"week report","agent_type":"sales","message":"Report.","cadence":"weekly_friday"},)"
    R"({"name":"paused","agent_type":"sales","message":"No.","enabled":false,"cadence":"daily"}])";

// Takes what is posted, or answers 500 to the names that it refuses.
struct Worker {
  std::vector<Json> take() {
    const MutexLock lock(mutex);
    return std::exchange(taken, {});
  }
  void serve(LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      const MutexLock lock(mutex);
      taken.push_back(parse_json(request->body).value());
      heads.push_back(request->head);
      const bool refused = taken.back()["name"] == refusing;
      if (!peer.answer(refused ? "no such agent" : "{}", refused ? "500 Oops" : "202 Taken")) {
        return;
      }
    }
  }
  Mutex mutex;
  std::vector<Json> taken;
  std::vector<std::string> heads;
  std::string refusing;
  LoopbackServer server{[this](LoopbackPeer& peer) { serve(peer); }};
};

struct ScheduleHouse {
  Result<std::string> run() {
    return gateway.app.parts().gateway.agent_schedules->run([] { return false; });
  }
  std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const Json& job : worker.take()) all.push_back(job["name"].get<std::string>());
    return all;
  }
  ManualClock clock{kMonday2026Ms};
  Worker worker;
  GatewayApp gateway{worker.server,
                     [this](Config& config) {
                       config.gateway.agent_worker.url = worker.server.url("/jobs");
                       config.gateway.agent_worker.key = Secret("worker-key-1");
                     },
                     [this] {
                       AppOptions options;
                       options.clock = &clock;
                       return options;
                     }()};
};

}  // namespace

TEST_CASE("agent schedules: an array replaces the whole schedule and is read back",
          "[e2e][gateway]") {
  ScheduleHouse house;
  const GatewayApp& gateway = house.gateway;
  CHECK(gateway.admin("GET", kPath).body == "[]");
  CHECK(gateway.admin("PUT", kPath, kSchedule).body == kSchedule);
  CHECK(gateway.admin("GET", kPath).body == kSchedule);
  struct Row {
    const char* body;
    const char* words;
  };
  const Row rows[] = {
      {"{}", "array"},
      {"[1]", "entry 1"},
      {R"([{"name":"a"}])", "agent_type"},
      {R"([{"name":"a","agent_type":"s","message":"m","cadence":"hourly"}])", "cadence"},
      {R"([{"name":"a","agent_type":"s","message":"m","cadence":"daily","x":1}])", "x"},
      {R"([{"name":"a","agent_type":"s","message":"m","cadence":"daily",)"
       R"("callback_url":"ftp://x"}])",
       "callback_url"},
      {R"([{"name":"a","agent_type":"s","message":"m","cadence":"daily"},)"
       R"({"name":"a","agent_type":"s","message":"m","cadence":"daily"}])",
       "entry 2"},
  };
  for (const Row& row : rows) {
    const RawResponse refused = gateway.admin("PUT", kPath, row.body);
    INFO(row.body << " " << refused.body);
    CHECK(refused.status == 400);
    CHECK(refused.body.find(row.words) != std::string::npos);
  }
  std::string many = "[";
  for (int i = 0; i < 101; i++) many += i == 0 ? "{}" : ",{}";
  CHECK(gateway.admin("PUT", kPath, many + "]").body.find("100") != std::string::npos);
  CHECK(gateway.admin("PUT", "/admin/agent-schedules/nobody", "[]").status == 404);
  CHECK(gateway.admin("GET", "/admin/agent-schedules/nobody").status == 404);
  CHECK(gateway.admin("GET", kPath).body == kSchedule);
  CHECK(gateway.admin("PUT", kPath, "[]").status == 200);
  CHECK(gateway.admin("GET", kPath).body == "[]");
  CHECK(gateway.admin("GET", "/admin/audit").body.find("agent_job_schedule:kahuna") !=
        std::string::npos);
}

TEST_CASE("agent schedules: each day has its entries, and a key that makes them good once",
          "[e2e][gateway]") {
  ScheduleHouse house;
  REQUIRE(house.gateway.admin("PUT", kPath, kSchedule).status == 200);
  CHECK(house.run().value() == R"({"posted":2})");
  const std::vector<Json> monday = house.worker.take();
  REQUIRE(monday.size() == 2);
  CHECK(dump_json(monday[0]) ==
        R"({"tenant":"kahuna","name":"pipeline review","agent_type":"sales",)"
        R"("message":"Review the pipeline.","callback_url":"https://kahuna.example/done"})");
  CHECK(monday[1]["name"] == "week plan");
  const std::string head = house.worker.heads[0];
  CHECK(head.find("Bearer worker-key-1") != std::string::npos);
  CHECK(head.starts_with("POST /jobs "));
  // Again on the same day: the same keys. On the next: others.
  REQUIRE(house.run().ok());
  CHECK(house.worker.heads[2] == head);
  house.worker.take();
  house.clock.advance_ms(86'400'000);
  REQUIRE(house.run().ok());
  CHECK(house.names() == std::vector<std::string>{"pipeline review"});
  CHECK(house.worker.heads[4] != head);
  house.clock.advance_ms(3 * 86'400'000);
  REQUIRE(house.run().ok());
  CHECK(house.names() == std::vector<std::string>{"pipeline review", "week report"});
  // The agents of a tenant that is suspended rest.
  CHECK(house.gateway.admin("POST", "/admin/tenants/kahuna/suspend").status == 200);
  CHECK(house.run().value().empty());
}

TEST_CASE("agent schedules: what the worker does not take is in the error ledger",
          "[fault][gateway]") {
  ScheduleHouse house;
  REQUIRE(house.gateway.admin("PUT", kPath, kSchedule).status == 200);
  house.worker.refusing = "week plan";
  const Result<std::string> ran = house.run();
  CHECK(ran.code() == Code::kUpstream);
  CHECK(ran.status().message().find("1 of 2") != std::string::npos);
  const RawResponse errors = house.gateway.admin("GET", "/admin/errors");
  INFO(errors.body);
  const Json row = parse_json(errors.body).value().at("errors").at(0);
  CHECK(row["action"] == "hermes_scheduled_job");
  CHECK(row["tenant"] == "kahuna");
  CHECK(row["code"] == "UPSTREAM_ERROR");
  CHECK(row["message"] == "week plan: The agent worker answered 500: no such agent");
  // A record that came by import and does not fit.
  house.worker.refusing.clear();
  CHECK(house.gateway
            .admin("PUT", "/admin/kv/config/values/agent_job_schedule:kahuna", R"([{"name":1}])")
            .status == 204);
  CHECK(house.run().value().empty());
  CHECK(house.gateway.admin("GET", "/admin/errors").body.find("entry 1") != std::string::npos);
}
