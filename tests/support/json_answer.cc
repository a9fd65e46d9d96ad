// Parses answers for tests.
#include "support/json_answer.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace kvcs::test {

Json json_of(const RawResponse& answer) {
  auto parsed = parse_json(answer.body);
  INFO(answer.status << " " << answer.body);
  REQUIRE(parsed.ok());
  return *parsed;
}

}  // namespace kvcs::test
