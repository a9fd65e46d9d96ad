// What may be left undone when memory does not last for it. Elsewhere an allocation that fails ends
// the request that made it (http/serve/listener).
#pragma once
#include <new>
#include <utility>

namespace kvcs {

// False when memory did not last for all of it.
template <typename Function>
bool if_memory_lasts(Function&& function) {
  try {
    std::forward<Function>(function)();
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

}  // namespace kvcs
