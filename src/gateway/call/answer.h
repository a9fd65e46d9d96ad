// The answer to the caller: the upstream's answer in the envelope, compact, or streamed, and its
// errors mirrored. Pure but for streams, which read the upstream while they are sent.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "gateway/call/call_request.h"
#include "gateway/gateway.h"
#include "http/client/upstream.h"
#include "http/http.h"

namespace kvcs::gateway {

bool is_json_type(std::string_view content_type);

struct UpstreamAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
};
// {"success":true,"status":…,"data":…,"cache":…} or, compact, the answer itself. `cache` is MISS,
// HIT, BYPASS or STALE. Upstream when a JSON answer is none.
Result<http::Response> success_response(const CallRequest& call, const UpstreamAnswer& answer,
                                        std::string_view cache);
// The answer as it is, with the upstream's content type: `body` is all of it.
http::Response whole_response(const http::UpstreamResponse& upstream, std::string body,
                              std::string_view cache);
// The same for an answer that did not end yet: `begin` was read from `upstream` already,
// the rest is read while it is sent. Fails past `max_bytes`.
http::Response stream_response(std::shared_ptr<http::UpstreamResponse> upstream, std::string begin,
                               uint64_t max_bytes, std::string_view cache);

// The sentence in which an upstream says what is wrong, in one line: message, error, error.message,
// detail, title, …
std::string upstream_message(std::string_view body);
// {"error","code":"UPSTREAM_ERROR","status",…,"details":{"upstream_status","upstream"}}. The body
// is redacted and cut. A redirect, which is never followed, is a 502.
struct UpstreamFailure {
  int http_status = 502;
  Status status;
};
UpstreamFailure upstream_failure(std::string_view provider, const UpstreamAnswer& answer,
                                 const AccessCredential& credential, const SecretMap& secrets,
                                 bool mirror_401);

}  // namespace kvcs::gateway
