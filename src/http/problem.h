// The one place that turns a Status into bytes, in the dialect of the door:
//   portal, admin  {"error": "<message>", …details}             (admin adds "code": reason)
//   gateway        {"error", "code", "status", "request_id", …}  contracts of the tool gateway
//   openai         {"error": {"message","type","code","param","request_id"}}
//   anthropic      {"type":"error","error":{"type","message"},"request_id"}
// Pure functions.
#pragma once
#include "http/http.h"

namespace kvcs::http {

int http_status(const Status& status);
// Sets Retry-After when the status carries it, WWW-Authenticate on our own 401.
Response problem_response(const Status& status, Dialect dialect, std::string_view request_id);

}  // namespace kvcs::http
