// Decimals in JSON keep the digits that were written, in and out.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/money.h"

using namespace kvcs;

TEST_CASE("json: a decimal keeps its text from parse to reader to dump", "[unit][json]") {
  const Json body = *parse_json_exact(
      R"({"a":100.00,"b":0.1000000000000000055,"c":7,"d":"12.50","e":99999999999999999999})");
  JsonReader reader(body);
  CHECK(reader.decimal("a") == "100.00");
  CHECK(reader.decimal("b") == "0.1000000000000000055");
  CHECK(reader.decimal("c") == "7");
  CHECK(reader.decimal("d") == "12.50");
  CHECK(reader.decimal("e") == "99999999999999999999");
  CHECK(reader.finish().ok());
  CHECK(dump_json(body) == R"({"a":100.00,"b":0.1000000000000000055,"c":7,"d":"12.50",)"
                           R"("e":99999999999999999999})");
  // Digits that a double would have swallowed are refused, not rounded.
  CHECK(parse_nano_usd(reader.decimal("b"), "b").code() == Code::kInvalid);
}

TEST_CASE("json: what is not a number is refused as a decimal", "[unit][json]") {
  for (const char* text : {R"({"a":true})", R"({"a":[]})", R"({"a":{}})"}) {
    const Json body = *parse_json_exact(text);
    JsonReader reader(body);
    reader.decimal("a");
    CHECK(reader.finish().message() == "a: must be a number.");
  }
  const Json empty = *parse_json_exact("{}");
  JsonReader reader(empty);
  CHECK_FALSE(reader.optional_decimal("a").has_value());
  reader.decimal("a");
  CHECK(reader.finish().message() == "a: required.");
}

TEST_CASE("json: the printed forms are those of the library, decimals aside", "[unit][json]") {
  const Json value = *parse_json(
      R"({"s":"a\"\n\u00e9","n":null,"t":true,"i":-5,"f":1.5,"e":{},"l":[],"o":{"x":[1,2]}})");
  CHECK(dump_json(value) == value.dump());
  CHECK(dump_json_pretty(value) == value.dump(2));
  CHECK(dump_json(Json{{"usd", json_decimal("10.00")}}) == R"({"usd":10.00})");
}

TEST_CASE("json: the quick parser and the strict one make the same of a text", "[unit][json]") {
  // So much space is too much for the quick one.
  const std::string space(64 << 10, ' ');
  std::string deep_64, deep_65, many;
  for (int i = 0; i < 64; ++i) deep_64 += "[";
  deep_65 = "[" + deep_64 + "1]";
  deep_64 += "1";
  for (int i = 0; i < 64; ++i) (deep_64 += "]", deep_65 += "]");
  for (int i = 0; i < 100; ++i) many += (i == 0 ? "{\"" : ",\"") + std::to_string(i) + "\":0";
  for (const std::string& text :
       {std::string(R"({"a":1,"b":[true,false,null,"x"],"c":{"d":-1,"e":18446744073709551615}})"),
        std::string(R"([-9223372036854775808,18446744073709551616,-0,0.5,1e3,100.00,1e400])"),
        std::string(R"("\u00e9\ud83d\ude00\n\"\\\/")"),
        std::string(R"("\ud83d")"),
        std::string(R"({"a":1,"a":2})"),
        std::string(R"({"a":{"b":1,"b":2}})"),
        std::string(R"({"a":1} x)"),
        std::string("{\"a\":\"\x01\"}"),
        std::string("\"\xff\""),
        std::string("[1,]"),
        std::string("{"),
        std::string("01"),
        std::string("nul"),
        std::string(),
        std::string("[]"),
        std::string("{}"),
        std::string("7"),
        deep_64,
        deep_65,
        many + "}",
        many + ",\"7\":1}"}) {
    INFO(text);
    const auto check = [&](const Result<Json>& quick, const Result<Json>& strict) {
      REQUIRE(quick.ok() == strict.ok());
      if (!quick.ok()) return;
      CHECK(*quick == *strict);
      CHECK(dump_json(*quick) == dump_json(*strict));
    };
    check(parse_json(text), parse_json(space + text));
    check(parse_json_exact(text), parse_json_exact(space + text));
  }
  CHECK(parse_json(deep_64).ok());
  CHECK_FALSE(parse_json(deep_65).ok());
  CHECK(parse_json(R"({"a":1,"a":2})").status().message().find("'a' appears twice") !=
        std::string::npos);
}
