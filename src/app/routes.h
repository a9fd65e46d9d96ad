// The route table: method, path, who may, body limit, handler, what it takes and gives, and one
// line of documentation. To add a route, add a row beside its handler (http/route_rows.h); only an
// object that had no rows before needs a line in routes.cc.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "http/route_rows.h"

namespace kvcs {

struct Parts;

// `parts` outlives the routes.
std::vector<http::Row> all_routes(Parts& parts);
// The types that rows name.
std::vector<http::ApiType> all_api_types();

// Literal segments of the table that stand where another row has {tenant} or {org}: a slug of that
// spelling could not be reached.
std::set<std::string, std::less<>> reserved_slugs(const std::vector<http::Row>& table);

}  // namespace kvcs
