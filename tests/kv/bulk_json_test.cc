// Goal: a namespace moves out and in unchanged, and every key finds its family again. Method:
// round trips between memory stores; bad input one fault at a time.
#include "kv/bulk_json.h"

#include <catch2/catch.hpp>

#include "kv/keyspace.h"
#include "support/members.h"

using namespace kvcs;

namespace {

const std::vector<KvFamily> kAll = {KvFamily::kAuth, KvFamily::kConfig, KvFamily::kTokens,
                                    KvFamily::kQuota, KvFamily::kSystem};

std::string export_all(const KvStore& kv) {
  std::string text;
  REQUIRE(export_bulk_json(kv, kAll, "", [&](std::string_view part) {
            text += part;
            return ok();
          }).ok());
  return text;
}

Result<BulkImport> import_into(KvStore& kv, std::string_view json, const Clock& clock,
                               BulkLimits limits = {}) {
  return import_bulk_json(
      json, clock, [&](const KvBatch& batch) { return kv.write(batch, KvDurability::kSynced); },
      limits);
}

}  // namespace

TEST_CASE("keyspace: every key of the table goes back to its family", "[unit][kv]") {
  using namespace keyspace;
  const std::vector<std::pair<KvFamily, std::string>> rows = {
      {KvFamily::kAuth, api_key("ab")},
      {KvFamily::kAuth, tenant_auth("ab")},
      {KvFamily::kAuth, admin_key("ab")},
      {KvFamily::kConfig, org_config("o")},
      {KvFamily::kConfig, org_slug("s")},
      {KvFamily::kConfig, org_key("o", "k")},
      {KvFamily::kConfig, tenant_token("o", "t")},
      {KvFamily::kConfig, org_credential("o", "openai")},
      {KvFamily::kConfig, user_config("u")},
      {KvFamily::kConfig, user_email("o", "a@b.c")},
      {KvFamily::kConfig, user_key("u", "k")},
      {KvFamily::kConfig, admin_key_view("k")},
      {KvFamily::kConfig, api_config("p")},
      {KvFamily::kConfig, tenant_config("t")},
      {KvFamily::kConfig, ai_provider("p")},
      {KvFamily::kConfig, ai_price("m")},
      {KvFamily::kConfig, ai_org_price("o", "m")},
      {KvFamily::kTokens, token("t", "p", "a")},
      {KvFamily::kTokens, refresh("t", "p", "a")},
      {KvFamily::kTokens, refresh_due(1, "t", "p", "a")},
      {KvFamily::kQuota, quota("key", "k", "2026-01")},
      {KvFamily::kQuota, grace("o", "2026-01-01")},
      {KvFamily::kQuota, "user:u:quota"},
      {KvFamily::kQuota, "org:o:quota"},
      {KvFamily::kSystem, last_used("k")},
      {KvFamily::kSystem, cron("job")},
      {KvFamily::kSystem, idempotency("s", "h")},
      {KvFamily::kSystem, "system_state:mode"},
      {KvFamily::kSystem, "briefing:2026-01-01"},
  };
  for (const auto& [family, key] : rows) {
    INFO(key);
    CHECK(family_of_key(key) == family);
  }
  CHECK(token("t", "p", "a") == "tokens:t:p:a");
  CHECK(token("t", "p", "a").starts_with(token_prefix("t", "p")));
  CHECK(org_key("o", "k").starts_with(org_key_prefix("o")));
  CHECK(user_key("u", "k").starts_with(user_key_prefix("u")));
  CHECK(tenant_token("o", "t").starts_with(tenant_token_prefix("o")));
}

TEST_CASE("keyspace: keys with a time sort by it", "[unit][kv]") {
  using namespace keyspace;
  CHECK(refresh_due(99, "z", "z", "z") < refresh_due(100, "a", "a", "a"));
  CHECK(refresh_due(99, "z", "z", "z") < refresh_due_before(100));
  CHECK(refresh_due(100, "a", "a", "a") > refresh_due_before(100));
  CHECK(outbox(9, "z") < outbox(10, "a"));
  CHECK(outbox(-1, "z") == outbox(0, "z"));
}

