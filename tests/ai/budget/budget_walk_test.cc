// A random walk of reserve, settle, further tries, cancel, crash and month change against a model
// of what must be: used + reserved never passes a limit, nothing is admitted or refused wrongly,
// nothing is lost, a request counts once, and the rows in the outbox add up to the counters.
// Method: the memory store; a crash is a copy of what store and journal hold at that moment and a
// new Budgets on the copy.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <list>
#include <map>
#include <random>

#include "ai/budget/budget_support.h"
#include "base/json.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

struct Caller {
  const char* key;
  const char* user;
};
constexpr std::array<Caller, 3> kCallers = {{{"k1", "u1"}, {"k2", "u1"}, {"k3", "u2"}}};
constexpr BudgetLimits kLimits{
    .key_nano_usd = 3000, .user_nano_usd = 4000, .organization_nano_usd = 6000};

struct Sum {
  int64_t used = 0, reserved = 0, requests = 0;
};

struct OpenOne {
  Reservation held;
  Caller caller;
  std::string id, month;
  int64_t attempt, estimate, input_only;
  int64_t output = 0;  // Noted; a token costs a nano-dollar.
};

class Walk final {
 public:
  explicit Walk(unsigned seed) : random_(seed) { reopen(make_memory_kv(clock_)); }

  void step() {
    switch (random_() % 21) {
      default:
        return reserve();
      case 8:
      case 9:
      case 10:
      case 11:
        return settle();
      case 12:
        return cancel();
      case 13:
        return clock_.advance_ms(below(600'000));
      case 14:
        if (below(8) == 0) clock_.advance_ms(int64_t{31} * 86'400'000);
        return;
      case 15:
        if (below(4) == 0) crash();
        return;
      case 16:
        REQUIRE(budgets_->reconcile().ok());
        return;
      case 17:
      case 18:
        return try_next();
      case 19:
      case 20:
        return note_output();
    }
  }

  void check() const {
    for (const auto& [name, sum] : model_) {
      INFO(name);
      const auto& [kind, id, month] = name_parts(name);
      const Result<BudgetView> view = budgets_->view(kind, id, month);
      REQUIRE(view.ok());
      REQUIRE(view->used_nano_usd == sum.used);
      REQUIRE(view->reserved_nano_usd == sum.reserved);
      REQUIRE(view->request_count == sum.requests);
      REQUIRE(sum.used + sum.reserved <= limit_of(kind));
    }
  }

  void finish() {
    while (!open_.empty()) cancel();
    check();
    REQUIRE(budgets_->reconcile().ok());
    std::map<std::string, Sum> rows;
    for (const auto& [id, json] : rows_in(*kv_)) {
      const Json row = parse_json(json).value();
      const std::string month = row["period"].get<std::string>();
      for (const auto& [kind, member] : std::map<std::string, std::string>{
               {"key", "key_id"}, {"user", "user_id"}, {"org", "organization_id"}}) {
        Sum& sum = rows[kind + "/" + row[member].get<std::string>() + "/" + month];
        sum.used += row.value("cost_nano_usd", int64_t{0});
        sum.requests += id.find('.') == std::string::npos ? 1 : 0;
      }
    }
    for (const auto& [name, sum] : model_) {
      INFO(name);
      CHECK(rows[name].used == sum.used);
      CHECK(rows[name].requests == sum.requests);
    }
    CHECK(count_left(journal()) == 0);
  }

 private:
  static std::array<std::string, 3> name_parts(const std::string& name) {
    const size_t first = name.find('/'), second = name.rfind('/');
    return {name.substr(0, first), name.substr(first + 1, second - first - 1),
            name.substr(second + 1)};
  }
  static int64_t limit_of(const std::string& kind) {
    return kind == "key"    ? kLimits.key_nano_usd
           : kind == "user" ? kLimits.user_nano_usd
                            : kLimits.organization_nano_usd;
  }
  int64_t below(int64_t bound) { return static_cast<int64_t>(random_()) % bound; }

  std::array<std::string, 3> names(const Caller& caller, const std::string& month) const {
    return {std::string("key/") + caller.key + "/" + month,
            std::string("user/") + caller.user + "/" + month, "org/o1/" + month};
  }

  void reserve() {
    const Caller caller = kCallers[static_cast<size_t>(below(kCallers.size()))];
    reserve(caller, std::to_string(next_id_++), below(3) == 0 ? 1 : 0);
  }

  void reserve(const Caller& caller, const std::string& id, int64_t attempt) {
    const std::string month = format_month(clock_.unix_ms());
    const int64_t estimate = below(900), input_only = estimate / 3;
    bool fits = true;
    int64_t room = INT64_MAX;
    for (const std::string& name : names(caller, month)) {
      const Sum& sum = model_[name];
      const int64_t left = limit_of(name_parts(name)[0]) - sum.used - sum.reserved;
      fits = fits && estimate <= left;
      room = std::min(room, left);
    }
    BudgetAsk asked{.request_id = id,
                    .key_id = caller.key,
                    .user_id = caller.user,
                    .organization_id = "o1",
                    .limits = kLimits,
                    .estimate_nano_usd = estimate,
                    .input_only_nano_usd = input_only,
                    .attempt = attempt,
                    .output_token_pico = 1000};
    REQUIRE(*budgets_->room(asked) == room);
    Result<Reservation> held = budgets_->reserve(std::move(asked));
    REQUIRE(held.ok() == fits);
    if (!fits) return;
    for (const std::string& name : names(caller, month)) model_[name].reserved += estimate;
    open_.push_back({std::move(*held), caller, id, month, attempt, estimate, input_only});
  }

  // What becomes of one open try in the model; cost < 0: it never happened.
  void close(const OpenOne& one, int64_t cost, bool is_last = true) {
    for (const std::string& name : names(one.caller, one.month)) {
      Sum& sum = model_[name];
      sum.reserved -= one.estimate;
      if (cost < 0) continue;
      sum.used += cost;
      sum.requests += is_last ? 1 : 0;
    }
  }

  // The provider may have worked for it, and the request goes on to another one.
  void try_next() {
    if (open_.empty()) return;
    OpenOne one = take();
    const int64_t cost = below(one.estimate + 1);
    close(one, cost, false);
    one.held.settle_try(record(cost));
    reserve(one.caller, one.id, std::max<int64_t>(1, one.attempt) + 1);
  }

  void note_output() {
    if (open_.empty()) return;
    OpenOne& one = *open_.begin();
    one.output += below(200);
    one.held.note_output(one.output);
  }

  // One of them, taken out.
  OpenOne take() {
    auto at = open_.begin();
    std::advance(at, below(static_cast<int64_t>(open_.size())));
    OpenOne one = std::move(*at);
    open_.erase(at);
    return one;
  }

  static UsageRecord record(int64_t cost) {
    UsageRecord record;
    record.model = "m";
    record.cost_nano_usd = cost;
    record.status = 200;
    return record;
  }

  void settle() {
    if (open_.empty()) return;
    OpenOne one = take();
    const int64_t cost = below(one.estimate + 1);
    close(one, cost);
    one.held.settle(record(cost));
  }

  void cancel() {
    if (open_.empty()) return;
    OpenOne one = take();
    int64_t cost = -1;
    if (below(2) == 0) {
      cost = below(one.estimate + 1);
      one.held.set_fallback_charge(record(cost));
    }
    close(one, cost);
  }

  void crash() {
    auto after = make_memory_kv(clock_);
    copy_store(*kv_, *after);
    const std::string left = journal();
    lives_++;
    std::filesystem::copy_file(left, journal());
    for (const OpenOne& one : open_) {
      close(one, std::min(one.estimate, one.input_only + one.output));
    }
    open_.clear();  // Settles in the world that is gone.
    reopen(std::move(after));
  }

  void reopen(std::unique_ptr<KvStore> kv) {
    budgets_.reset();
    kv_ = std::move(kv);
    budgets_ = std::make_unique<Budgets>(*kv_, clock_);
    REQUIRE(budgets_->recover(journal(), known_in(*kv_)).ok());
  }

  std::string journal() const { return dir_.file("journal" + std::to_string(lives_)); }

  TempDir dir_;
  int lives_ = 0;
  std::mt19937 random_;
  ManualClock clock_{1'769'903'000'000};
  std::unique_ptr<KvStore> kv_;
  std::unique_ptr<Budgets> budgets_;
  std::list<OpenOne> open_;           // Ends before the budgets that it points into.
  std::map<std::string, Sum> model_;  // By "kind/id/month".
  int next_id_ = 0;
};

}  // namespace

TEST_CASE("budget: a random walk with crashes keeps every limit and loses nothing", "[unit][ai]") {
  for (unsigned seed = 1; seed <= 40; seed++) {
    INFO("seed " << seed);
    Walk walk(seed);
    for (int i = 0; i < 300; i++) {
      walk.step();
      walk.check();
    }
    walk.finish();
  }
}
