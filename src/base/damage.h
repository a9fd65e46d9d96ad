// The reasons of failures which prove that a store is damaged: a sum that does not fit, a file that
// is missing or none of its kind, a mark that cannot be read. Whatever else fails may pass.
#pragma once
#include <string_view>

namespace kvcs {

inline constexpr std::string_view kKvDamaged = "kv_damaged";      // kv/
inline constexpr std::string_view kDbDamaged = "db_damaged";      // db/
inline constexpr std::string_view kMarkDamaged = "mark_damaged";  // app/store_marks

}  // namespace kvcs
