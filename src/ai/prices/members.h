// What the members of a price row in LiteLLM's form mean for the bill. Pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace kvcs::ai {

struct Price;

enum class MemberMeaning : uint8_t {
  kUnderstood,  // A price, or a fact that bounds a cost: parse_price() reads it.
  kFact,        // A fact about the model that changes no bill.
  kHarmless,    // A price that is not read, and without which no request is charged less than it
                // costs: of cached tokens, of batches, of storage.
  kAddsCost,    // A price that is not read, and without which a request may be charged too little.
  kUnknown,     // None of these, and by its name no price.
};

// `row`: the row that has the member; another member of it may state the same cost. A price of zero
// adds nothing.
MemberMeaning meaning_of(const std::string& member, const Json& row);

// Whether the model searches the web in every request by its name, and the row has no price for it.
bool lacks_search_price(std::string_view model, const Json& row);

// Reads one member of `row` into `price`. False: it is none of those that are understood. Invalid
// names the member whose value is wrong.
Result<bool> read_price_member(Price& price, const std::string& member, const Json& row);

// Whether a row is read as an admin's PUT is: Invalid names the member.
Status check_row(std::string_view model, const Json& row);

}  // namespace kvcs::ai
