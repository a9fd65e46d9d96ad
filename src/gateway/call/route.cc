// Joins the provider's record, the account's meta and the call into one outgoing request, and shows
// such a request to people without its secrets.
#include "gateway/call/route.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/json_cursor.h"
#include "base/secret_names.h"
#include "gateway/catalogue/record_request.h"

namespace kvcs::gateway {
namespace {

bool is_shown_header(const std::string& name, const Provider& provider, const CallRequest& call) {
  if (is_auth_header(provider.auth, name) || is_secret_name(name)) return false;
  const auto is_it = [&](const auto& header) { return equal_ignore_case(header.first, name); };
  if (std::any_of(call.headers.begin(), call.headers.end(), is_it)) return true;
  const auto own =
      std::find_if(provider.default_headers.begin(), provider.default_headers.end(), is_it);
  if (own != provider.default_headers.end()) return !has_template(own->second);
  // What a call without a header of the name gets beside the record's.
  constexpr std::string_view kOurs[] = {"accept", "content-type", "idempotency-key"};
  return std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs);
}

}  // namespace

Status check_reach(const Tenant& tenant, const Provider& provider) {
  if (tenant.private_apis || !provider.allow_private_addresses) return ok();
  return forbidden("Provider " + provider.id + " may reach private addresses, and tenant " +
                   tenant.id + " may not call such providers. Ask an operator to set " +
                   "\"private_apis\": true in the tenant's record (PUT /admin/tenants/" +
                   tenant.id + ").")
      .with_reason("PRIVATE_APIS_NOT_ALLOWED");
}

Result<OutboundRequest> build_outbound(const Provider& provider, const CallRequest& call,
                                       const AccessCredential& credential, const Meta& tenant) {
  OutboundRequest request;
  KVCS_TRY(set_base_url(provider, credential, tenant, request));
  request.method = call.method;
  request.path += call.path;
  request.query = call.query;
  request.headers.reserve(provider.default_headers.size() + call.headers.size() + 4);
  // A later header replaces an earlier one of its name: first those of the record, then the body's
  // type and the idempotency key, then the caller's own.
  KVCS_TRY(add_default_headers(provider, credential, tenant, request));
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
                              const CallRequest& call, const AccessCredential& credential) {
  OutboundRequest shown = request;
  for (auto& [name, value] : shown.headers) {
    if (!is_shown_header(name, provider, call)) value = "***";
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
  const auto blank = [&](std::string text) {
    return redact(redact(std::move(text), credential), provider.secrets);
  };
  Json headers = Json::object();
  for (const auto& [name, value] : shown.headers) headers[name] = blank(value);
  const Json head = {
      {"method", shown.method}, {"url", blank(url)}, {"headers", std::move(headers)}};
  std::string out = dump_json(head);
  out.pop_back();
  out += ",\"body\":";
  const std::string body = blank(shown.body);
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
