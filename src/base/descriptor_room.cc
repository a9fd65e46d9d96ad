// The limit is asked for each time, which is one cheap system call and follows `prlimit`.
#include "base/descriptor_room.h"

#include <sys/resource.h>

#include <algorithm>

namespace kvcs {
namespace {

constexpr uint64_t kStoreLeast = 64, kStoreMost = 1024;
constexpr int kRetryAfterS = 1;
constexpr rlim_t kOfUse = 1u << 20;  // More than any configuration opens.

}  // namespace

uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t raised = std::min(limit.rlim_max, kOfUse);
  if (raised <= limit.rlim_cur) return;
  limit.rlim_cur = raised;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // Refused: what there is must do.
}

uint64_t store_descriptors(uint64_t limit) {
  return std::clamp(limit / 4, kStoreLeast, kStoreMost);
}

bool leaves_room(int descriptor) {
  const uint64_t limit = descriptor_limit();
  return static_cast<uint64_t>(descriptor) + store_descriptors(limit) < limit;
}

Status no_descriptors_left() {
  const uint64_t limit = descriptor_limit();
  return unavailable("Files and connections are at the limit of this process: of its " +
                     std::to_string(limit) + " descriptors (RLIMIT_NOFILE) the last " +
                     std::to_string(store_descriptors(limit)) +
                     " are for the stores. Try again when others have ended.")
      .with_reason("descriptors_short")
      .with_retry_after_s(kRetryAfterS);
}

}  // namespace kvcs
