// Whether there is room for one more record under a prefix. Stateless; thread-safe.
#pragma once
#include <cstddef>
#include <string_view>

#include "kv/kv.h"

namespace kvcs {

// True when at least `max` live entries have keys that start with `prefix`; no more of them are
// read. Writers that look at the same time may each find the last room.
Result<bool> is_full(const KvStore& kv, KvFamily family, std::string_view prefix, size_t max);

}  // namespace kvcs
