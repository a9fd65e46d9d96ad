// Requests that are tried at several providers: each try that may have acted costs money and has a
// row, the request counts once, and whatever moment ends the process, no try is lost and none is
// charged twice. Method: the memory store; a death is a copy of store and journal, taken at every
// moment and put together in every way that a disk may leave them.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include "ai/budget/budget_ledger.h"
#include "ai/budget/budget_support.h"
#include "ai/budget/charge_journal.h"
#include "base/json.h"
#include "kv/outbox.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"
#include "ledger/usage_report.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

// Input alone: 100.
BudgetAsk ask_try(int64_t attempt, const std::string& id = "r1") {
  BudgetAsk asked = ask(id, 400);
  asked.attempt = attempt;
  return asked;
}

int64_t sum_of_rows(const KvStore& kv) {
  int64_t sum = 0;
  for (const auto& [id, json] : rows_in(kv)) {
    sum += parse_json(json).value().value("cost_nano_usd", int64_t{0});
  }
  return sum;
}

std::vector<std::string> row_ids(const KvStore& kv) {
  std::vector<std::string> ids;
  for (const auto& [id, json] : rows_in(kv)) ids.push_back(id);
  return ids;
}

}  // namespace

TEST_CASE("budget: a try before the last one is money and a row, but no request", "[unit][ai]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  budgets.reserve(ask_try(1))->settle_try(charge(30, 502));
  Result<Reservation> second = budgets.reserve(ask_try(2));
  REQUIRE(second.ok());
  CHECK(second->user_at_admission().used_nano_usd == 30);
  CHECK(second->user_at_admission().request_count == 1);
  second->settle_try(charge(7, 504));
  budgets.reserve(ask_try(3))->settle(charge(50));
  // One whose first provider answered at once.
  budgets.reserve(ask_try(1, "r2"))->settle(charge(1));
  // One of a caller that does not number its tries.
  budgets.reserve(ask("r3", 400))->settle_try(charge(2, 502));
  budgets.reserve(ask("r3", 400))->settle(charge(3, 503));
  REQUIRE(budgets.reconcile().ok());
  for (const auto& [kind, id] :
       std::map<std::string, std::string>{{"key", "k1"}, {"user", "u1"}, {"org", "o1"}}) {
    INFO(kind);
    const BudgetView view = *budgets.view(kind, id, "");
    CHECK(view.used_nano_usd == 93);
    CHECK(view.request_count == 3);
    CHECK(view.error_count == 1);
    CHECK(view.reserved_nano_usd == 0);
  }
  const auto rows = rows_in(*kv);
  CHECK(row_ids(*kv) == std::vector<std::string>{"r1", "r1.1", "r1.2", "r2", "r3", "r3.1"});
  const auto attempt = [&](const char* id) {
    const Json row = parse_json(rows.at(id)).value();
    CHECK(row["request_id"] == id);
    return row.value("attempt", 0);
  };
  CHECK(attempt("r1.1") == 1);
  CHECK(attempt("r1.2") == 2);
  CHECK(attempt("r1") == 3);
  CHECK(attempt("r2") == 0);
  CHECK(attempt("r3.1") == 1);
}

TEST_CASE("budget: killed between any two steps of two tries, each is charged once",
          "[fault][ai]") {
  const bool flush_each = GENERATE(false, true);
  const TempDir dir;
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  struct Moment {
    std::string journal;
    std::unique_ptr<KvStore> store;
    int64_t used, requests;  // As the next start should make them.
    int64_t second;          // The second try's part of it.
  };
  std::vector<Moment> moments;
  {
    Budgets budgets(*kv, clock);
    REQUIRE(budgets.recover(dir.file("journal"), known_in(*kv)).ok());
    const auto note = [&](int64_t used, int64_t requests, int64_t second) {
      Moment now{dir.file("journal" + std::to_string(moments.size())), make_memory_kv(clock), used,
                 requests, second};
      std::filesystem::copy_file(dir.file("journal"), now.journal);
      copy_store(*kv, *now.store);
      moments.push_back(std::move(now));
    };
    const auto flush = [&](int64_t used, int64_t requests, int64_t second) {
      if (!flush_each) return;
      REQUIRE(budgets.reconcile().ok());
      note(used, requests, second);
    };
    Result<Reservation> first = budgets.reserve(ask_try(1));
    note(100, 1, 0);  // Its input, as the last try that it was.
    first->settle_try(charge(30, 502));
    note(30, 0, 0);
    flush(30, 0, 0);
    Result<Reservation> second = budgets.reserve(ask_try(2));
    note(130, 1, 100);
    second->settle(charge(50));
    note(80, 1, 50);
    flush(80, 1, 50);
  }
  for (size_t journal = 0; journal < moments.size(); journal++) {
    // A slot that is given back may stand on disk for longer than its row needs to reach the store.
    for (size_t store = journal; store < moments.size(); store++) {
      INFO("journal of moment " << journal << ", store of moment " << store);
      const auto after = make_memory_kv(clock);
      copy_store(*moments[store].store, *after);
      const std::string path = dir.file("left");
      std::filesystem::copy_file(moments[journal].journal, path,
                                 std::filesystem::copy_options::overwrite_existing);
      for (int restart = 0; restart < 2; restart++) {
        Budgets again(*after, clock);
        REQUIRE(again.recover(path, known_in(*after)).ok());
        const BudgetView view = *again.view("user", "u1", "");
        CHECK(view.used_nano_usd == sum_of_rows(*after));
        CHECK(view.reserved_nano_usd == 0);
        // What the store knows already is not charged again.
        const auto& known = moments[store].store;
        const bool first = rows_in(*known).contains("r1.1"), last = rows_in(*known).contains("r1");
        CHECK(view.used_nano_usd == (last    ? 80
                                     : first ? 30 + moments[journal].second
                                             : moments[journal].used));
        if (store == journal) CHECK(view.request_count == moments[journal].requests);
        CHECK(view.request_count <= 1);
      }
    }
  }
}

