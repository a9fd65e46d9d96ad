// Pages of a walk: each row once, whatever is searched for, and bounded work for each page.
#include "kv/list_walk.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace kvcs;

namespace {

std::string key_of(size_t i) {
  char text[32];
  std::snprintf(text, sizeof text, "row:%06zu", i);
  return text;
}

struct Rows {
  ManualClock clock;
  std::unique_ptr<KvStore> kv = make_memory_kv(clock);
  size_t visits = 0;  // Of the last page.

  explicit Rows(size_t count) {
    for (size_t i = 0; i < count;) {
      KvBatch batch;
      for (size_t end = std::min(count, i + 10'000); i < end; i++) {
        batch.put(KvFamily::kConfig, key_of(i), i % 1000 == 7 ? "seventh" : "other");
      }
      REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
    }
  }
  // Appends the keys of one page, and returns the cursor.
  std::string page(const ListAsk& ask, std::vector<std::string>& keys, size_t row_every = 1) {
    visits = 0;
    const auto step = [&](const KvItem& item) -> Result<Walked> {
      if (visits++ % row_every != 0) return Walked::kNoRow;
      if (!ask.search.fits({item.entry.value})) return Walked::kPassed;
      keys.push_back(item.key);
      return Walked::kTaken;
    };
    return walk_list(*kv, KvFamily::kConfig, "row:", ask, step).value();
  }
};

}  // namespace

TEST_CASE("list walk: a page is full, and the last one has no cursor", "[unit][kv]") {
  Rows rows(2500);
  for (const size_t limit : {1250u, 2500u, 2501u, 999u}) {
    std::vector<std::string> keys;
    std::string cursor;
    size_t pages = 0;
    do {
      cursor = rows.page({cursor, limit, {}}, keys);
      CHECK(rows.visits == std::min(limit, 2500 - pages * limit));
      pages++;
    } while (!cursor.empty());
    CHECK(pages == (2500 + limit - 1) / limit);
    REQUIRE(keys.size() == 2500);
    for (size_t i = 0; i < keys.size(); i++) REQUIRE(keys[i] == key_of(i));
  }
}

TEST_CASE("list walk: a search of 100,000 rows looks at 5,000 a page and finds each once",
          "[unit][kv]") {
  Rows rows(100'000);
  const SearchText search = SearchText::read("SEVEN").value();
  for (const size_t limit : {3u, 1000u}) {
    std::vector<std::string> keys;
    std::string cursor;
    size_t pages = 0;
    do {
      cursor = rows.page({cursor, limit, search}, keys);
      CHECK(rows.visits <= kSearchedRowsMax);
      pages++;
    } while (!cursor.empty());
    CHECK(pages == (limit == 3 ? 34 : 20));
    REQUIRE(keys.size() == 100);
    for (size_t i = 0; i < keys.size(); i++) CHECK(keys[i] == key_of(i * 1000 + 7));
  }
  // What fits no row is an empty page with a cursor, until the end.
  std::vector<std::string> none;
  CHECK(rows.page({{}, 100, SearchText::read("nowhere").value()}, none) ==
        key_of(kSearchedRowsMax - 1));
  CHECK(none.empty());
}

TEST_CASE("list walk: entries that are no rows have a bound of their own", "[unit][kv]") {
  Rows rows(60'000);
  std::vector<std::string> keys;
  const ListAsk ask{{}, 10, SearchText::read("nowhere").value()};
  rows.page(ask, keys, 4);
  CHECK(rows.visits == 4 * kSearchedRowsMax - 3);
  rows.page(ask, keys, 100'000);
  CHECK(rows.visits == kSearchedEntriesMax);
}

TEST_CASE("list walk: the failure of a step ends the walk", "[unit][kv]") {
  Rows rows(3);
  const auto step = [](const KvItem&) -> Result<Walked> { return unavailable("Not now."); };
  CHECK(walk_list(*rows.kv, KvFamily::kConfig, "row:", {}, step).code() == Code::kUnavailable);
}
