// The rows of the error ledger for callers without a good token. Anybody who reaches the port can
// be refused as often as the network carries, so that rows must not follow from refusals: one for
// each address block and minute, and so many a day in all; the rest is counted here and in the
// metrics. A row is made of our own words alone: neither tenant nor provider of the path, which
// nobody has looked up, and no method, path or account. Thread-safe; memory is bounded by the rows
// of a day.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/secret.h"
#include "base/status.h"
#include "ledger/ledger.h"

namespace kvcs::gateway {

inline constexpr int64_t kStrangerRowsPerDay = 1000;
inline constexpr const char* kStrangerAction = "sign_in";  // Of the rows.

// Addresses are kept as keyed hashes: one caller's errors can be told together without its address
// being stored.
std::string hash_address(const Secret& key, std::string_view address);

class StrangerRows final {
 public:
  explicit StrangerRows(Secret ip_hash_key) : ip_hash_key_(std::move(ip_hash_key)) {}
  // So many rows were listed on the day of `unix_ms` before this object was made.
  void note_earlier(int64_t rows, int64_t unix_ms);
  // The same, of what the ledger says. One that does not say it soon has many rows of this day, and
  // gets no more.
  void count_earlier(const Ledger& ledger, int64_t unix_ms);
  // The row of one refusal, without its status, or nothing when it is only counted. A row says how
  // many were refused without one since the last.
  std::optional<ErrorRecord> note(std::string_view remote_ip, const Status& failure,
                                  int64_t unix_ms);

 private:
  struct Verdict {
    bool has_row = false;
    int64_t unlisted = 0;  // Refusals without a row since the last one.
    bool is_last_of_day = false;
  };
  Verdict judge(const std::string& block, int64_t unix_ms);

  const Secret ip_hash_key_;
  Mutex mutex_;
  int64_t day_ KVCS_GUARDED_BY(mutex_) = -1, minute_ KVCS_GUARDED_BY(mutex_) = -1;
  int64_t rows_today_ KVCS_GUARDED_BY(mutex_) = 0, unlisted_ KVCS_GUARDED_BY(mutex_) = 0;
  std::set<std::string> listed_ KVCS_GUARDED_BY(mutex_);  // Blocks with a row in this minute.
};

}  // namespace kvcs::gateway
