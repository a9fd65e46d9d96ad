// Reads one page of a list that is walked in order of keys, with or without a search. Stateless;
// thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/search_text.h"
#include "kv/kv.h"

namespace kvcs {

// Where a page begins, how many rows it has at most, and which rows fit.
struct ListAsk {
  std::string_view cursor = {};
  size_t limit = kKvScanMax;
  SearchText search = {};
};

// What an entry is to the list: no row of it (a part of another one), one that does not fit, or one
// that was taken.
enum class Walked : uint8_t { kNoRow, kPassed, kTaken };
using ListStep = std::function<Result<Walked>(const KvItem& item)>;

// Visits live entries whose key starts with `prefix`, after the cursor, until `limit` rows were
// taken. A search ends before that when it has looked at kSearchedRowsMax rows, or at
// kSearchedEntriesMax entries. Returns the cursor to go on with; "" after the last entry.
inline constexpr size_t kSearchedEntriesMax = 5 * kSearchedRowsMax;
Result<std::string> walk_list(const KvStore& kv, KvFamily family, std::string_view prefix,
                              const ListAsk& ask, const ListStep& step);

}  // namespace kvcs
