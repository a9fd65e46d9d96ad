// /openapi.json, made from the route table and the types of its rows. Pure; it takes some
// milliseconds.
#pragma once
#include <string>
#include <vector>

#include "http/route_rows.h"

namespace kvcs {

// Whether a POST that is sent again with its Idempotency-Key has one effect: those that make or
// change something for a caller who has shown a key or a session. The tool gateway and payments
// keep the promise themselves, for all others ops/idempotency.h does.
bool takes_idempotency_key(const http::Row& row);

// `url` is where the daemon is reached.
std::string openapi_json(const std::vector<http::Row>& table,
                         const std::vector<http::ApiType>& types, const std::string& url);

}  // namespace kvcs
