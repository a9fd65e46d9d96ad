// How failures of the layers below are worded for callers of tools: codes in upper case, as the
// contract of the tool gateway has them. Pure functions.
#pragma once
#include <string>

#include "base/status.h"

namespace kvcs::gateway {

// Bad parameters have one code, whichever check found them, and a caller may always ask again for
// what is only unavailable.
Status in_gateway_words(Status failure);
// For failures of ops/idempotency, whose reasons are in lower case as the AI gateway shows them.
Status with_gateway_reason(Status failure);
// A failure of the exchange with a provider: what went wrong on the wire is a detail, and an answer
// over the limit is the provider's fault and not the caller's.
Status exchange_failure(const Status& status, const std::string& provider);
// Whether a call failed by its provider: by a server's error, or without an answer in time.
// `upstream_status` 0: there was no answer.
bool is_fault_of_provider(const Status& failure, int upstream_status);

}  // namespace kvcs::gateway
