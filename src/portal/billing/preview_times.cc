// Keeps the previews of plan changes in the order in which they were made.
#include "portal/billing/preview_times.h"

#include <algorithm>

namespace kvcs::portal {

void PreviewTimes::note(std::string_view organization_id, std::string_view change, int64_t at_s) {
  const MutexLock lock(mutex_);
  const int64_t oldest_s = clock_.unix_s() - kPreviewLifetimeS;
  while (!previews_.empty() &&
         (previews_.front().at_s < oldest_s || previews_.size() >= kPreviewsMax)) {
    previews_.pop_front();
  }
  previews_.push_back({std::string(organization_id), std::string(change), at_s});
}

Status PreviewTimes::check(std::string_view organization_id, std::string_view change,
                           int64_t at_s) const {
  const MutexLock lock(mutex_);
  const bool is_young = at_s >= clock_.unix_s() - kPreviewLifetimeS;
  const bool is_known =
      is_young && std::any_of(previews_.begin(), previews_.end(), [&](const Preview& one) {
        return one.at_s == at_s && one.organization_id == organization_id && one.change == change;
      });
  if (is_known) return ok();
  return conflict(
             "at: no preview of this change was made as of then within the last 15 minutes. Ask "
             "for one (\"preview\": true), or leave it out.")
      .with_reason("preview_unknown");
}

}  // namespace kvcs::portal
