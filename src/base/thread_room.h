// Whether the system still lets this process start threads. A library that is refused one may abort
// the process instead of saying so; whoever calls such a library asks here first.
#pragma once
#include <string_view>

#include "base/status.h"

namespace kvcs {

// Starts so many threads beside one another and ends them; some tens of microseconds each.
// Unavailable when the system refuses one; `who` needs them. Another process of the same user may
// take them right after.
Status check_thread_room(int count, std::string_view who);

}  // namespace kvcs
