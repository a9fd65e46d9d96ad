// Decides whether a refusal gets a row, under a lock that is held over a look into a small set, and
// words the row.
#include "gateway/call/stranger_rows.h"

#include <utility>

#include "base/address_block.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/log.h"

namespace kvcs::gateway {
namespace {

constexpr int64_t kMinuteMs = 60'000, kDayMs = 86'400'000;
constexpr size_t kIpHashHexDigits = 16;

}  // namespace

std::string hash_address(const Secret& key, std::string_view address) {
  return to_hex(hmac_sha256(key.reveal(), address)).substr(0, kIpHashHexDigits);
}

StrangerRows::Verdict StrangerRows::judge(const std::string& block, int64_t unix_ms) {
  const int64_t day = unix_ms / kDayMs, minute = unix_ms / kMinuteMs;
  MutexLock lock(mutex_);
  if (std::exchange(day_, day) != day) rows_today_ = 0;
  if (std::exchange(minute_, minute) != minute) listed_.clear();
  if (rows_today_ >= kStrangerRowsPerDay || !listed_.insert(block).second) {
    unlisted_++;
    return {};
  }
  rows_today_++;
  return {true, std::exchange(unlisted_, 0), rows_today_ == kStrangerRowsPerDay};
}

void StrangerRows::note_earlier(int64_t rows, int64_t unix_ms) {
  MutexLock lock(mutex_);
  day_ = unix_ms / kDayMs;
  rows_today_ = rows;
}

std::optional<ErrorRecord> StrangerRows::note(std::string_view remote_ip, const Status& failure,
                                              int64_t unix_ms) {
  const std::string block = address_block(remote_ip);
  const Verdict verdict = judge(block, unix_ms);
  if (!verdict.has_row) return std::nullopt;
  ErrorRecord record;
  record.ts_ms = unix_ms;
  record.action = kStrangerAction;
  record.message = failure.message();
  if (!failure.cause().empty()) record.message += " (" + failure.cause() + ")";
  if (verdict.unlisted > 0) {
    record.message += " Since the last such row " + std::to_string(verdict.unlisted) +
                      " more requests were refused and only counted.";
  }
  if (verdict.is_last_of_day) {
    record.message += " This is the last such row of this day (UTC); more are only counted.";
  }
  record.ip_hash = hash_address(ip_hash_key_, block);
  return record;
}

void StrangerRows::count_earlier(const Ledger& ledger, int64_t unix_ms) {
  const auto rows =
      ledger.count_errors(kStrangerAction, unix_ms - unix_ms % kDayMs, kStrangerRowsPerDay);
  if (!rows.ok()) {
    log::warn("gateway.strangers_not_counted", {{"error", rows.status().to_string()}});
  }
  note_earlier(rows.ok() ? *rows : kStrangerRowsPerDay, unix_ms);
}

}  // namespace kvcs::gateway
