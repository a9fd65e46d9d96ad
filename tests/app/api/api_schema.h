// What /openapi.json says of a body, compared with one.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"

namespace kvcs::test {

// The schema itself, where `schema` is the name of another.
const Json& resolve(const Json& api, const Json& schema);
// Nothing when `value` is as `stated` says, or where it is not.
std::string find_fault(const Json& api, const Json& stated, const Json& value,
                       const std::string& where);
// Of the JSON that an operation answers with `status`, or takes; null where there is none.
Json answer_schema(const Json& operation, int status);
Json body_schema(const Json& operation);

}  // namespace kvcs::test
