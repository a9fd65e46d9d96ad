// /openapi.json, made from the route table and api_shapes.h. Pure; it takes some milliseconds.
#pragma once
#include <string>
#include <vector>

#include "http/http.h"

namespace kvcs {

std::string openapi_json(const std::vector<http::Route>& routes);

}  // namespace kvcs
