// Goal: what damage of a store is told, and how often. Method: the same and other findings, as
// requests meet them, and the lines of the log.
#include "base/store_damage.h"

#include <catch2/catch.hpp>

#include <vector>

#include "base/log.h"

using namespace kvcs;

namespace {

struct Book {
  std::vector<std::string> lines;
  StoreDamage damage{{"The store \"/srv\"", "kv.damaged", "kv_damaged", " Mend it."}};
  Book() {
    log::set_sink([this](std::string_view line) { lines.emplace_back(line); });
  }
  ~Book() { log::set_sink(nullptr); }
};

}  // namespace

TEST_CASE("store damage: one that is met again and again is told once", "[unit][base]") {
  Book book;
  CHECK(book.damage.status().ok());
  CHECK_FALSE(book.damage.take_news());
  for (int i = 0; i < 1000; i++) book.damage.note("block 7 of 000012.sst");
  CHECK(book.damage.met() == 1000);
  REQUIRE(book.lines.size() == 1);
  CHECK(book.lines[0].find("\"kv.damaged\"") != std::string::npos);
  CHECK(book.lines[0].find("000012.sst") != std::string::npos);
  const auto news = book.damage.take_news();
  REQUIRE(news);
  CHECK(*news ==
        "The store \"/srv\" is damaged, in 1 place, last found: block 7 of 000012.sst. Mend it.");
  book.damage.note("block 7 of 000012.sst");
  CHECK_FALSE(book.damage.take_news());
  CHECK(book.damage.status().message() == *news);
  CHECK(book.damage.status().reason() == "kv_damaged");
}

TEST_CASE("store damage: another one is news, until there are too many to tell", "[unit][base]") {
  Book book;
  book.damage.note("one");
  REQUIRE(book.damage.take_news());
  book.damage.note("two\x1b[2J");
  const auto news = book.damage.take_news();
  REQUIRE(news);
  CHECK(news->find("in 2 places, last found: two") != std::string::npos);
  CHECK(news->find('\x1b') == std::string::npos);
  for (int i = 0; i < 500; i++) book.damage.note("place " + std::to_string(i));
  CHECK(book.lines.size() == 64);
  CHECK(book.damage.take_news());
  book.damage.note("place 500");
  CHECK_FALSE(book.damage.take_news());
  CHECK(book.damage.met() == 503);
}
