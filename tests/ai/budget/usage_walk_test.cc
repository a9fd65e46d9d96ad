// Goal: no stage between a settlement and its readers drops a member of the usage record. Method:
// the record of usage_walk.h, which the table of members fills, goes through each stage as the
// daemon would send it: its JSON, the journal and its recovery, the outbox, SQL, the lists in JSON
// and CSV; every member is compared. tests/app/ai_usage_test.cc has the doors.
#include "support/usage_walk.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <set>

#include "ai/ai_admin_api.h"
#include "ai/budget/budget_support.h"
#include "ai/budget/charge_journal.h"
#include "base/bytes.h"
#include "base/json.h"
#include "kv/outbox.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

OutsideMembers members_of_json(const std::string& text) {
  OutsideMembers all;
  const Json row = parse_json_exact(text).value();
  for (const auto& [name, value] : row.items()) {
    all.emplace_back(name, value.is_string() ? value.get<std::string>() : dump_json(value));
  }
  return all;
}

OutsideMembers members_of_csv(const std::string& header, const std::string& line) {
  OutsideMembers all;
  const auto names = split(trim(header), ','), values = split(trim(line), ',');
  REQUIRE(names.size() == values.size());
  for (size_t i = 0; i < names.size(); i++) all.emplace_back(names[i], values[i]);
  return all;
}

void put(KvStore& kv, const UsageRecord& record) {
  KvBatch batch;
  add_to_outbox(batch, "usage", record.request_id, record.ts_ms, usage_json(record));
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
}

// The names before the "!" of a type's lines.
std::vector<std::string> names_of_type(std::string_view type) {
  std::vector<std::string> names;
  for (const http::ApiType& one : AiAdminApi::usage_types()) {
    if (one.name != type) continue;
    for (const std::string_view line : split(one.members, '\n')) {
      if (!line.empty()) names.emplace_back(line.substr(0, line.find('!')));
    }
  }
  return names;
}

}  // namespace

TEST_CASE("usage walk: each member of the record has a value that is no default and no other's",
          "[unit][ledger][records]") {
  std::set<std::string> seen;
  const OutsideMembers full = outside(walked_record()), empty = outside(UsageRecord{});
  for (size_t i = 0; i < full.size(); i++) {
    const auto& [name, value] = full[i];
    INFO(name << " = " << value);
    CHECK(value != empty[i].second);
    CHECK((value == "true" || seen.insert(value).second));
  }
}

TEST_CASE("usage walk: the record's JSON has every member", "[unit][ledger][records]") {
  UsageRecord read;
  REQUIRE(parse_usage(usage_json(walked_record()), read).ok());
  CHECK(outside(read) == outside(walked_record()));
  // A record that is used again keeps nothing of the last one.
  REQUIRE(parse_usage(R"({"ts_ms":1,"status":200})", read).ok());
  UsageRecord plain;
  plain.ts_ms = 1;
  plain.status = 200;
  CHECK(outside(read) == outside(plain));
}

TEST_CASE("usage walk: a charge comes back from the journal with every member",
          "[unit][ai][records]") {
  const TempDir dir;
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  const UsageRecord written = walked_record();
  {
    ChargeJournal journal;
    REQUIRE(journal.open(dir.file("journal")).ok());
    const uint32_t slot = *journal.begin("{}");
    REQUIRE(journal.note_charge(slot, usage_json(written)).ok());
  }
  Budgets budgets(*kv, clock);
  REQUIRE(budgets.recover(dir.file("journal"), known_in(*kv)).ok());
  UsageRecord read;
  REQUIRE(parse_usage(rows_in(*kv).at(written.request_id), read).ok());
  CHECK(outside(read) == outside(written));
}

TEST_CASE("usage walk: a settlement reaches the outbox with every member", "[unit][ai][records]") {
  const ManualClock clock(kWalkTimeMs);
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  UsageRecord wanted = walked_record();
  BudgetAsk asked = ask(wanted.request_id, wanted.reserved_nano_usd);
  asked.key_id = wanted.key_id;
  asked.user_id = wanted.user_id;
  asked.organization_id = wanted.organization_id;
  Result<Reservation> held = budgets.reserve(std::move(asked));
  REQUIRE(held.ok());
  held->settle(wanted);
  REQUIRE(budgets.reconcile().ok());
  UsageRecord read;
  REQUIRE(parse_usage(rows_in(*kv).at(wanted.request_id), read).ok());
  wanted.grace = false;  // The reservation's own.
  CHECK(outside(read) == outside(wanted));
}

TEST_CASE("usage walk: a row is listed with every member, as JSON and as CSV",
          "[unit][ai][ledger][records]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  put(f.kv, walked_record());
  REQUIRE(f.ledger->drain().ok());
  const LedgerPage json = f.ledger->query({.table = "usage"}).value();
  REQUIRE(json.rows.size() == 1);
  CHECK(members_of_json(json.rows[0]) == outside(walked_record()));
  LedgerQuery query;
  query.table = "usage";
  query.format = RowFormat::kCsv;
  const LedgerPage csv = f.ledger->query(query).value();
  REQUIRE(csv.rows.size() == 1);
  CHECK(members_of_csv(Ledger::csv_header("usage").value(), csv.rows[0]) ==
        outside(walked_record()));
}

TEST_CASE("usage walk: the description of the API has every member of a row and no other",
          "[unit][ai][records]") {
  std::vector<std::string> wanted;
  for (const auto& [name, value] : outside(UsageRecord{})) wanted.push_back(name);
  CHECK(names_of_type("UsageRow") == wanted);
  wanted.emplace_back("attempts");
  CHECK(names_of_type("RequestUsage") == wanted);
}
