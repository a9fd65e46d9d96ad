// The body of an answer as JSON; the test case fails with the answer where it is none.
#pragma once
#include "base/json.h"
#include "support/raw_client.h"

namespace kvcs::test {

Json json_of(const RawResponse& answer);

}  // namespace kvcs::test
