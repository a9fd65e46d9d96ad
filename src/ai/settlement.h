// What a request is charged, by one rule in one place:
//
//   the provider's own figures, bounded by what the model can do;
//   else nothing, when the request surely never left, or when the answer says that it failed and
//   nothing of it was seen;
//   else the input as it was reserved, and of the output what was seen. Where that cannot be all of
//   it (a model that reasons, an answer that shows nothing before its end or that nobody read), the
//   output counts at its bound, and so does an input to which the provider's tools may have added
//   after it was stated. Such a record is `estimated`.
//
// Pure functions.
#pragma once
#include <string>
#include <vector>

#include "ai/dialects/dialect.h"
#include "ai/prices/pricing.h"
#include "ai/worst_case.h"

namespace kvcs::ai {

// How the exchange with the provider ended.
enum class ExchangeEnd : uint8_t {
  kNotSent,   // The request surely never left.
  kRefused,   // An error answer: an HTTP status of 400 or more.
  kAnswered,  // An answer came to its end; what it says may be that it failed.
  kUnknown,   // Cut off, timed out, left by the client: the provider may have done the work.
  kUnread,    // An answer was begun, and nobody read it: the client left before its head was sent.
};

struct Settlement {
  TokenUsage tokens;
  // What an operator must hear of: a count that the model cannot have, a dimension without a price.
  struct Finding {
    std::string event, message;  // "ai.absurd_usage", "ai.unpriced_dimension"
  };
  std::vector<Finding> findings;
};

// `meter`: of the answer, null when none has begun.
Settlement settle_usage(const ChatRequest& chat, const Price& price, const WorstCase& worst,
                        const UsageMeter* meter, ExchangeEnd end);

}  // namespace kvcs::ai
