// The route table: method, path, who may, body limit, handler, one line of documentation.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "http/http.h"

namespace kvcs {

struct Parts;

// `parts` outlives the routes.
std::vector<http::Route> all_routes(Parts& parts);

// Literal segments of the table that stand where another row has {tenant} or {org}: a slug of that
// spelling could not be reached.
std::set<std::string, std::less<>> reserved_slugs(const std::vector<http::Route>& routes);

}  // namespace kvcs
