// GET /api/v1/me and GET /admin/me: the caller's own key, as the caller may know it. Thread-safe;
// directory and projects must outlive the handlers.
#pragma once
#include "http/route_rows.h"
#include "identity/directory.h"
#include "identity/projects.h"

namespace kvcs::caller_api {

// The handler alone.
http::Handler describer(const Directory& directory, const ProjectService& projects);
// Appends the row of `path` for those that `access` lets in.
void add_route(std::vector<http::Row>& table, const char* path, const http::Access& access,
               const Directory& directory, const ProjectService& projects,
               std::string_view summary);
std::span<const http::ApiType> types();

}  // namespace kvcs::caller_api
