// Walks a prefix by scans. Without a search a scan brings no more entries than the page still
// lacks; with one it brings as many as a scan may, since few of them are expected to fit.
#include "kv/list_walk.h"

#include <algorithm>

namespace kvcs {

Result<std::string> walk_list(const KvStore& kv, KvFamily family, std::string_view prefix,
                              const ListAsk& ask, const ListStep& step) {
  const bool searches = !ask.search.empty();
  std::string from(ask.cursor);
  size_t taken = 0, rows = 0, entries = 0;
  for (;;) {
    const size_t wanted = searches ? kKvScanMax : ask.limit - taken;
    KvPage page = KVCS_TRY(kv.scan(family, prefix, from, std::min(wanted, kKvScanMax)));
    for (size_t i = 0; i < page.items.size(); i++) {
      const Walked walked = KVCS_TRY(step(page.items[i]));
      taken += walked == Walked::kTaken;
      rows += walked != Walked::kNoRow;
      entries++;
      const bool is_full =
          taken == ask.limit ||
          (searches && (rows == kSearchedRowsMax || entries == kSearchedEntriesMax));
      if (!is_full) continue;
      return i + 1 == page.items.size() ? std::move(page.cursor) : std::move(page.items[i].key);
    }
    from = std::move(page.cursor);
    if (from.empty()) return from;
  }
}

}  // namespace kvcs