TEST_CASE("budget: a try whose charge was torn is charged beside the one that came after it",
          "[fault][ai]") {
  const TempDir dir;
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  {
    Budgets budgets(*kv, clock);
    REQUIRE(budgets.recover(dir.file("journal"), known_in(*kv)).ok());
    budgets.reserve(ask_try(1))->settle_try(charge(30, 502));
    Result<Reservation> second = budgets.reserve(ask_try(2));
    std::filesystem::copy_file(dir.file("journal"), dir.file("left"));
  }
  std::fstream file(dir.file("left"), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(ChargeJournal::kChargeOffset + 20).write("?", 1).flush();
  const auto after = make_memory_kv(clock);
  Budgets again(*after, clock);
  REQUIRE(again.recover(dir.file("left"), known_in(*after)).ok());
  // The torn one may have cost all that was set aside for it, the open one its input.
  CHECK(again.view("user", "u1", "")->used_nano_usd == 400 + 100);
  CHECK(again.view("user", "u1", "")->request_count == 1);
  const auto rows = rows_in(*after);
  CHECK(row_ids(*after) == std::vector<std::string>{"r1", "r1.1"});
  CHECK(parse_json(rows.at("r1")).value()["attempt"] == 2);
  CHECK(parse_json(rows.at("r1.1")).value()["attempt"] == 1);
}

TEST_CASE("budget: a start that dies while it charges two open tries loses neither",
          "[fault][ai]") {
  const TempDir dir;
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  {
    Budgets budgets(*kv, clock);
    REQUIRE(budgets.recover(dir.file("journal"), known_in(*kv)).ok());
    std::optional<Reservation> other = budgets.reserve(ask("r0", 400)).value();
    Result<Reservation> first = budgets.reserve(ask_try(1));
    other.reset();  // Its slot, before the first try's, is the second one's.
    Result<Reservation> second = budgets.reserve(ask_try(2));
    std::filesystem::copy_file(dir.file("journal"), dir.file("left"));
  }
  const int writes = GENERATE(0, 1, 2, 3);  // One for each try, and the note of the journal.
  INFO("dies after " << writes << " writes");
  const auto after = make_memory_kv(clock);
  int written = 0;
  const auto dying = make_faulty_kv(*after, [&](std::string_view op, std::string_view) {
    return op == "write" && written++ >= writes ? unavailable("dead") : ok();
  });
  CHECK(Budgets(*dying, clock).recover(dir.file("left"), known_in(*after)).ok() == (writes == 3));
  Budgets again(*after, clock);
  REQUIRE(again.recover(dir.file("left"), known_in(*after)).ok());
  CHECK(again.view("user", "u1", "")->used_nano_usd == 200);
  CHECK(again.view("user", "u1", "")->request_count == 1);
  CHECK(sum_of_rows(*after) == 200);
  CHECK(row_ids(*after) == std::vector<std::string>{"r1", "r1.1"});
}

TEST_CASE("budget: a stream that was open when its process died costs its input and what passed",
          "[fault][ai]") {
  struct Case {
    int64_t tokens, cost;
  };
  // 100 for the input, and 1.5 nano-dollars a token, rounded up; 400 was set aside.
  const Case one = GENERATE(Case{0, 100}, Case{1, 102}, Case{2, 103}, Case{199, 399},
                            Case{200, 400}, Case{201, 400}, Case{INT64_MAX, 400});
  const TempDir dir;
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  Budgets budgets(*kv, clock);
  REQUIRE(budgets.recover(dir.file("journal"), known_in(*kv)).ok());
  BudgetAsk asked = ask("r1", 400);
  asked.output_token_pico = 1500;
  Result<Reservation> stream = budgets.reserve(std::move(asked));
  stream->note_output(one.tokens / 2);
  stream->note_output(one.tokens);
  std::filesystem::copy_file(dir.file("journal"), dir.file("left"));
  const auto after = make_memory_kv(clock);
  Budgets again(*after, clock);
  REQUIRE(again.recover(dir.file("left"), known_in(*after)).ok());
  CHECK(again.view("org", "o1", "")->used_nano_usd == one.cost);
  const Json row = parse_json(rows_in(*after).at("r1")).value();
  CHECK(row["cost_nano_usd"] == one.cost);
  CHECK(row["reserved_nano_usd"] == 400);
  CHECK(row["recovered"] == true);
  CHECK(row["estimated"] == true);
  if (one.tokens < 1000) CHECK(row.value("output_tokens", int64_t{0}) == one.tokens);
}

TEST_CASE("budget: the ledger counts a request of several tries once, and finds its rows",
          "[unit][ai][ledger]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  const auto put = [&](const std::string& id, int64_t attempt, int64_t cost, int status) {
    UsageRecord row = charge(cost, status);
    row.request_id = id;
    row.attempt = attempt;
    row.organization_id = "o1";
    row.user_id = "u1";
    row.key_id = "k1";
    row.period = "2026-01";
    row.provider = "p" + std::to_string(attempt);
    row.tokens.input = cost;
    row.tokens.estimated = status >= 400;
    row.total_ms = 10;
    KvBatch batch;
    add_to_outbox(batch, "usage", id, row.ts_ms, usage_json(row));
    REQUIRE(f.kv.write(batch, KvDurability::kSynced).ok());
    return row;
  };
  put("r1.1", 1, 30, 502);
  put("r1.2", 2, 7, 504);
  put("r1", 3, 50, 200);
  put("r2", 0, 5, 200);
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT sum(requests) FROM usage_daily") == 2);
  CHECK(f.number("SELECT sum(failures) FROM usage_daily") == 0);
  CHECK(f.number("SELECT sum(cost_nano_usd) FROM usage_daily") == 92);
  CHECK(f.number("SELECT sum(input_tokens) FROM usage_daily") == 92);
  CHECK(f.number("SELECT sum(total_ms) FROM usage_daily") == 20);
  // Some of them still on their way.
  const std::vector<UsageRecord> waiting = {put("r3.1", 1, 1, 502), put("r3", 2, 2, 503)};
  const UsageGroup sum = recount_usage(*f.ledger, "user", "u1", "2026-01", waiting).value();
  CHECK(sum.requests == 3);
  CHECK(sum.failures == 1);
  CHECK(sum.cost_nano_usd == 95);
  KnownUsageRows known(f.kv, *f.ledger);
  for (const char* id : {"r1", "r1.1", "r1.2", "r2", "r3", "r3.1"}) CHECK(*known.contain(id));
  for (const char* id : {"r1.3", "r", "r2.1", ""}) CHECK_FALSE(*known.contain(id));

  const Json one = parse_json_exact(find_request_usage(*f.ledger, "r1", "u1").value()).value();
  CHECK(one["request_id"] == "r1");
  CHECK(one["attempt"] == 3);
  CHECK(one["input_tokens"] == 87);
  CHECK(dump_json(one["cost_usd"]) == "0.000000087");
  CHECK(one["status"] == 200);
  CHECK(one["estimated"] == true);
  CHECK(one["provider"] == "p3");
  REQUIRE(one["attempts"].size() == 3);
  CHECK(one["attempts"][0]["request_id"] == "r1.1");
  CHECK(one["attempts"][1]["status"] == 504);
  CHECK(one["attempts"][2]["estimated"] == false);
  CHECK(dump_json(one["attempts"][2]["cost_usd"]) == "0.00000005");
  const Json single = parse_json(find_request_usage(*f.ledger, "r2", "").value()).value();
  REQUIRE(single["attempts"].size() == 1);
  CHECK(single["attempts"][0]["request_id"] == "r2");
  CHECK(parse_json(find_request_usage(*f.ledger, "r1.2", "").value()).value()["attempts"].size() ==
        1);
  for (const char* nobody : {"r", "r1.", "r1.3", "R1", ""}) {
    INFO(nobody);
    CHECK(find_request_usage(*f.ledger, nobody, "").code() == Code::kNotFound);
  }
  CHECK(find_request_usage(*f.ledger, "r1", "u2").code() == Code::kNotFound);
}
