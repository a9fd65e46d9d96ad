// Words what a provider answered: successes in the envelope or as they are, failures mirrored with
// the secrets blanked out.
#include "gateway/call/answer.h"

#include <nlohmann/json.hpp>

#include <array>

#include "base/bytes.h"
#include "base/json.h"
#include "base/json_cursor.h"
#include "gateway/outbound/outbound_auth.h"

namespace kvcs::gateway {
namespace {

constexpr size_t kShownBodyMaxBytes = 16u << 10;
constexpr size_t kMessageMaxBytes = 500;
constexpr size_t kCopyBytes = 64u << 10;

// Passes the rest of an answer on as it is read. A caller that is slower than the provider slows
// the provider down: nothing is kept in between.
Status copy_stream(http::UpstreamResponse& upstream, const std::string& begin, uint64_t max_bytes,
                   http::BodyWriter& out) {
  KVCS_TRY(out.write(begin));
  uint64_t sent = begin.size();
  std::string buffer(kCopyBytes, '\0');
  for (;;) {
    const size_t n = KVCS_TRY(upstream.read(buffer));
    if (n == 0) return ok();
    sent += n;
    if (sent > max_bytes) {
      return too_large("The upstream's answer is over " + format_bytes(max_bytes) + ".");
    }
    KVCS_TRY(out.write(std::string_view(buffer).substr(0, n)));
  }
}

}  // namespace

bool is_json_type(std::string_view content_type) {
  const std::string type = lower_ascii(trim(content_type.substr(0, content_type.find(';'))));
  return type == "application/json" || type.ends_with("+json") || type == "text/json";
}

Result<http::Response> success_response(const CallRequest& call, const UpstreamAnswer& answer,
                                        std::string_view cache) {
  const bool empty = trim(answer.body).empty();
  std::string data;
  if (!empty && call.fields) {
    data = KVCS_TRY(call.fields->project(answer.body));
  } else if (!empty && !is_json(answer.body)) {
    return upstream_failed("The upstream answered " + std::to_string(answer.status) +
                           " with a content type of JSON and a body that is none.")
        .with_reason("UPSTREAM_ERROR");
  }
  const std::string_view value = call.fields && !empty ? data : trim(answer.body);
  http::Response response;
  if (call.compact) {
    response = empty ? http::empty_response(answer.status)
                     : http::json_response(answer.status, std::string(value));
  } else {
    std::string body =
        "{\"success\":true,\"status\":" + std::to_string(answer.status) + ",\"data\":";
    body.reserve(body.size() + value.size() + 32);
    body += empty ? std::string_view("null") : value;
    ((body += ",\"cache\":\"") += cache) += "\"}";
    // The envelope is a body, which 204 and 205 cannot have.
    const bool bodyless = answer.status == 204 || answer.status == 205;
    response = http::json_response(bodyless ? 200 : answer.status, std::move(body));
  }
  response.set("x-gateway-cache", std::string(cache));
  return response;
}

http::Response whole_response(const http::UpstreamResponse& upstream, std::string body,
                              std::string_view cache) {
  http::Response response;
  response.status = upstream.status();
  response.body = std::move(body);
  // Only headers that describe the body pass; cookies, authentication and caching of the provider
  // are not the caller's.
  for (const char* name : {"content-type", "content-disposition", "content-encoding",
                           "content-language", "content-range"}) {
    if (const auto value = upstream.header(name)) response.set(name, std::string(*value));
  }
  response.set("x-gateway-cache", std::string(cache));
  response.set("x-gateway-upstream-status", std::to_string(upstream.status()));
  return response;
}

http::Response stream_response(std::shared_ptr<http::UpstreamResponse> upstream, std::string begin,
                               uint64_t max_bytes, std::string_view cache) {
  http::Response response = whole_response(*upstream, {}, cache);
  if (const auto length = upstream->header("content-length")) {
    const Result<uint64_t> size = parse_u64(*length, "content-length");
    if (size.ok()) response.stream_size_bytes = size.value();
  }
  // The response is copied with its function; the upstream's exchange ends with the last copy.
  response.stream = [upstream = std::move(upstream), begin = std::move(begin),
                     max_bytes](http::BodyWriter& out) {
    return copy_stream(*upstream, begin, max_bytes, out);
  };
  return response;
}

std::string upstream_message(std::string_view body) {
  // A longer body is a page, not a message, and is not worth parsing.
  if (body.size() > kShownBodyMaxBytes * 4) return {};
  const Result<Json> parsed = parse_json(body);
  if (!parsed.ok()) return {};
  const Json* root = &parsed.value();
  // Salesforce and others answer with a list of errors.
  if (root->is_array() && !root->empty()) root = &root->front();
  if (!root->is_object()) return {};
  for (const char* nested : {"error", "errors", "fault"}) {
    const auto it = root->find(nested);
    if (it == root->end()) continue;
    const Json& inner = it->is_array() && !it->empty() ? it->front() : *it;
    for (const char* name : {"message", "detail", "title", "description"}) {
      if (std::string text = text_member(inner, name); !text.empty()) return text;
    }
  }
  for (const char* name : {"message", "error_description", "error", "detail", "title", "Message"}) {
    if (std::string text = text_member(*root, name); !text.empty()) return text;
  }
  return {};
}

UpstreamFailure upstream_failure(std::string_view provider, const UpstreamAnswer& answer,
                                 const AccessCredential& credential, const SecretMap& secrets,
                                 bool mirror_401) {
  const std::string body = redact(redact(answer.body, credential), secrets);
  std::string message = std::string(provider) + " answered " + std::to_string(answer.status);
  if (answer.status < 400) {
    message += ", a redirect, which the gateway does not follow";
  } else if (const std::string said = upstream_message(body); !said.empty()) {
    message += ": " + printable(said, kMessageMaxBytes);
  }
  if (!message.ends_with('.')) message += '.';
  std::string details = "{\"upstream_status\":" + std::to_string(answer.status);
  if (!body.empty()) {
    details += ",\"upstream\":";
    if (body.size() <= kShownBodyMaxBytes && is_json(body)) {
      details += trim(body);
    } else {
      append_json_string(details, printable(body, kMessageMaxBytes));
    }
  }
  details += "}";
  UpstreamFailure failure;
  // A 401 may be hidden behind 502, so that an agent does not take the provider's refusal for ours
  // and throw its own token away.
  const bool mirrored = answer.status >= 400 && (answer.status != 401 || mirror_401);
  failure.http_status = mirrored ? answer.status : 502;
  failure.status = upstream_failed(std::move(message))
                       .with_reason("UPSTREAM_ERROR")
                       .with_details_json(std::move(details));
  return failure;
}

}  // namespace kvcs::gateway
