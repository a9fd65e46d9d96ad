// Goal: secret values that records of tenants have from before are sealed in a directory that is
// used, once no older program takes it any more, and go on reaching the provider and nobody else.
// Method: a record as an older program wrote it, put straight into a daemon's store; a provider on
// loopback that says what it was sent.
#include <nlohmann/json.hpp>

#include "app/jobs.h"
#include "app/store_marks.h"
#include "gateway/gateway_house.h"
#include "kv/keyspace.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

LoopbackServer::Behaviour echo_head() {
  return [](LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      if (!peer.answer(dump_json(Json{{"head", request->head}}))) return;
    }
  };
}

struct OldTenant {
  OldTenant() {
    const RawResponse put = gateway.admin(
        "PUT", "/admin/providers/local",
        R"({"base_url":")" + upstream.url("") +
            R"(","auth_type":"bearer","allow_private_addresses":true,)"
            R"("default_headers":{"x-plain":"{meta.customer}","x-dev":"{meta.developer_token}"}})");
    INFO(put.body);
    REQUIRE(put.status == 200);
    KvBatch batch;
    batch.put(KvFamily::kConfig, keyspace::tenant_config("kahuna"),
              R"({"tenant_id":"kahuna","name":"Kahuna","status":"active","incarnation":"i-1",)"
              R"("local":{"developer_token":"OLD-SECRET","customer":"T-12"}})");
    REQUIRE(gateway.app.parts().kv->write(batch, KvDurability::kSynced).ok());
  }
  std::string stored() {
    return gateway.app.parts()
        .kv->get(KvFamily::kConfig, keyspace::tenant_config("kahuna"))
        .value()
        .value;
  }
  std::string run_job() {
    const std::atomic<bool> cancelled = false;
    for (const Job& job : all_jobs(gateway.app.parts())) {
      if (job.name != "reseal") continue;
      const Result<std::string> report = job.run(JobContext{cancelled});
      INFO(report.status().to_string());
      REQUIRE(report.ok());
      return *report;
    }
    return "no such job";
  }
  void check_call() {
    const RawResponse answer =
        gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"path":"/me"})");
    INFO(answer.body);
    CHECK(answer.status == 200);
    CHECK(has(answer.body, "x-dev: OLD-SECRET"));
    CHECK(has(answer.body, "x-plain: T-12"));
  }

  LoopbackServer upstream{echo_head()};
  GatewayApp gateway{upstream};
};

}  // namespace

TEST_CASE("tenant secrets: what a record has from before is sealed, and goes on working",
          "[e2e][gateway][app]") {
  OldTenant old;
  GatewayApp& gateway = old.gateway;
  old.check_call();
  CHECK(old.run_job() == R"({"sealed_tenants":1})");
  CHECK_FALSE(has(old.stored(), "OLD-SECRET"));
  CHECK(has(old.stored(), "secrets_sealed"));
  CHECK(has(old.stored(), "T-12"));
  CHECK(old.run_job().empty());
  old.check_call();
  for (const char* path : {"/admin/tenants/kahuna", "/admin/tenants",
                           "/admin/kv/config/values/tenant_config:kahuna"}) {
    const RawResponse shown = gateway.admin("GET", path);
    INFO(shown.body);
    CHECK(shown.status == 200);
    CHECK(has(shown.body, "developer_token"));
    CHECK(has(shown.body, "***"));
    CHECK_FALSE(has(shown.body, "OLD-SECRET"));
    const std::string sealed = json_text(old.stored(), "secrets_sealed");
    REQUIRE(sealed.size() > 20);
    CHECK_FALSE(has(shown.body, sealed));
  }
  // A change that keeps the record keeps them.
  REQUIRE(gateway.admin("POST", "/admin/tenants/kahuna/suspend").status == 200);
  REQUIRE(gateway.admin("POST", "/admin/tenants/kahuna/resume").status == 200);
  old.check_call();
  gateway.app.restart();
  old.check_call();
}

TEST_CASE("tenant secrets: nothing is sealed in a directory that an older program would take",
          "[fault][gateway][app]") {
  OldTenant old;
  KvStore& kv = *old.gateway.app.parts().kv;
  StoreMark mark = read_mark(kv, "kv").value().value();
  CHECK(mark.format == kDataFormat);
  mark.format = 1;
  REQUIRE(write_mark(kv, mark).ok());
  CHECK(old.run_job().empty());
  CHECK(has(old.stored(), "OLD-SECRET"));
  old.gateway.app.restart();
  CHECK(read_mark(*old.gateway.app.parts().kv, "kv").value()->format == kDataFormat);
  CHECK(old.run_job() == R"({"sealed_tenants":1})");
  CHECK_FALSE(has(old.stored(), "OLD-SECRET"));
  old.check_call();
}
