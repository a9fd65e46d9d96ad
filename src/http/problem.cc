// The bodies of failures in each dialect. The field names and the words are contracts with clients
// that exist: a change here is a change of the interface.
#include "http/problem.h"

#include "base/json.h"

namespace kvcs::http {
namespace {

// The word of each dialect for a failure when the Status carries no reason of its own, by HTTP
// status.
struct Words {
  std::string_view admin, gateway, openai, anthropic;
};

Words words_of_status(int status) {
  switch (status) {
    case 400:
      return {"invalid_request", "VALIDATION_ERROR", "invalid_request_error",
              "invalid_request_error"};
    case 401:
      return {"unauthorized", "AUTH_FAILED", "auth_error", "authentication_error"};
    case 403:
      return {"forbidden", "FORBIDDEN", "permission_error", "permission_error"};
    case 404:
      return {"not_found", "NOT_FOUND", "not_found", "not_found_error"};
    case 408:
    case 414:
    case 415:
    case 412:
    case 417:
    case 423:
    case 426:
    case 431:
    case 460:
      return {"invalid_request", "VALIDATION_ERROR", "invalid_request_error",
              "invalid_request_error"};
    case 405:
      return {"method_not_allowed", "METHOD_NOT_ALLOWED", "invalid_request_error",
              "invalid_request_error"};
    case 409:
      return {"conflict", "CONFLICT", "conflict_error", "invalid_request_error"};
    case 413:
      return {"payload_too_large", "PAYLOAD_TOO_LARGE", "invalid_request_error",
              "request_too_large"};
    case 429:
      return {"rate_limited", "RATE_LIMITED", "rate_limit_error", "rate_limit_error"};
    case 501:
      return {"not_implemented", "INTERNAL", "server_error", "api_error"};
    case 502:
      return {"upstream_error", "UPSTREAM_UNREACHABLE", "proxy_error", "api_error"};
    case 503:
    case 507:
      return {"unavailable", "UNAVAILABLE", "service_error", "overloaded_error"};
    case 504:
      return {"timeout", "TIMEOUT", "timeout_error", "timeout_error"};
    default:
      return {"internal", "INTERNAL", "server_error", "api_error"};
  }
}

Words words(int status_code, const Status& status) {
  // A quota that is used up and a rate that is too high share the status 429, but not the words: a
  // client may wait for the one and not for the other.
  if (status.code() == Code::kQuotaExceeded) {
    return {"quota_exceeded", "QUOTA_EXCEEDED", "insufficient_quota", "rate_limit_error"};
  }
  return words_of_status(status_code);
}

// The text of a failed system call is message and cause in one, has no reason, and names a path of
// the operator's: what was meant for the log is not for a client.
std::string_view shown_message(const Status& status) {
  const bool is_for_log =
      status.reason().empty() && !status.cause().empty() && status.cause() == status.message();
  return is_for_log ? std::string_view("Internal error.") : std::string_view(status.message());
}

void add_string(std::string& out, std::string_view name, std::string_view value) {
  append_json_string(out, name);
  out += ':';
  append_json_string(out, value);
}

// The members of a JSON object, without its braces.
std::string_view inner(std::string_view object) {
  const size_t open = object.find('{'), close = object.rfind('}');
  if (open == object.npos || close == object.npos || close <= open) return {};
  std::string_view members = object.substr(open + 1, close - open - 1);
  while (!members.empty() && (members.front() == ' ' || members.front() == '\n')) {
    members.remove_prefix(1);
  }
  return members;
}

void add_details(std::string& out, const Status& status) {
  const std::string details = status.details_json();
  if (!details.empty()) out += ",\"details\":" + details;
}

// What the original portal answers is answered to the letter: {"error"} alone, and figures beside
// it where the bytes are not those that were announced.
std::string_view portal_code(const Status& status) {
  const std::string_view reason = status.reason();
  const bool is_original =
      reason == "invalid_api_key" || reason == "size_mismatch" || reason == "sha256_mismatch";
  return is_original ? std::string_view() : reason;
}

// The portal's dialect puts the members of the details beside "error" and "code", which only what
// has a reason has; the administration's keeps them in "details".
std::string portal_body(const Status& status, bool admin, std::string_view code) {
  std::string out = "{";
  add_string(out, "error", shown_message(status));
  if (!code.empty()) {
    out += ',';
    add_string(out, "code", code);
  }
  if (admin) {
    add_details(out, status);
  } else {
    const std::string details = status.details_json();
    const std::string_view members = inner(details);
    if (!members.empty()) (out += ',') += members;
  }
  return out + "}";
}

// Up to half as long again, by the request id: callers that were refused together are not told to
// come back together.
int spread_retry(const Status& status, std::string_view request_id) {
  const int seconds = status.retry_after_s();
  if (seconds < 2 || status.code() != Code::kUnavailable) return seconds;
  uint32_t hash = 2166136261;  // FNV-1a
  for (const char c : request_id) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return seconds + static_cast<int>((hash >> 8) % static_cast<uint32_t>(seconds / 2 + 1));
}

std::string gateway_body(const Status& status, int code, std::string_view word,
                         std::string_view request_id) {
  std::string out = "{";
  add_string(out, "error", shown_message(status));
  out += ',';
  add_string(out, "code", word);
  out += ",\"status\":" + std::to_string(code) + ",";
  add_string(out, "request_id", request_id);
  add_details(out, status);
  if (status.retry_after_s() > 0) {
    out += ",\"retry_after\":" + std::to_string(spread_retry(status, request_id));
  }
  return out + "}";
}

// All members that OpenAI documents are always there, with null where there is nothing to say:
// their SDKs read them without asking.
std::string openai_body(const Status& status, std::string_view type, std::string_view request_id) {
  std::string out = "{\"error\":{";
  add_string(out, "message", shown_message(status));
  out += ',';
  add_string(out, "type", type);
  out += ",\"code\":";
  if (status.reason().empty()) {
    out += "null";
  } else {
    append_json_string(out, status.reason());
  }
  out += ",\"param\":null,";
  add_string(out, "request_id", request_id);
  add_details(out, status);
  return out + "}}";
}

std::string anthropic_body(const Status& status, std::string_view type,
                           std::string_view request_id) {
  std::string out = "{\"type\":\"error\",\"error\":{";
  add_string(out, "type", type);
  out += ',';
  add_string(out, "message", shown_message(status));
  if (!status.reason().empty()) {
    out += ',';
    add_string(out, "code", status.reason());
  }
  add_details(out, status);
  out += "},";
  add_string(out, "request_id", request_id);
  return out + "}";
}

constexpr ApiType kPortalTypes[] = {
    {"PortalError", R"(
# What else programs may use stands beside the text, by what is wrong.
error!: string # What is wrong, and the way out.
code: string # A word for programs, such as wrong_password; not of what the status says alone.
...)"},
};

constexpr ApiType kAdminTypes[] = {
    {"AdminError", R"(
error!: string # What is wrong, and the way out.
code!: string # A word for programs, such as user_not_found.
details: object # What else programs may use, by the code.)"},
};

constexpr ApiType kGatewayTypes[] = {
    {"GatewayError", R"(
error!: string # What is wrong, and the way out.
code!: string # A word for programs, such as TOKEN_EXPIRED.
status!: integer
request_id!: string
details: object # What else programs may use, by the code.
retry_after: integer # Seconds.)"},
};

constexpr ApiType kOpenAiTypes[] = {
    {"OpenAiError", R"(
error!: OpenAiErrorBody)"},
    {"OpenAiErrorBody", R"(
message!: string
type!: string
code!: string?
param!: string?
request_id!: string
details: object # Of a budget's refusal: usage_usd, limit_usd, remaining_usd, current_month.)"},
};

constexpr ApiType kAnthropicTypes[] = {
    {"AnthropicError", R"(
type!: string
error!: AnthropicErrorBody
request_id!: string)"},
    {"AnthropicErrorBody", R"(
type!: string
message!: string
code: string # Our own word, where there is one.
details: object # Of a budget's refusal: usage_usd, limit_usd, remaining_usd, current_month.)"},
};

}  // namespace

int http_status(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return 200;
    case Code::kInvalid:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kForbidden:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kConflict:
      return 409;
    case Code::kTooLarge:
      return 413;
    case Code::kQuotaExceeded:
    case Code::kRateLimited:
      return 429;
    case Code::kUnavailable:
      return 503;
    case Code::kTimeout:
      return 504;
    case Code::kUpstream:
      return 502;
    case Code::kInternal:
      return 500;
  }
  return 500;
}

std::string gateway_code(const Status& status) {
  if (!status.reason().empty()) return status.reason();
  return std::string(words(http_status(status), status).gateway);
}

Response problem_response(const Status& status, Dialect dialect, std::string_view request_id) {
  return problem_response(http_status(status), status, dialect, request_id);
}

Response problem_response(int code, const Status& status, Dialect dialect,
                          std::string_view request_id) {
  const Words word = words(code, status);
  const std::string& reason = status.reason();
  const auto pick = [&](std::string_view fallback) {
    return reason.empty() ? fallback : std::string_view(reason);
  };
  std::string body;
  switch (dialect) {
    case Dialect::kPortal:
      body = portal_body(status, false, portal_code(status));
      break;
    case Dialect::kAdmin:
      body = portal_body(status, true, pick(word.admin));
      break;
    case Dialect::kGateway:
      body = gateway_body(status, code, pick(word.gateway), request_id);
      break;
    case Dialect::kOpenAi:
      // A bad key and an unknown model are of OpenAI's own types; `code` says what is wrong.
      if (reason == "model_not_found") {
        body = openai_body(status, "invalid_request_error", request_id);
        break;
      }
      body = openai_body(status, reason == "invalid_api_key" ? word.openai : pick(word.openai),
                         request_id);
      break;
    case Dialect::kAnthropic:
      // The type is one of those that Anthropic documents; our own word is in `code`.
      body = anthropic_body(status, word.anthropic, request_id);
      break;
  }
  Response response = json_response(code, std::move(body));
  if (status.retry_after_s() > 0) {
    response.set("retry-after", std::to_string(spread_retry(status, request_id)));
  }
  // A 401 about a stored provider token must not start a client's sign-in to this server.
  const bool ours = dialect != Dialect::kGateway || reason.empty() || reason == "AUTH_FAILED";
  if (code == 401 && ours) response.set("www-authenticate", "Bearer");
  return response;
}

std::span<const ApiType> problem_types(Dialect dialect) {
  switch (dialect) {
    case Dialect::kPortal:
      return kPortalTypes;
    case Dialect::kAdmin:
      return kAdminTypes;
    case Dialect::kGateway:
      return kGatewayTypes;
    case Dialect::kOpenAi:
      return kOpenAiTypes;
    case Dialect::kAnthropic:
      return kAnthropicTypes;
  }
  return kPortalTypes;
}

}  // namespace kvcs::http
