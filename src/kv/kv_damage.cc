// Counts and words of damage. note() is called inside of the store: it does no I/O but for a line
// of the log, once for each damage.
#include "kv/kv_damage.h"

#include "base/bytes.h"
#include "base/damage.h"
#include "base/log.h"

namespace kvcs {
namespace {

constexpr size_t kFoundMax = 64;
constexpr size_t kShownBytes = 400;

}  // namespace

void KvDamage::note(const std::string& found) {
  const std::string shown = printable(found, kShownBytes);
  {
    MutexLock lock(mutex_);
    met_++;
    if (found_.size() >= kFoundMax || !found_.insert(shown).second) return;
    last_ = shown;
    is_news_ = true;
  }
  log::error("kv.damaged", {{"found", shown}});
}

Status KvDamage::status() const {
  MutexLock lock(mutex_);
  return found_.empty() ? ok() : unavailable(words()).with_reason(kKvDamaged);
}

std::optional<std::string> KvDamage::take_news() {
  MutexLock lock(mutex_);
  if (!is_news_) return std::nullopt;
  is_news_ = false;
  return words();
}

uint64_t KvDamage::met() const {
  MutexLock lock(mutex_);
  return met_;
}

std::string KvDamage::words() const {
  return "The key-value store in \"" + printable(path_) + "\" is damaged, in " +
         std::to_string(found_.size()) + (found_.size() == 1 ? " place" : " places") +
         ", last found: " + last_ +
         ". Restore the data directory from a backup; where there is none, stop the daemon and run "
         "kvcs repair --accept kv-files, which first says what will be lost.";
}

}  // namespace kvcs