TEST_CASE("bulk: an export imports to the same, whatever the bytes", "[unit][kv]") {
  const ManualClock clock;
  const auto from = make_memory_kv(clock), to = make_memory_kv(clock);
  KvBatch batch;
  batch.put(KvFamily::kAuth, "apikey:ab", KvEntry{"{\"a\":1}", R"({"m":[1,2.50]})", 4'000'000'000});
  batch.put(KvFamily::kTokens, "tokens:t:p:a", std::string("\0\xff bin", 6));
  batch.put(KvFamily::kConfig, "tenant_config:\u00e4 \"q\"", std::string());
  batch.put(KvFamily::kQuota, "user:u:quota", KvEntry{"{}", {}, clock.unix_s() + 1});
  batch.put(KvFamily::kSystem, "system:health", std::string(2u << 20, 'h'));
  batch.put(KvFamily::kOutbox, "1:x", std::string("audit\n{}"));
  for (int i = 0; i < 1'200; ++i) batch.put(KvFamily::kConfig, "k" + std::to_string(i), "v");
  REQUIRE(from->write(batch, KvDurability::kSynced).ok());
  const std::string text = export_all(*from);
  CHECK(text.find("\"base64\":true") != std::string::npos);
  const auto report = import_into(*to, text, clock);
  INFO(report.status().to_string());
  REQUIRE(report.ok());
  CHECK(report.value().imported == 1'205);
  CHECK(export_all(*to) == text);
  CHECK(to->get(KvFamily::kAuth, "apikey:ab")->metadata == R"({"m":[1,2.50]})");
  CHECK(to->get(KvFamily::kTokens, "tokens:t:p:a")->value == std::string("\0\xff bin", 6));
  CHECK(to->scan(KvFamily::kOutbox, "", "", 1)->items.empty());
}

TEST_CASE("bulk: an empty store exports an empty array", "[unit][kv]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  CHECK(import_into(*kv, export_all(*kv), clock).value().imported == 0);
}

TEST_CASE("bulk: times to live count from now, and what has expired is left out", "[unit][kv]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  const auto report = import_into(*kv,
                                  R"([{"key":"a","value":"1","expiration_ttl":60},
                                      {"key":"b","value":"1","expiration":1000},
                                      {"key":"c","value":"1","metadata":null,"base64":false}])",
                                  clock);
  REQUIRE(report.ok());
  CHECK(report.value().imported == 2);
  CHECK(report.value().expired == 1);
  CHECK(kv->get(KvFamily::kConfig, "a")->expires_at_s == clock.unix_s() + 60);
  CHECK(kv->get(KvFamily::kConfig, "c")->metadata.empty());
}

TEST_CASE("bulk: a bad entry is named by index and key, and nothing is applied", "[unit][kv]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  const std::vector<std::string> rows = {
      R"({"key":"bad","value":1})",
      R"({"key":"bad"})",
      R"({"key":"bad","value":"v","other":1})",
      R"({"key":"bad","value":"v","expiration":"soon"})",
      R"({"key":"bad","value":"v","expiration_ttl":0})",
      R"({"key":"bad","value":"*","base64":true})",
      R"({"key":"bad","value":"v","metadata":")" + std::string(1'100, 'm') + "\"}",
  };
  for (const std::string& row : rows) {
    INFO(row);
    const auto report = import_into(*kv, R"([{"key":"good","value":"v"},)" + row + "]", clock);
    CHECK_FALSE(report.ok());
    const std::string message = report.status().message();
    CHECK(message.find("Entry 1 (key \"bad\")") != std::string::npos);
  }
  for (const char* row : {"7", "{\"value\":\"v\"}", "{\"key\":\"\",\"value\":\"v\"}",
                          "{\"key\":\"..\",\"value\":\"v\"}"}) {
    const auto report = import_into(*kv, std::string("[") + row + "]", clock);
    CHECK(report.code() == Code::kInvalid);
    CHECK(report.status().message().find("Entry 0") != std::string::npos);
  }
  CHECK(import_into(*kv, "{}", clock).code() == Code::kInvalid);
  CHECK(import_into(*kv, "[", clock).code() == Code::kInvalid);
  for (const char* tail : {"", ",", ",]", "] 7", ",{\"key\":\"a\",\"value\":\"v\",\"key\":\"b\"}]",
                           ",{\"key\":\"b\",\"value\":\"\xff\"}]"}) {
    INFO(tail);
    const auto report =
        import_into(*kv, R"([{"key":"good","value":"v"})" + std::string(tail), clock);
    CHECK(report.code() == Code::kInvalid);
  }
  CHECK(kv->scan(KvFamily::kConfig, "", "", 1)->items.empty());
}

TEST_CASE("bulk: limits and failures of the store are returned", "[fault][kv]") {
  const ManualClock clock;
  const auto base = make_memory_kv(clock);
  const std::string two = R"([{"key":"a","value":"v"},{"key":"b","value":"v"}])";
  CHECK(import_into(*base, two, clock, {.entries_max = 1}).code() == Code::kTooLarge);
  CHECK(import_into(*base, two, clock, {.size_max_bytes = 10}).code() == Code::kTooLarge);
  const auto kv = make_faulty_kv(
      *base, [](std::string_view, std::string_view) { return unavailable("planned"); });
  CHECK(import_into(*kv, two, clock).code() == Code::kUnavailable);
  const auto sink = [](std::string_view) { return unavailable("full"); };
  CHECK(export_bulk_json(*kv, kAll, "", [](std::string_view) { return ok(); }).code() ==
        Code::kUnavailable);
  CHECK(export_bulk_json(*base, kAll, "", sink).code() == Code::kUnavailable);
  KvBatch batch;
  batch.put(KvFamily::kConfig, "k\xff", "v");
  REQUIRE(base->write(batch, KvDurability::kSynced).ok());
  CHECK(export_bulk_json(*base, kAll, "", [](std::string_view) { return ok(); }).code() ==
        Code::kInvalid);
}

TEST_CASE("records: an entry goes through the bulk format with every member",
          "[unit][kv][records]") {
  const ManualClock clock;
  const auto from = make_memory_kv(clock), to = make_memory_kv(clock);
  const KvEntry written{"value", R"({"meta":"data"})", clock.unix_s() + 77};
  KvBatch batch;
  batch.put(KvFamily::kConfig, "tenant_config:t", written);
  REQUIRE(from->write(batch, KvDurability::kSynced).ok());
  REQUIRE(import_into(*to, export_all(*from), clock).ok());
  const auto members = [](const KvEntry& entry) {
    const auto& [value, metadata, expires_at_s] = entry;
    return test::name_members("value metadata expires_at_s", value, metadata, expires_at_s);
  };
  test::check_same(members(written), members(to->get(KvFamily::kConfig, "tenant_config:t").value()),
                   members({}));
}
