// GET /api/v1/me and GET /admin/me: the caller's own key, as the caller may know it. Stateless;
// thread-safe.
#pragma once
#include "http/route_rows.h"

namespace kvcs::caller_api {

// The handler alone.
Result<http::Response> describe(http::Request& request);
// Appends the row of `path` for those that `access` lets in.
void add_route(std::vector<http::Row>& table, const char* path, const http::Access& access,
               std::string_view summary);
std::span<const http::ApiType> types();

}  // namespace kvcs::caller_api
