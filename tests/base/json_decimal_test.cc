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
