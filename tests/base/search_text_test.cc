// A search finds a text wherever it stands in a row, in small letters and large.
#include "base/search_text.h"

#include <catch2/catch.hpp>

#include <string>

using namespace kvcs;

TEST_CASE("search text: small and large letters are the same in three alphabets", "[unit][base]") {
  const std::pair<const char*, const char*> cases[] = {{"ADA@Example.Org", "ada@example.org"},
                                                       {"ÀÖØÞ×÷ß", "àöøþ×÷ß"},
                                                       {"ĀĶĹŇŊŶŸŹŽİĸŉ", "āķĺňŋŷÿźžİĸŉ"},
                                                       {"ΆΈΊΌΎΏΑΩΫΣς", "άέίόύώαωϋσσ"},
                                                       {"ЀЏАЯ", "ѐџая"},
                                                       {"日本 ﬀ 😀", "日本 ﬀ 😀"}};
  for (const auto& [text, folded] : cases) {
    CHECK(fold_case(text) == folded);
    CHECK(fold_case(folded) == folded);
  }
  CHECK(fold_case("\xc3") == "\xc3");  // Half a letter, as no record should have.
}

TEST_CASE("search text: a row fits when one of its texts has it inside", "[unit][base]") {
  const SearchText search = SearchText::read("  Müll ").value();
  CHECK(search.fits({"", "Frau MÜLLER"}));
  CHECK_FALSE(search.fits({"Muller", "Mü", "ll"}));
  CHECK(SearchText().fits({}));
  CHECK(SearchText::read(" \t").value().empty());
  const char* record = R"({"name":"M\u00fcller","n":7,"secret":"mülltonne","more":{"name":"x"}})";
  CHECK(search.fits_members(record, {"id", "name"}));
  CHECK_FALSE(search.fits_members(record, {"id", "n", "more"}));
  CHECK_FALSE(search.fits_members("[]", {"name"}));
  CHECK_FALSE(search.fits_members("{", {"name"}));
}

TEST_CASE("search text: a hundred characters, and no more", "[unit][base]") {
  std::string text;
  for (int i = 0; i < 100; i++) text += "Ж";
  CHECK(SearchText::read(text).ok());
  const Status refused = SearchText::read(text + "Ж").status();
  CHECK(refused.code() == Code::kInvalid);
  CHECK(refused.message() == "q: 101 characters, over 100; search for a part of the text.");
  CHECK(SearchText::read("\xff").code() == Code::kInvalid);
}
