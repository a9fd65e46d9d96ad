// The files of a store's directory as a copy of it begins with them. A function without state; the
// caller has the directory to itself. Internal to kv/.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

// Makes the directory `to` with the files of `from`, but for the lock, the notes about the logs,
// which are true of `from` alone, and what `is_left_out`. Tables are linked, for they never change.
Status link_kv_files(const std::string& from, const std::string& to,
                     const std::function<bool(std::string_view name)>& is_left_out);

}  // namespace kvcs
