// What the tests of budgets share: asks and charges, the rows in the outbox, a process that dies.
#pragma once
#include <map>
#include <string>

#include "ai/budget/budget.h"

namespace kvcs::test {

inline constexpr int64_t kUsd = 1'000'000'000;

ai::BudgetAsk ask(const std::string& id, int64_t estimate,
                  ai::BudgetLimits limits = {-1, kUsd, kUsd});
UsageRecord charge(int64_t cost, int status = 200);
// Usage rows that wait in the outbox: their JSON, by request. Fails the test when one is there
// twice.
std::map<std::string, std::string> rows_in(const KvStore& kv);
// Their sums of cost, by month.
std::map<std::string, int64_t> rows_by_month(const KvStore& kv);
void copy_store(const KvStore& from, KvStore& to);
// As the ledger would say it of a store whose outbox nobody has moved.
ai::Budgets::IsKnown known_in(const KvStore& kv);
// Slots of the journal that hold something.
size_t count_left(const std::string& journal);

}  // namespace kvcs::test
