// The origins that may read answers, and the headers that they may send. Runs for every request
// with an Origin header, when any origin is allowed at all.
#include "http/serve/cors.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "http/header_list.h"

namespace kvcs::http {
namespace {

// Headers of answers that a script may read beyond the few that Fetch always shows: of MCP, of
// downloads in parts, of tus 1.0, and our own.
constexpr std::string_view kExposed =
    "Mcp-Session-Id, WWW-Authenticate, X-Request-Id, Retry-After, ETag, Location, Accept-Ranges, "
    "Content-Range, Content-Disposition, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, "
    "Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Defer-Length, Upload-Metadata, "
    "Upload-Expires, Upload-Concat, Upload-Challenge, X-Artifact-Id";
constexpr std::string_view kMaxAgeS = "600";

// The headers that MCP clients, tus clients, the OpenAI and Anthropic SDKs and our own pages send.
bool is_allowed_header(std::string_view name) {
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"authorization", "content-type", "accept", "mcp-session-id", "mcp-protocol-version",
       "last-event-id", "mcp-method", "mcp-name", "x-request-id", "x-api-key", "idempotency-key",
       "if-match", "if-none-match", "if-range", "range", "tus-resumable", "x-http-method-override",
       "x-csrf-token", "x-kvcs-user"});
  static constexpr auto kPrefixes = std::to_array<std::string_view>(
      {"mcp-param-", "x-stainless-", "openai-", "anthropic-", "upload-"});
  const std::string lower = lower_ascii(name);
  return std::find(kNames.begin(), kNames.end(), lower) != kNames.end() ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return lower.starts_with(prefix); });
}

// The origin as it must be echoed; nothing when it is not allowed. `any` for "*".
std::optional<std::string_view> allowed_origin(const CorsConfig& config, const Request& request,
                                               bool& any) {
  if (config.allowed_origins.empty()) return std::nullopt;
  const auto origin = request.header("origin");
  if (!origin) return std::nullopt;
  for (const std::string& allowed : config.allowed_origins) {
    if (allowed == *origin) return origin;
    if (allowed == "*") any = true;
  }
  return any ? std::optional<std::string_view>("*") : std::nullopt;
}

void add_origin(Response& response, std::string_view origin, bool any) {
  response.set("access-control-allow-origin", std::string(origin));
  // "*" and credentials exclude each other (Fetch, "CORS protocol and credentials"). An echoed
  // origin makes the answer one for this origin, which caches must know.
  if (any) return;
  response.set("access-control-allow-credentials", "true");
  const std::string* vary = response.find("vary");
  if (vary != nullptr && vary->ends_with("Origin")) return;
  response.set("vary", vary ? *vary + ", Origin" : "Origin");
}

}  // namespace

std::optional<Response> answer_preflight(const CorsConfig& config, const Request& request,
                                         std::string_view allow) {
  if (request.method != Method::kOptions || !request.header("access-control-request-method")) {
    return std::nullopt;
  }
  bool any = false;
  const auto origin = allowed_origin(config, request, any);
  if (!origin) return std::nullopt;
  Response response = empty_response(204);
  add_origin(response, *origin, any);
  response.set("access-control-allow-methods", std::string(allow));
  std::string names;
  const std::string asked = header_list(request, "access-control-request-headers").value_or("");
  for (const std::string_view part : split(asked, ',')) {
    const std::string_view name = trim(part);
    if (name.empty() || !is_allowed_header(name)) continue;
    if (!names.empty()) names += ", ";
    names += name;
  }
  if (!names.empty()) response.set("access-control-allow-headers", std::move(names));
  response.set("access-control-max-age", std::string(kMaxAgeS));
  return response;
}

void add_cors_headers(const CorsConfig& config, const Request& request, Response& response) {
  bool any = false;
  const auto origin = allowed_origin(config, request, any);
  if (!origin) return;
  add_origin(response, *origin, any);
  response.set("access-control-expose-headers", std::string(kExposed));
}

}  // namespace kvcs::http
