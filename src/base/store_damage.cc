// Counts and words of damage. note() is called inside of the store: it does no I/O but for a line
// of the log, once for each damage.
#include "base/store_damage.h"

#include "base/bytes.h"
#include "base/log.h"

namespace kvcs {
namespace {

constexpr size_t kFoundMax = 64;
constexpr size_t kShownBytes = 400;

}  // namespace

void StoreDamage::note(const std::string& found) {
  const std::string shown = printable(found, kShownBytes);
  {
    MutexLock lock(mutex_);
    met_++;
    if (found_.size() >= kFoundMax || !found_.insert(shown).second) return;
    last_ = shown;
    is_news_ = true;
  }
  log::error(store_.event, {{"found", shown}});
}

Status StoreDamage::status() const {
  MutexLock lock(mutex_);
  return found_.empty() ? ok() : unavailable(words()).with_reason(store_.reason);
}

std::optional<std::string> StoreDamage::take_news() {
  MutexLock lock(mutex_);
  if (!is_news_) return std::nullopt;
  is_news_ = false;
  return words();
}

uint64_t StoreDamage::met() const {
  MutexLock lock(mutex_);
  return met_;
}

std::string StoreDamage::words() const {
  return store_.what + " is damaged, in " + std::to_string(found_.size()) +
         (found_.size() == 1 ? " place" : " places") + ", last found: " + last_ + "." +
         store_.ways_out;
}

}  // namespace kvcs
