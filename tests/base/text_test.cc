// What every request pays for: texts checked eight bytes at a time and written member by member.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <simdjson.h>

#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/quick_json.h"

using namespace kvcs;

TEST_CASE("chars: each byte at each place is told plain or not", "[unit][base]") {
  for (size_t size = 1; size <= 35; size++) {
    for (size_t at = 0; at < size; at++) {
      for (int byte = 0; byte < 256; byte++) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(byte);
        const bool control = byte < 0x20 || byte == 0x7f;
        const bool plain = !control && byte < 0x80 && byte != '"' && byte != '\\';
        const bool unescaped = byte >= 0x20 && byte != '"' && byte != '\\';
        const bool in_line = byte != '\n' && byte != '\r';
        if (has_control(text) != control || plain_prefix(text) != (plain ? size : at) ||
            unescaped_prefix(text) != (unescaped ? size : at) ||
            line_prefix(text) != (in_line ? size : at)) {
          FAIL("byte " << byte << " at " << at << " of " << size);
        }
      }
    }
  }
  CHECK(plain_prefix("") == 0);
  CHECK_FALSE(has_control(""));
  // Neighbours that borrow from each other: 0x80 and its like behind a control.
  CHECK_FALSE(has_control("\x80\xff\x80\xff\x80\xff\x80\xff"));
  CHECK(plain_prefix("abc\"\x01\x80zz") == 3);
  CHECK(plain_prefix("the first of \"two\" is meant, and here are more bytes \n") == 13);
  CHECK(unescaped_prefix("caf\xc3\xa9 and \x7f are as they are\\n\"") == 27);
}

TEST_CASE("chars: a set of characters", "[unit][base]") {
  constexpr CharSet kVowels("aeiou");
  CHECK(kVowels.has_all("aeiouuu"));
  CHECK(kVowels.has_all(""));
  CHECK_FALSE(kVowels.has_all("aey"));
  CHECK_FALSE(kVowels.has('\xe1'));
}

TEST_CASE("json text: an object written by members reads back", "[unit][base]") {
  std::string out = "what was there before";
  JsonObjectText row(out, 4);  // Grows.
  const std::string odd = "a\"b\\c\nd\x01 é \xff";
  row.text("id", "0199").text("odd", odd).text("empty", "");
  row.number("most", std::numeric_limits<int64_t>::max());
  row.number("least", std::numeric_limits<int64_t>::min()).number("zero", 0);
  row.flag("yes", true).flag("no", false);
  row.finish();
  std::string quoted;
  append_json_string(quoted, odd);
  CHECK(out == "{\"id\":\"0199\",\"odd\":" + quoted +
                   ",\"empty\":\"\",\"most\":9223372036854775807,\"least\":-9223372036854775808,"
                   "\"zero\":0,\"yes\":true,\"no\":false}");
  CHECK(parse_json(out).ok());

  JsonObjectText none(out, 0);
  none.finish();
  CHECK(out == "{}");
}

TEST_CASE("quick json: one parser for small and large texts", "[unit][base]") {
  QuickParser parser(8);
  simdjson::dom::object root;
  for (const size_t size : {10u, 1'000'000u, 300u, 5'000u, 400'000u, 1u}) {
    const std::string text = "{\"text\":\"" + std::string(size, 'a') + "\"}";
    REQUIRE(parser.parse(text, root));
    std::string_view found;
    REQUIRE(root["text"].get(found) == simdjson::SUCCESS);
    CHECK(found.size() == size);
  }
  CHECK_FALSE(parser.parse("[]", root));
  CHECK_FALSE(parser.fault().empty());
  CHECK_FALSE(parser.parse("", root));
  CHECK_FALSE(parser.too_deep());
  CHECK_FALSE(parser.parse("{\"a\":[[[[[[[[[[[]]]]]]]]]]]}", root));
  CHECK(parser.too_deep());
  CHECK(parser.parse("{\"a\":1}", root));
}

TEST_CASE("text: joined texts have the separator between them only", "[unit][base]") {
  CHECK(join(std::vector<std::string>{}, ", ").empty());
  CHECK(join(std::vector<std::string>{"a"}, ", ") == "a");
  CHECK(join(std::vector<std::string_view>{"a", "", "c"}, "|") == "a||c");
}

TEST_CASE("json: a member of another type reads as none", "[unit][json]") {
  const Json object = parse_json(R"({"t":"x","n":-7,"f":1.5,"z":null,"o":{}})").value();
  CHECK(text_member(object, "t") == "x");
  CHECK(integer_member(object, "n") == -7);
  for (const char* name : {"n", "f", "z", "o", "absent"}) CHECK(text_member(object, name).empty());
  for (const char* name : {"t", "f", "z", "o", "absent"}) CHECK(integer_member(object, name) == 0);
  CHECK(text_member(parse_json("[1]").value(), "t").empty());
  CHECK(integer_member(parse_json("7").value(), "n") == 0);
}
