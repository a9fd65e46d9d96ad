// Goal: the walk over JSON text passes exactly the grammar, and an edit of one member leaves every
// other byte. Method: tables of good, bad and edited texts.
#include "base/json_cursor.h"

#include <catch2/catch.hpp>

using namespace kvcs;

namespace {

std::string found(std::string_view text, std::string_view name) {
  const auto span = find_json_member(text, name);
  return span ? std::string(text.substr(span->begin, span->end - span->begin)) : "none";
}

std::string edited(std::string text, std::string_view name, std::string_view value) {
  set_json_member(text, name, value);
  return text;
}

}  // namespace

TEST_CASE("json cursor: exactly the JSON grammar passes", "[unit][base]") {
  for (const char* good : {"{}", "[]", " [1 , 2] ", "-0", "0.5e-3", "\"\\ud83d\\ude00\"", "true",
                           "null", R"({"a":{"b":[{},[],""]}})"}) {
    INFO(good);
    CHECK(is_json(good));
  }
  for (const char* bad :
       {"",    " ",     "{",     "[1,]",  "{\"a\":1,}", "{,}",      "01",      "1.",
        ".5",  "+1",    "1e",    "nul",   "truex",      "\"",       "\"\\x\"", "\"\\u12g4\"",
        "'a'", "{a:1}", "[1 2]", "{} {}", "\"\n\"",     "\"\xff\"", "[}",      "{\"a\"}"}) {
    INFO(bad);
    CHECK_FALSE(is_json(bad));
  }
  CHECK(is_json(std::string(500, '[') + std::string(500, ']')));
  CHECK_FALSE(is_json(std::string(100'000, '[') + std::string(100'000, ']')));
}

TEST_CASE("json cursor: a member's value is found as it is written", "[unit][base]") {
  CHECK(found(R"({"a":1,"b":[1,{"c":2}]})", "b") == R"([1,{"c":2}])");
  CHECK(found(R"({"a":{"b":1},"b":2})", "b") == "2");
  CHECK(found(R"( { "a" : 1.50e+3 , "b" : "x,}" } )", "a") == "1.50e+3");
  CHECK(found(R"( { "a" : 1.50e+3 , "b" : "x,}" } )", "b") == R"("x,}")");
  CHECK(found(R"({"mod\u0065l":"m"})", "model") == R"("m")");
  CHECK(found(R"({"a":1,"a":2})", "a") == "1");
  CHECK(found(R"({"a":1})", "b") == "none");
  CHECK(found("{}", "a") == "none");
  CHECK(found(R"(["a",1])", "a") == "none");
  CHECK(found(R"("a")", "a") == "none");
}

TEST_CASE("json cursor: a set member changes no other byte", "[unit][base]") {
  CHECK(edited(R"({ "n":9007199254740993 ,"a" : 1.0, "z":"\u00e4" })", "a", "true") ==
        R"({ "n":9007199254740993 ,"a" : true, "z":"\u00e4" })");
  CHECK(edited(R"({"a":1})", "b", "2") == R"({"b":2,"a":1})");
  CHECK(edited("{}", "b", "2") == R"({"b":2})");
  CHECK(edited(" { \n } ", "b", "2") == " {\"b\":2 \n } ");
}
