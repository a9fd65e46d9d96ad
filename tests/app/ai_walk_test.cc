// Money of random requests: limits are never passed, and the ledger, the counters and what the
// providers billed agree. Method: many clients at once make requests over all APIs with all that
// costs, leave when they like, and are answered well or badly by providers that bill by rules of
// their own (support/billing_provider.h). A request and its answer follow from the seed.
#include <poll.h>

#include <atomic>
#include <map>
#include <set>

#include "ai/budget/budget.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "support/billing_rules.h"
#include "support/chance.h"
#include "support/wait.h"
#include "support/walk_asks.h"
#include "support/walk_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

bool has_input(int socket) {
  pollfd entry = {socket, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

// The status of the answer; 0: the client left.
int send(WalkHouse& walk, const std::string& key, const Ask& ask) {
  RawClient client(walk.house.app.port());
  client.send("POST " + ask.path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key +
              "\r\nContent-Length: " + std::to_string(ask.body.size()) + "\r\n\r\n" + ask.body);
  switch (ask.leave) {
    case Leave::kNever:
      return client.read_response().status;
    case Leave::kAtOnce:
      break;
    case Leave::kBeforeHead:
      // A refusal comes without the provider.
      (void)comes_true(
          [&] { return walk.provider.has_come(ask.marker) || has_input(client.socket()); });
      client.reset();
      walk.provider.let_go(ask.marker);
      return 0;
    case Leave::kInAnswer:
      client.read_some();
      break;
  }
  client.reset();
  return 0;
}

// --- What came of it ---

// The marker of the request with this row; "" when no body was kept (the client had left before the
// head of the answer).
std::string marker_of(const AiHouse& house, const std::string& row_id) {
  const std::string id = row_id.substr(0, row_id.find('.'));
  const RawResponse kept = house.admin("GET", "/admin/ai/bodies/" + id);
  const size_t at = kept.body.find("walk-");
  return at == std::string::npos ? "" : kept.body.substr(at, kept.body.find('\\', at) - at);
}

using Senders = std::map<std::string, std::string>;  // Marker → id of the key.

// Each bill has its row. A row that is not estimated costs what was billed, one that is not less.
// Of requests that left no body behind, the sums by key and provider are compared.
void check_bills(const WalkHouse& walk, const std::vector<WalkRow>& rows, const Senders& senders) {
  BillingProvider::Bills bills = walk.provider.bills();
  std::map<std::string, int64_t> left;
  size_t exact = 0, estimated = 0;
  for (const WalkRow& row : rows) {
    CHECK_FALSE(row.recovered);
    const std::string marker = marker_of(walk.house, row.id);
    const auto bill = bills.find({marker, row.provider});
    INFO(marker << " " << row.text);
    if (bill == bills.end()) {
      left[row.key + " " + row.provider] += row.cost;
      continue;
    }
    INFO(bill->second.manner << " " << shown(bill->second.used));
    (row.estimated ? estimated : exact)++;
    if (row.estimated) {
      CHECK(row.cost >= bill->second.nano_usd);
    } else {
      CHECK(row.cost == bill->second.nano_usd);
    }
    bills.erase(bill);
  }
  CHECK(exact > rows.size() / 2);
  CHECK(estimated > rows.size() / 20);
  std::string about;
  for (const auto& [name, bill] : bills) {
    left[senders.at(name.first) + " " + name.second] -= bill.nano_usd;
    about += name.first + " " + std::to_string(bill.nano_usd) + " " + shown(bill.used) + "\n";
  }
  INFO(about);
  for (const auto& [whose, nano_usd] : left) {
    INFO(whose);
    CHECK(nano_usd >= 0);
  }
}

// Walks once. Every kind of answer and of leaving must have happened.
void walk_once(uint64_t seed, int threads, int requests) {
  INFO("seed " << seed);
  WalkHouse walk(seed);
  Mutex mutex;
  Senders senders;
  std::atomic<int> next = 0, answered = 0, refused = 0, invalid = 0, left = 0;
  {
    std::vector<Thread> clients;
    for (int i = 0; i < threads; i++) {
      clients.emplace_back("walk-client", [&] {
        for (int number; (number = next++) < requests;) {
          Random random(seed * 1'000'003 + static_cast<uint64_t>(number));
          const Ask ask =
              make_ask(random, "walk-" + std::to_string(seed) + "-" + std::to_string(number));
          const size_t sender = static_cast<size_t>(random() % walk.keys.size());
          {
            MutexLock lock(mutex);
            senders[ask.marker] = walk.key_ids[sender];
          }
          const int status = send(walk, walk.keys[sender], ask);
          (status == 0 ? left : status == 200 ? answered : status == 400 ? invalid : refused)++;
        }
      });
    }
  }
  // Those who left are settled once their providers have been read to the end.
  ai::Budgets& budgets = *walk.house.app.parts().ai.budgets;
  wait_until([&] { return budgets.stats().open_reservations == 0; }, "every request is settled");
  const std::vector<WalkRow> rows = rows_of(walk.house);
  CHECK(invalid == 0);
  CHECK(left > requests / 10);
  CHECK(answered > requests / 5);
  CHECK(refused > requests / 20);
  check_counters(walk, rows);
  check_bills(walk, rows, senders);
  std::set<std::string> manners;
  for (const auto& [marker, bill] : walk.provider.bills()) manners.insert(bill.manner);
  CHECK(manners.size() == 11);
  check_no_alerts(walk);
}

}  // namespace

TEST_CASE("ai walk: no limit is passed, and rows, counters and bills agree",
          "[contract][ai][walk]") {
  walk_once(1, 24, 400);
}

// `build/release/kvcs_tests "[long-walk]"`, in about a minute.
TEST_CASE("ai walk: many more requests agree too", "[.][long-walk]") {
  for (uint64_t seed = 2; seed < 12; seed++) walk_once(seed, 64, 1'500);
}
