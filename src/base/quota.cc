// The one place that words the figures of a refusal by quota.
#include "base/quota.h"

namespace kvcs {

Status over_quota(std::string_view resource, std::string words, uint64_t used, uint64_t requested,
                  uint64_t limit) {
  return forbidden(std::move(words))
      .with_reason("quota_exceeded")
      .with_details_json("{\"resource\":\"" + std::string(resource) + "\",\"used\":" +
                         std::to_string(used) + ",\"requested\":" + std::to_string(requested) +
                         ",\"limit\":" + std::to_string(limit) + "}");
}

}  // namespace kvcs
