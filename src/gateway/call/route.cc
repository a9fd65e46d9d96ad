// Joins the provider's record, the account's meta and the call into one outgoing request, and shows
// such a request to people without its secrets.
#include "gateway/call/route.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json_cursor.h"
#include "gateway/outbound/url_guard.h"

namespace kvcs::gateway {

Result<OutboundRequest> build_outbound(const Provider& provider, const CallRequest& call,
                                       const Meta& account, const Meta& tenant) {
  BaseUrl base = KVCS_TRY(fill_base_url(provider.base_url, account, tenant));
  OutboundRequest request;
  request.method = call.method;
  request.origin = std::move(base.origin);
  request.path = base.path + call.path;
  request.query = call.query;
  request.headers.reserve(provider.default_headers.size() + call.headers.size() + 4);
  // A later header replaces an earlier one of its name: first those of the record, then the body's
  // type and the idempotency key, then the caller's own.
  for (const auto& [name, value] : provider.default_headers) {
    if (!has_template(value)) {
      request.headers.emplace_back(name, value);
      continue;
    }
    std::optional<std::string> filled = KVCS_TRY(fill_header_template(value, account, tenant));
    if (filled) request.headers.emplace_back(name, std::move(*filled));
  }
  if (!call.content_type.empty()) request.set_header("content-type", call.content_type);
  if (!call.idempotency_key.empty()) request.set_header("idempotency-key", call.idempotency_key);
  for (const auto& [name, value] : call.headers) request.set_header(name, value);
  bool accepts = false;
  for (const auto& [name, value] : request.headers) accepts |= name == "accept";
  if (!accepts) request.headers.emplace_back("accept", "application/json");
  if (call.body) request.body = *call.body;
  return request;
}

std::string describe_outbound(const OutboundRequest& request, const Provider& provider,
                              const AccessCredential& credential) {
  OutboundRequest shown = request;
  for (auto& [name, value] : shown.headers) {
    if (is_secret_header(name) ||
        (!provider.auth.header.empty() && equal_ignore_case(name, provider.auth.header))) {
      value = "***";
    }
  }
  for (auto& [name, value] : shown.query) {
    if (!provider.auth.query_param.empty() && name == provider.auth.query_param) value = "secret";
  }
  // The query key is replaced by a word that survives percent-encoding and then by the stars.
  std::string url = shown.url();
  if (!provider.auth.query_param.empty()) {
    const std::string mark = percent_encode(provider.auth.query_param) + "=secret";
    if (const size_t at = url.rfind(mark); at != url.npos) {
      url.replace(at + mark.size() - 6, 6, "***");
    }
  }
  Json headers = Json::object();
  for (const auto& [name, value] : shown.headers) headers[name] = redact(value, credential);
  const Json head = {
      {"method", shown.method}, {"url", redact(url, credential)}, {"headers", std::move(headers)}};
  std::string out = dump_json(head);
  out.pop_back();
  out += ",\"body\":";
  const std::string body = redact(shown.body, credential);
  if (body.empty()) {
    out += "null";
  } else if (is_json(body)) {
    out += body;
  } else {
    append_json_string(out, body);
  }
  return out + "}";
}

}  // namespace kvcs::gateway
