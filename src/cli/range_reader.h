// The bytes behind a URL by several connections at once, handed over in order, so that whoever
// appends them to a file has its beginning at every moment. Holds at most 48 MiB of what came
// early.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cli/api_client.h"

namespace kvcs::cli {

// Less is not worth more than one connection.
inline constexpr uint64_t kRangesFromBytes = 64 << 20;

struct RangeSource {
  std::string url;
  std::string etag;           // Without quotes; never "": pieces of two objects are no object.
  std::string authorization;  // The value of that header, or "".
  uint64_t from = 0, to = 0;  // Bytes from ≤ i < to.
};

// The reason when the server answers a range with something else, or has another object there.
inline constexpr std::string_view kNoRanges = "no_ranges";

// Calls `take` in this thread. A failure of it, or of a request, ends the whole; what has been
// taken by then is the beginning. Unavailable: the system has no thread left.
Status read_ranges(const ApiSettings& settings, const RangeSource& source,
                   const std::function<Status(std::string_view bytes)>& take);

}  // namespace kvcs::cli
