// Goal: a tree of values is bounded by their number before it is built. Method: texts on both sides
// of the limit, of every shape that takes more memory than its bytes.
#include "base/json_size.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace kvcs;

namespace {

std::string list_of(const std::string& item, size_t count) {
  std::string text = "[";
  for (size_t i = 0; i < count; i++) text += (i > 0 ? "," : "") + item;
  return text + "]";
}

}  // namespace

TEST_CASE("json size: values are counted outside of strings", "[unit][base]") {
  CHECK(count_json_values("7") == 1);
  CHECK(count_json_values("[1,2,3]") == 4);
  CHECK(count_json_values(R"({"a":1,"b":[2,{"c":3}]})") == 6);
  CHECK(count_json_values(R"(["a,b[{","\",[","\\",1])") == 5);
  for (const char* cut : {"\"", "[\"a\\", "[\"\\\"", ""}) CHECK(count_json_values(cut) <= 2);
  CHECK(json_tree_bytes("[1,2]") > 3 * 48);
}

TEST_CASE("json size: a text of too many values makes no tree", "[unit][base]") {
  for (const char* item : {"1", "[]", "{}", "\"\"", "null", "[0]", "{\"a\":0}"}) {
    INFO(item);
    const std::string text = list_of(item, kJsonValuesMax);
    for (const auto& read : {parse_json(text), parse_json_exact(text)}) {
      CHECK(read.code() == Code::kTooLarge);
      CHECK(read.status().message().find("more than 100000 values") != std::string::npos);
    }
    CHECK(json_tree_bytes(text) < text.size() + 100 * kJsonValuesMax);  // It ends at the limit.
    CHECK(parse_long_json_exact(text).value().size() == kJsonValuesMax);
    CHECK(parse_long_json_exact(text, kJsonValuesMax).code() == Code::kTooLarge);
  }
  CHECK(parse_json(list_of("1", kJsonValuesMax - 1)).ok());
  // A long text of few values is no concern of the limit.
  CHECK(parse_json(list_of("\"" + std::string(1 << 20, ',') + "\"", 3)).ok());
}
