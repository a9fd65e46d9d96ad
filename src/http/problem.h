// The one place that turns a Status into bytes, in the dialect of the door:
//   portal, admin  {"error": "<message>", "code": reason, …}    (the portal: if it has a reason)
//   gateway        {"error", "code", "status", "request_id", …}  contracts of the tool gateway
//   openai         {"error": {"message","type","code","param","request_id"}}
//   anthropic      {"type":"error","error":{"type","message","code"?},"request_id"}
// Pure functions.
#pragma once
#include <span>

#include "http/http.h"
#include "http/route_rows.h"

namespace kvcs::http {

int http_status(const Status& status);
// Sets Retry-After when the status carries it, WWW-Authenticate on our own 401.
Response problem_response(const Status& status, Dialect dialect, std::string_view request_id);
// The same for HTTP statuses that no Code stands for (405, 408, 414, 415, 417, 426, 431, 501, 505).
Response problem_response(int status_code, const Status& status, Dialect dialect,
                          std::string_view request_id);

// The types of a dialect's failures for /openapi.json; the first one is the whole body.
std::span<const ApiType> problem_types(Dialect dialect);

// The "code" of the gateway's dialect: the reason of the status, or else the word for its kind.
std::string gateway_code(const Status& status);

}  // namespace kvcs::http
