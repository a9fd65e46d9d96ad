// The moments for which an organization was told what a change of its plan costs. A change may be
// charged as of such a moment, and of no other: whoever chose it freely would choose the price. In
// memory alone, as a preview is made anew at once. Thread-safe; bounded.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"

namespace kvcs::portal {

inline constexpr int64_t kPreviewLifetimeS = 900;
inline constexpr size_t kPreviewsMax = 10'000;  // Beyond it the oldest goes.

class PreviewTimes final {
 public:
  explicit PreviewTimes(const Clock& clock) : clock_(clock) {}  // Outlives it.

  // `change`: plan and price, as they were asked for.
  void note(std::string_view organization_id, std::string_view change, int64_t at_s);
  // Conflict with reason preview_unknown: this organization was not told of this change as of then,
  // or longer than kPreviewLifetimeS ago.
  Status check(std::string_view organization_id, std::string_view change, int64_t at_s) const;

 private:
  struct Preview {
    std::string organization_id, change;
    int64_t at_s = 0;
  };

  const Clock& clock_;
  mutable Mutex mutex_;
  std::deque<Preview> previews_ KVCS_GUARDED_BY(mutex_);  // The oldest first.
};

}  // namespace kvcs::portal
