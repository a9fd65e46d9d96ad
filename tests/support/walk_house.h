// The house of the walks through the AI door: an organization, users and keys with limits, and
// providers that bill by their own rules behind aliases; and what the ledger and the counters say
// afterwards. For the thread of the test case.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "support/ai_house.h"
#include "support/billing_provider.h"

namespace kvcs::test {

struct WalkSize {
  int keys_per_user = 2;
  int budget_times = 1;  // All limits are so many times as high.
};

// Who has a limit, and whose counter is compared with the rows.
struct Limited {
  std::string kind, id;
  int64_t limit_nano_usd = -1;
};

struct WalkHouse {
  // YAML, in one line.
  static constexpr const char* kAliases =
      "{both: [alpha/uno, beta/uno], pair: [gamma/due, delta/due]}";

  // `at_each_step` as BillingProvider has it.
  explicit WalkHouse(
      uint64_t seed, WalkSize walk_size = {}, std::function<void()> at_each_step = [] {});

  WalkSize size;
  BillingProvider provider;
  AiHouse house;  // Ends first.
  std::vector<std::string> keys, key_ids;
  std::vector<Limited> limited;

 private:
  std::string limit_of(int64_t cents) const;
  void limit(const std::string& kind, const std::string& id, const std::string& usd);
  void add_user(int number);
};

// A row of the ledger, as GET /admin/usage/requests shows it.
struct WalkRow {
  std::string id, provider, user, key;
  int64_t cost = 0, reserved = 0, output_tokens = 0;
  int status = 0;
  bool estimated = false, recovered = false;
  std::string text;
};
std::vector<WalkRow> rows_of(const AiHouse& house);

// Checks that the counters of all users, keys and organizations are the sums of their rows, that
// nothing is set aside any more, and that no limit was passed.
void check_counters(WalkHouse& walk, const std::vector<WalkRow>& rows);
// Checks that no alert says that a bound was wrong.
void check_no_alerts(const WalkHouse& walk);

}  // namespace kvcs::test
