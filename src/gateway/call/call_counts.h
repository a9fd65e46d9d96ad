// How many calls each organization has made in this UTC month, for the limit of its plan. Counted
// in memory. The store has a number that runs some calls ahead, and that flush() makes exact: a
// process that dies mostly counts a few calls that were not made. It forgets calls that came while
// a write ahead was under way or failed, and those whose write the last moments before a power cut
// took along. Nothing is billed by it. Thread-safe; memory for each organization that called this
// month.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "kv/kv.h"

namespace kvcs::gateway {

class CallCounts final {
 public:
  CallCounts(KvStore& kv, const Clock& clock) : kv_(kv), clock_(clock) {}

  // Counts one call more. Forbidden with reason CALLS_QUOTA_EXCEEDED when `allowed` are made
  // (negative: no limit); Unavailable when there is a limit and the store does not answer.
  Status take(std::string_view organization_id, int64_t allowed);
  Result<int64_t> used(std::string_view organization_id);
  // Writes what the store does not have exactly. A cron job, and the end of the process.
  Status flush();

 private:
  struct Count {
    std::string month;
    int64_t used = 0, stored = 0;
    bool writing = false;  // A thread writes this count; the others leave it to that one.
  };
  // Reads the count of this month into memory, if it is not there.
  Status load(std::string_view organization_id, const std::string& month);
  Status write(std::string_view organization_id, const std::string& month, int64_t number);

  KvStore& kv_;
  const Clock& clock_;
  Mutex mutex_;
  std::map<std::string, Count, std::less<>> counts_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::gateway
