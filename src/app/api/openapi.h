// /openapi.json, made from the route table and the types of its rows. Pure; it takes some
// milliseconds.
#pragma once
#include <string>
#include <vector>

#include "http/route_rows.h"

namespace kvcs {

// `url` is where the daemon is reached.
std::string openapi_json(const std::vector<http::Row>& table,
                         const std::vector<http::ApiType>& types, const std::string& url);

}  // namespace kvcs
