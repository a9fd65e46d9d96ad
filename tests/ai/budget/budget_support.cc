#include "ai/budget/budget_support.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "ai/budget/charge_journal.h"
#include "base/json.h"
#include "kv/outbox.h"

namespace kvcs::test {

ai::BudgetAsk ask(const std::string& id, int64_t estimate, ai::BudgetLimits limits) {
  return {.request_id = id,
          .key_id = "k1",
          .user_id = "u1",
          .organization_id = "o1",
          .limits = limits,
          .estimate_nano_usd = estimate,
          .input_only_nano_usd = estimate / 4};
}

UsageRecord charge(int64_t cost, int status) {
  UsageRecord record;
  record.model = "m";
  record.ts_ms = 1'767'225'600'000;  // 2026-01-01
  record.cost_nano_usd = cost;
  record.status = status;
  return record;
}

std::map<std::string, std::string> rows_in(const KvStore& kv) {
  std::map<std::string, std::string> rows;
  REQUIRE(for_each_in_outbox(kv, [&](const OutboxRecord& record) {
            if (record.kind != "usage") return ok();  // An alert.
            CHECK(rows.emplace(record.id, record.payload_json).second);
            return ok();
          }).ok());
  return rows;
}

std::map<std::string, int64_t> rows_by_month(const KvStore& kv) {
  std::map<std::string, int64_t> sums;
  for (const auto& [id, json] : rows_in(kv)) {
    const Json row = parse_json(json).value();
    sums[row["period"].get<std::string>()] += row.value("cost_nano_usd", int64_t{0});
  }
  return sums;
}

void copy_store(const KvStore& from, KvStore& to) {
  for (const KvFamily family : {KvFamily::kQuota, KvFamily::kOutbox}) {
    REQUIRE(kv_for_each(from, family, "", [&](const KvItem& item) {
              KvBatch batch;
              batch.put(family, item.key, item.entry);
              return to.write(batch, KvDurability::kBuffered);
            }).ok());
  }
}

ai::Budgets::IsKnown known_in(const KvStore& kv) {
  return
      [&kv](std::string_view id) -> Result<bool> { return rows_in(kv).count(std::string(id)) > 0; };
}

size_t count_left(const std::string& journal) {
  return ai::ChargeJournal::read(journal)->all.size();
}

}  // namespace kvcs::test
