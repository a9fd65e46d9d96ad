// Counts what a prefix holds, page by page, as far as the limit.
#include "kv/room.h"

#include <algorithm>
#include <string>

namespace kvcs {
namespace {

// Small, as a scan brings the values along, and those of accounts may be large.
constexpr size_t kPageItems = 100;

}  // namespace

Result<bool> is_full(const KvStore& kv, KvFamily family, std::string_view prefix, size_t max) {
  std::string cursor;
  for (size_t count = 0; count < max;) {
    KvPage page = KVCS_TRY(kv.scan(family, prefix, cursor, std::min(kPageItems, max - count)));
    count += page.items.size();
    cursor = std::move(page.cursor);
    if (cursor.empty()) return count >= max;
  }
  return true;
}

}  // namespace kvcs
