// Goal: the browser of the key-value store shows no secret, also where it is sealed. Method:
// entries of each kind written straight to a daemon's store, read by its owner over HTTP.
#include "kv/keyspace.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("kv: values that are or hold a secret are not shown to anybody", "[unit][app][kv]") {
  struct Row {
    KvFamily family;
    std::string key;
    bool hidden;
  };
  const std::vector<Row> rows = {
      {KvFamily::kTokens, "tokens:acme:notion:main", true},
      {KvFamily::kTokens, "refresh:acme:notion:main", true},
      {KvFamily::kConfig, "org:o1:credential:openai", true},
      {KvFamily::kConfig, "org:o1:keys:k1", false},
      {KvFamily::kConfig, "org:o1:tokens:t1", false},
      {KvFamily::kSystem, "oauth_state:s1", true},
      {KvFamily::kSystem, "session:s1", true},
      {KvFamily::kSystem, "idempotency:owner:k", true},
      {KvFamily::kSystem, "system:setup_token", true},
      {KvFamily::kSystem, "agent_state:a1", true},
      {KvFamily::kSystem, "briefing:2026-01-01", false},
  };
  TestApp app;
  for (const Row& row : rows) {
    const std::string family(kv_family_name(row.family));
    INFO(family << " " << row.key);
    KvBatch batch;
    batch.put(row.family, row.key, "the-value");
    REQUIRE(app.parts().kv->write(batch, KvDurability::kBuffered).ok());
    for (const std::string& asked : {family, std::string("auto")}) {
      if (asked == "auto" && keyspace::family_of_key(row.key) != row.family) continue;
      const RawResponse shown = app.as_owner("GET", "/admin/kv/" + asked + "/values/" + row.key);
      INFO(asked << " " << shown.body);
      CHECK(shown.status == 200);
      CHECK(json_text(shown.body, "value") == (row.hidden ? "***" : "the-value"));
    }
    CHECK(app.as_owner("GET", "/admin/kv/" + family + "/keys").body.find("the-value") ==
          std::string::npos);
  }
}
