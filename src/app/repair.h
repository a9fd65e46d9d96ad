// What an operator can do about a data directory whose stores do not fit (store_marks.h) when there
// is no backup: accept a loss, knowingly. Nothing is deleted. What is given up stays beside what
// takes its place, renamed with the time: "kv.given-up-20260115T030000Z". Used by `kvcs repair`.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs {

enum class Accept : uint8_t {
  kKv,          // That the key-value store is damaged, in a log or another file, or gone.
  kJournal,     // That charges.journal is.
  kSql,         // That a database, or both, are.
  kGeneration,  // That the stores are of different moments.
  kBlobs,       // That the folder of the blobs is another one, or its mark is damaged.
};
Result<Accept> parse_accept(std::string_view name);  // "kv-log", "journal", …

// What a repair will do, found out without changing anything.
struct RepairPlan {
  std::vector<std::string> losses;   // What will be lost, a sentence each.
  std::vector<std::string> renamed;  // Paths that will be given up.
  std::string next_accept;  // What is still to be accepted afterwards; "" = the daemon can start.
  std::function<Status()> carry_out;
};
// The caller holds the lock of the directory until the plan is carried out. NotFound: no data
// directory. Conflict: it has nothing to be repaired in this way; the message says why.
Result<RepairPlan> plan_repair(const std::string& data_dir, Accept accept, int64_t now_ms);

}  // namespace kvcs
