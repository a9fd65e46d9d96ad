// Requests to the rows of the API, in an order in which each finds what it needs, and what they
// leave for later ones. For the thread of the test case.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/api/api_house.h"

namespace kvcs::test {

struct Step {
  http::Method method;
  std::string pattern;
  std::string body = {};
  // Members of the answer that later paths need, by the name they have there.
  std::vector<std::pair<std::string, std::string>> keeps = {};
  // Names of this path alone.
  std::map<std::string, std::string> names = {};
  // What is done in between, with the answer.
  std::function<void(ApiHouse&, const RawResponse&)> after = {};
};

// Needs a house whose organization keeps bodies.
std::vector<Step> walk_api(const ApiHouse& house);
// Sends one step, and keeps what it says.
RawResponse take(ApiHouse& house, const http::Row& row, const Step& step);
const http::Row& row_of(ApiHouse& house, const Step& step);

}  // namespace kvcs::test
