// The way back: from the provider's answer to the client, metered as it passes.
#include <algorithm>
#include <array>

#include "ai/chat_call.h"
#include "ai/redact.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"
#include "http/sse.h"

namespace kvcs::ai {
namespace {

constexpr int kClientClosedRequest = 499;  // nginx's name for a client that left.
constexpr size_t kRelayChunkBytes = 16 << 10;
constexpr size_t kCredentialMinBytes = 8;  // A shorter text may stand in an error by chance.

// Counts a live stream for as long as it lives.
class StreamCount final {
 public:
  explicit StreamCount(std::atomic<int64_t>& count) : count_(count) { count_++; }
  ~StreamCount() { count_--; }
  StreamCount(const StreamCount&) = delete;
  StreamCount& operator=(const StreamCount&) = delete;

 private:
  std::atomic<int64_t>& count_;
};

// Some providers quote the key that they refuse. It is the operator's key and not the caller's.
void hide_credential(const Secret& credential, std::string& text) {
  const std::string& key = credential.reveal();
  if (key.size() < kCredentialMinBytes) return;
  for (size_t at = text.find(key); at != text.npos; at = text.find(key, at + 3)) {
    text.replace(at, key.size(), "***");
  }
}

// A broken answer is the provider's failure in every case: the client could not help it.
Status provider_failure(Status failure, uint64_t answer_max_bytes) {
  if (failure.code() == Code::kTooLarge) {
    failure = upstream_failed("The provider's answer is over the limit of " +
                              format_bytes(answer_max_bytes) + " (ai.answer_max_bytes).");
  }
  return std::move(failure).with_reason("proxy_error");
}

}  // namespace

void add_gateway_headers(const BudgetView& user, int64_t user_limit_nano_usd, int64_t cost_nano_usd,
                         bool grace, http::Response& response) {
  const int64_t used = user.used_nano_usd + std::max<int64_t>(cost_nano_usd, 0);
  const int64_t remaining = std::max<int64_t>(0, user_limit_nano_usd - used);
  response.set("x-gateway-usage-usd", format_usd_fixed(used, 4));
  response.set("x-gateway-limit-usd", format_usd(user_limit_nano_usd));
  response.set("x-gateway-remaining-usd", format_usd_fixed(remaining, 4));
  response.set("x-gateway-request-count", std::to_string(user.request_count));
  response.set("x-gateway-current-month", user.month);
  if (cost_nano_usd >= 0) {
    response.set("x-gateway-cost-usd", format_usd_fixed(cost_nano_usd, 6));
  }
  if (grace) response.set("x-gateway-grace", "1");
}

std::string stream_error_event(ApiKind api, const Status& failure) {
  std::string text, code;
  append_json_string(text, failure.message());
  append_json_string(code, failure.reason().empty() ? "proxy_error" : failure.reason());
  if (api == ApiKind::kMessages) {
    return "event: error\ndata: "
           "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":" +
           text + "}}\n\n";
  }
  const std::string error =
      "{\"message\":" + text + ",\"type\":" + code + ",\"param\":null,\"code\":" + code + "}";
  if (api == ApiKind::kResponses) {
    return "event: error\ndata: {\"type\":\"error\",\"code\":" + code + ",\"message\":" + text +
           ",\"param\":null}\n\n";
  }
  return "data: {\"error\":" + error + "}\n\n";
}

void copy_answer_headers(const http::UpstreamResponse& upstream, http::Response& response) {
  for (const auto& [name, value] : upstream.headers()) {
    const bool kept = name == "content-type" || name == "retry-after" ||
                      name == "content-encoding" || name.starts_with("x-ratelimit-") ||
                      name.starts_with("anthropic-") || name.starts_with("openai-");
    if (kept) response.set(name, value);
    if (name == "x-request-id" || name == "request-id")
      response.set("x-upstream-request-id", value);
  }
}

void ChatProxy::reprice(Call& call) const {
  // A price that an admin has set counts for whatever answers under that name.
  PricedModel& priced = call.prices[call.chosen];
  const ModelTarget& target = call.targets[call.chosen];
  const std::string_view answered = call.meter->response_model();
  if (priced.overridden || answered.empty() || answered == target.model) return;
  auto own = pricing_.find_exact(call.organization->id, target.provider->name, answered);
  if (own) priced = std::move(*own);
}

Status ChatProxy::keep_within_budget(Call& call) const {
  // The output that has passed is counted by its bytes until the provider states its own figure.
  if (call.unbounded_output == 0 || call.meter->output_so_far() <= call.unbounded_output)
    return ok();
  TokenUsage more;
  more.output = config_.output_tokens_default;
  KVCS_TRY(call.reservation->extend(cost_nano_usd(*call.prices[call.chosen].price, more)));
  call.unbounded_output += more.output;
  return ok();
}

void ChatProxy::settle(Call& call, int status, bool billed) const {
  const int64_t now_us = clock_.mono_us();
  const PricedModel& priced = call.prices[std::min(call.chosen, call.prices.size() - 1)];
  UsageRecord record;
  record.ts_ms = clock_.unix_ms();
  record.provider = priced.price->provider;
  record.model = priced.price->model;
  record.price_version = priced.version;
  record.status = status;
  record.total_ms = (now_us - call.request.started_us) / 1000;
  if (call.first_byte_us > 0) {
    record.first_byte_ms = (call.first_byte_us - call.request.started_us) / 1000;
  }
  // An error answer is not billed: providers do not charge for those.
  if (billed && call.meter) {
    record.tokens = call.meter->usage(call.chat.input_guess);
    record.cost_nano_usd = cost_nano_usd(*priced.price, record.tokens);
  }
  return_tokens(call, record.tokens.input_total() + record.tokens.output_total());
  if (call.organization->log_bodies) log_bodies(call, record);
  call.reservation->settle(std::move(record));
}

void ChatProxy::log_bodies(const Call& call, const UsageRecord& record) const {
  const size_t max = config_.body_log_max_bytes;
  ledger_.record_bodies({.ts_ms = record.ts_ms,
                         .request_id = call.request.request_id,
                         .organization_id = call.organization->id,
                         .user_id = call.user->id,
                         .key_id = call.request.principal.key_id,
                         .model = record.model,
                         .status = record.status,
                         .request_bytes = static_cast<int64_t>(call.chat.body.size()),
                         .response_bytes = call.answer_bytes,
                         .request = redacted(call.chat.body, max),
                         .response = redacted(call.answer, max)});
}

Result<http::Response> ChatProxy::whole_answer(const Call& call,
                                               http::UpstreamResponse& upstream) const {
  Result<std::string> body = upstream.read_all(config_.answer_max_bytes);
  if (!body.ok()) return provider_failure(std::move(body).status(), config_.answer_max_bytes);
  const int status = upstream.status();
  if (status >= 300 && status < 400) {
    return upstream_failed("The provider answered with a redirect (" + std::to_string(status) +
                           "), which is not followed; correct its base_url.")
        .with_reason("proxy_error");
  }
  http::Response response;
  response.status = status;
  copy_answer_headers(upstream, response);
  response.body = std::move(*body);
  if (status >= 400) hide_credential(call.credentials[call.chosen], response.body);
  return response;
}

Result<http::Response> ChatProxy::pass_error(Call& call, http::UpstreamResponse& upstream) const {
  upstream_errors_++;
  const BudgetView user = call.reservation->user_at_admission();
  const bool grace = call.reservation->grace();
  Result<http::Response> response = whole_answer(call, upstream);
  if (response.ok()) call.keep_for_log(response->body);
  settle(call, upstream.status(), false);
  if (!response.ok()) return response;
  add_gateway_headers(user, call.user->monthly_limit_nano_usd, 0, grace, *response);
  add_rate_headers(call.rate, *response);
  return response;
}

Result<http::Response> ChatProxy::answer_whole(Call& call, http::UpstreamResponse& upstream) const {
  Result<std::string> body = upstream.read_all(config_.answer_max_bytes);
  if (!body.ok()) {
    // The provider may have done the work before its answer broke off, so the input is charged, as
    // for a client that left.
    const bool left = body.status().reason() == "client_gone";
    (left ? client_gone_ : upstream_errors_)++;
    settle(call, left ? kClientClosedRequest : 502, true);
    return provider_failure(std::move(body).status(), config_.answer_max_bytes);
  }
  call.meter->on_json(*body);
  reprice(call);
  call.keep_for_log(*body);
  const BudgetView user = call.reservation->user_at_admission();
  const bool grace = call.reservation->grace();
  const int64_t cost =
      cost_nano_usd(*call.prices[call.chosen].price, call.meter->usage(call.chat.input_guess));
  settle(call, upstream.status(), true);
  http::Response response;
  response.status = upstream.status();
  copy_answer_headers(upstream, response);
  response.body = std::move(*body);
  add_gateway_headers(user, call.user->monthly_limit_nano_usd, cost, grace, response);
  add_rate_headers(call.rate, response);
  return response;
}

http::Response ChatProxy::answer_stream(std::shared_ptr<Call> call,
                                        std::unique_ptr<http::UpstreamResponse> upstream) const {
  http::Response response;
  response.status = upstream->status();
  copy_answer_headers(*upstream, response);
  response.set("cache-control", "no-cache");
  response.set("x-accel-buffering", "no");
  add_gateway_headers(call->reservation->user_at_admission(), call->user->monthly_limit_nano_usd,
                      -1, call->reservation->grace(), response);
  add_rate_headers(call->rate, response);
  // std::function copies its closure, so the copies share the answer; one of them runs and reads
  // it.
  std::shared_ptr<http::UpstreamResponse> source = std::move(upstream);
  // When the client leaves before the head is sent, the closure below never runs and nobody
  // settles. The provider has processed the input all the same, so that is what is charged then.
  UsageRecord fallback;
  fallback.model = call->prices[call->chosen].price->model;
  fallback.provider = call->prices[call->chosen].price->provider;
  fallback.price_version = call->prices[call->chosen].version;
  fallback.ts_ms = clock_.unix_ms();
  fallback.status = kClientClosedRequest;
  fallback.tokens.input = call->chat.input_guess;
  fallback.tokens.estimated = true;
  fallback.cost_nano_usd = cost_nano_usd(*call->prices[call->chosen].price, fallback.tokens);
  call->reservation->set_fallback_charge(std::move(fallback));
  response.stream = [this, call = std::move(call), source](http::BodyWriter& client) {
    const StreamCount live(open_streams_);
    return relay(*call, *source, client);
  };
  return response;
}

// Reads until the provider's clean end; a failure says which side broke.
Status ChatProxy::pump(Call& call, http::UpstreamResponse& upstream,
                       http::BodyWriter& client) const {
  // Redaction shrinks pictures and long base64 to a few bytes, so more than the log's share is
  // kept.
  const size_t stream_head_max = 4 * config_.body_log_max_bytes;
  http::SseParser parser(config_.event_max_bytes);
  std::array<char, kRelayChunkBytes> buffer;
  std::string out, rewritten;
  const auto pass = [&](const http::SseEvent& event) {
    switch (call.meter->on_event(event.event, event.data, rewritten)) {
      case EventFate::kPass:
        out.append(event.raw);
        break;
      case EventFate::kRewrite:
        out.append(rewritten);
        break;
      case EventFate::kSwallow:
        break;
    }
    return ok();
  };
  // One turn reads what the provider has sent, meters each whole event in it, and writes the
  // events to the client at once. A rest that is no whole event yet waits in the parser.
  for (bool at_end = false; !at_end;) {
    const size_t count = KVCS_TRY(upstream.read(buffer));
    out.clear();
    at_end = count == 0;
    // Some servers leave out the blank line that ends their last event.
    const bool unfinished = at_end && !parser.pending().empty();
    KVCS_TRY(parser.feed(unfinished ? "\n\n" : std::string_view(buffer.data(), count), pass));
    if (out.empty()) continue;
    call.answer_bytes += static_cast<int64_t>(out.size());
    if (call.organization->log_bodies && call.stream_head.size() < stream_head_max) {
      call.stream_head += out;
    }
    if (Status written = client.write(out); !written.ok()) {
      return std::move(written).with_reason("client_gone");
    }
    KVCS_TRY(keep_within_budget(call));
  }
  return ok();
}

Status ChatProxy::relay(Call& call, http::UpstreamResponse& upstream,
                        http::BodyWriter& client) const {
  Status failure = pump(call, upstream, client);
  const bool client_left = failure.reason() == "client_gone";
  if (failure.ok() && !call.meter->complete() && !call.meter->has_error()) {
    failure = upstream_failed("The provider ended its stream before it was complete.");
  }
  // A connection that breaks after the last event costs the client nothing: it has the whole
  // answer.
  if (!client_left && call.meter->complete()) failure = ok();
  call.answer = call.stream_head;
  reprice(call);
  const bool spent = failure.code() == Code::kQuotaExceeded;
  const int status = client_left    ? kClientClosedRequest
                     : failure.ok() ? upstream.status()
                     : spent        ? 429
                                    : 502;
  settle(call, status, true);
  if (client_left) client_gone_++;
  if (failure.ok() || client_left) return failure;
  if (!spent) {
    upstream_errors_++;
    failure = std::move(failure).with_reason("proxy_error");
  }
  (void)client.write(stream_error_event(call.chat.api, failure));
  return failure;
}

}  // namespace kvcs::ai
