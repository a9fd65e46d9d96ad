// Cross-origin requests (WHATWG Fetch §3.2) for browsers and browser-based MCP clients. Pure
// functions over the configuration.
#pragma once
#include <optional>

#include "http/http.h"
#include "http/serve/server_config.h"

namespace kvcs::http {

// The answer to a preflight, if `request` is one from an allowed origin.
std::optional<Response> answer_preflight(const CorsConfig& config, const Request& request,
                                         std::string_view allow);
// Adds what an allowed origin needs to read `response`.
void add_cors_headers(const CorsConfig& config, const Request& request, Response& response);

}  // namespace kvcs::http
