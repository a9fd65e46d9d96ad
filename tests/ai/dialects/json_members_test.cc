// Goal: the members of an object are found as simdjson finds them. Method: names of all lengths,
// those beyond 64 bytes among them, where lengths share a bit.
#include "ai/dialects/json_members.h"

#include <catch2/catch.hpp>

#include <string>

namespace kvcs::ai {

TEST_CASE("json members: a name is found whatever its length, and no other", "[unit][ai]") {
  simdjson::dom::parser parser;
  for (size_t length = 1; length <= 200; length++) {
    const std::string name(length, 'n'), other(length, 'o');
    const std::string text = "{\"" + name + "\":1,\"m\":2}";
    simdjson::dom::object object;
    REQUIRE(parser.parse(text).get(object) == simdjson::SUCCESS);
    const Members members(object);
    INFO("a name of " << length << " bytes");
    CHECK(int64_t(members[name]) == 1);
    CHECK(int64_t(members["m"]) == 2);
    CHECK(members[other].error() == simdjson::NO_SUCH_FIELD);
    CHECK(members[name + std::string(64, 'n')].error() == simdjson::NO_SUCH_FIELD);
    CHECK(members[name + "n"].error() == simdjson::NO_SUCH_FIELD);
  }
}

TEST_CASE("json members: an object without members, and no object at all", "[unit][ai]") {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  REQUIRE(parser.parse(std::string_view("{}")).get(object) == simdjson::SUCCESS);
  CHECK(Members(object).empty());
  CHECK(Members(object)[""].error() == simdjson::NO_SUCH_FIELD);
  CHECK(Members().empty());
  CHECK(Members()["a"].error() == simdjson::NO_SUCH_FIELD);
}

}  // namespace kvcs::ai
