// The way back: from the provider's answer to the client, metered as it passes.
#include <algorithm>
#include <array>

#include "ai/ai_metrics.h"
#include "ai/chat_call.h"
#include "ai/redact.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/money.h"
#include "base/wait.h"
#include "http/sse.h"
#include "ops/idempotency.h"

namespace kvcs::ai {
namespace {

constexpr size_t kRelayChunkBytes = 16 << 10;

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

// Tells the client of a bound that is lower than what it asked for.
void add_fit_header(const ChatProxy::Call& call, http::Response& response) {
  if (!call.is_fitted) return;
  response.set("x-gateway-max-output-tokens", std::to_string(call.target().worst.output_tokens));
}

// A provider that passes over the bound on its output is cut off where no output within the bound
// could be as long: a token of text has some four bytes, and rarely more than a dozen.
int64_t most_output_bytes(const ChatProxy::Call& call) {
  constexpr int64_t kBytesPerToken = 64, kSlack = 64 << 10;
  const int64_t tokens =
      call.target().worst.output_tokens * call.chat.choices * call.chat.samplings;
  return tokens > INT64_MAX / (2 * kBytesPerToken) ? INT64_MAX : tokens * kBytesPerToken + kSlack;
}

// A broken answer is the provider's failure in every case: the client could not help it.
Status provider_failure(Status failure, std::string_view what, uint64_t max_bytes,
                        std::string_view setting) {
  if (failure.code() == Code::kTooLarge) {
    failure = upstream_failed(std::string(what) + " is over the limit of " +
                              format_bytes(max_bytes) + " (" + std::string(setting) + ").");
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

// The account at the provider is the operator's: its names stay here.
void copy_answer_headers(const ChatProxy::Call& call, const http::UpstreamResponse& upstream,
                         http::Response& response) {
  static constexpr std::string_view kNames[] = {
      "content-type",         "retry-after",    "retry-after-ms", "x-should-retry",
      "openai-processing-ms", "openai-version", "openai-model"};
  static constexpr std::string_view kPrefixes[] = {"x-ratelimit-", "anthropic-ratelimit-"};
  for (const auto& [name, value] : upstream.headers()) {
    const bool is_named = std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
    const bool has_prefix =
        std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                    [&name = name](auto prefix) { return name.starts_with(prefix); });
    if (is_named || has_prefix) response.set(name, value);
    if (name != "x-request-id" && name != "request-id") continue;
    response.set("x-upstream-request-id", value);
    response.set("request-id", value);  // Anthropic's SDKs read it.
  }
  if (response.find("request-id") == nullptr) response.set("request-id", call.request.request_id);
  for (auto& [name, value] : response.headers) hide_credential(call.target().credential, value);
}

void ChatProxy::reprice(Call& call) const {
  // A price that an admin has set counts for whatever answers under that name.
  Call::Target& target = call.targets[call.chosen];
  const std::string_view answered = call.meter->response_model();
  if (target.priced.overridden || answered.empty() || answered == target.model.model) return;
  auto own = pricing_.find_exact(call.organization->id, target.model.provider->name, answered);
  // A row that lacks the price of what was asked for would give it away.
  if (own && unpriced_dimension(*own->price, call.chat.asked).empty()) {
    target.priced = std::move(*own);
  }
}

UsageRecord ChatProxy::make_record(const Call& call, int status, ExchangeEnd end,
                                   std::vector<AlertEvent>& alerts) const {
  const Call::Target& target = call.target();
  const PricedModel& priced = target.priced;
  Settlement settled = settle_usage(call.chat, *priced.price, target.worst, call.meter.get(), end);
  for (Settlement::Finding& finding : settled.findings) {
    alerts.push_back(
        {std::move(finding.event),
         call.organization->slug + "/" + target.model.provider->name + "/" + priced.price->model,
         std::move(finding.message) + " Request " + call.request.request_id + "."});
  }
  UsageRecord record;
  record.ts_ms = clock_.unix_ms();
  record.attempt = call.attempt > 0 ? call.attempt + 1 : 0;
  // Who was asked, which need not be whose prices count.
  record.provider = target.model.provider->name;
  record.model = priced.price->model;
  record.price_version = priced.version;
  record.status = status;
  record.total_ms = (clock_.mono_us() - call.request.started_us) / 1000;
  if (call.first_byte_us > 0) {
    record.first_byte_ms = (call.first_byte_us - call.request.started_us) / 1000;
  }
  record.tokens = std::move(settled.tokens);
  const bool is_free = record.tokens.input_total() == 0 && record.tokens.output_total() == 0 &&
                       end != ExchangeEnd::kAnswered;
  record.cost_nano_usd = is_free ? 0 : cost_nano_usd(*priced.price, record.tokens);
  return record;
}

int64_t ChatProxy::settle(Call& call, int status, ExchangeEnd end) const {
  std::vector<AlertEvent> alerts;
  UsageRecord record = make_record(call, status, end, alerts);
  const int64_t cost = record.cost_nano_usd;
  end_request(call, *call.reservation, std::move(record), std::move(alerts));
  return cost;
}

void ChatProxy::end_request(const Call& call, Reservation& held, UsageRecord&& record,
                            std::vector<AlertEvent>&& alerts) const {
  // What is told of a request keeps nobody from settling it.
  (void)if_memory_lasts([&] {
    return_tokens(call, record.tokens.input_total() + record.tokens.output_total());
    if (call.organization->log_bodies) log_bodies(call, record);
    metrics_.record(record, call.organization->slug, usage_outcome(record));
  });
  held.settle(std::move(record), std::move(alerts));
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

Result<http::Response> ChatProxy::whole_answer(const Call& call, BegunAnswer& answer) const {
  Result<std::string> body = answer.read_all(config_.answer_max_bytes);
  if (!body.ok()) {
    return provider_failure(std::move(body).status(), "The provider's answer",
                            config_.answer_max_bytes, "ai.answer_max_bytes");
  }
  const int status = answer.head().status();
  if (status >= 300 && status < 400) {
    return upstream_failed("The provider answered with a redirect (" + std::to_string(status) +
                           "), which is not followed; correct its base_url.")
        .with_reason("proxy_error");
  }
  http::Response response;
  response.status = status;
  copy_answer_headers(call, answer.head(), response);
  response.body = std::move(*body);
  hide_credential(call.target().credential, response.body);
  return response;
}

Result<http::Response> ChatProxy::pass_error(Call& call, BegunAnswer& answer) const {
  upstream_errors_++;
  const BudgetView user = call.reservation->user_at_admission();
  const bool grace = call.reservation->grace();
  Result<http::Response> response = whole_answer(call, answer);
  if (response.ok()) {
    call.keep_for_log(response->body);
    // An error may say what it used all the same.
    call.meter = call.target().dialect->make_meter(call.chat);
    call.meter->on_json(response->body);
  }
  // A redirect is not followed, which the client is told as 502.
  const int status = answer.head().status() < 400 ? 502 : answer.head().status();
  settle(call, answer.client_left() ? kClientClosedRequest : status, ExchangeEnd::kRefused);
  if (!response.ok()) return response;
  add_gateway_headers(user, call.user->monthly_limit_nano_usd, 0, grace, *response);
  add_fit_header(call, *response);
  add_rate_headers(call.rate, *response);
  return response;
}

http::Response ChatProxy::answer_whole(Call& call, http::Response response,
                                       bool client_left) const {
  // An answer that says that it failed goes out as it came; the ledger has it as what it is.
  const bool failed = call.meter->has_error();
  if (failed) {
    upstream_errors_++;
    response.set(std::string(kFailedAnswerHeader), "1");
  }
  if (client_left) client_gone_++;
  remember_answer(call);
  reprice(call);
  call.keep_for_log(response.body);
  const BudgetView user = call.reservation->user_at_admission();
  const bool grace = call.reservation->grace();
  const int status = client_left ? kClientClosedRequest : failed ? 502 : response.status;
  const int64_t cost = settle(call, status, ExchangeEnd::kAnswered);
  add_gateway_headers(user, call.user->monthly_limit_nano_usd, cost, grace, response);
  add_fit_header(call, response);
  add_rate_headers(call.rate, response);
  return response;
}

http::Response ChatProxy::answer_stream(std::shared_ptr<Call> call,
                                        std::unique_ptr<BegunAnswer> answer) const {
  http::Response response;
  response.status = answer->head().status();
  copy_answer_headers(*call, answer->head(), response);
  const std::string* type = response.find("content-type");
  if (type == nullptr || !lower_ascii(*type).starts_with("text/event-stream")) {
    response.set("content-type", "text/event-stream");
  }
  response.set("cache-control", "no-cache");
  response.set("x-accel-buffering", "no");
  add_gateway_headers(call->reservation->user_at_admission(), call->user->monthly_limit_nano_usd,
                      -1, call->reservation->grace(), response);
  add_fit_header(*call, response);
  add_rate_headers(call->rate, response);
  // When the client leaves before the head is sent, the closure below never runs and nobody
  // settles. The provider is at work all the same.
  std::vector<AlertEvent> unused;
  call->reservation->set_fallback_charge(
      make_record(*call, kClientClosedRequest, ExchangeEnd::kUnread, unused));
  // std::function copies its closure, so the copies share the answer; one of them runs and reads
  // it.
  std::shared_ptr<BegunAnswer> source = std::move(answer);
  response.stream = [this, call = std::move(call), source](http::BodyWriter& client) {
    const StreamCount live(open_streams_);
    return relay(*call, *source, client);
  };
  return response;
}

// Reads until the provider's clean end; a failure says which side broke. Once the client has left,
// the rest is read for its figures alone, as far as the upstream's limits for that reach.
Status ChatProxy::pump(Call& call, BegunAnswer& answer, http::SseParser& parser,
                       http::BodyWriter& client, bool& client_left) const {
  // Redaction shrinks pictures and long base64 to a few bytes, so more than the log's share is
  // kept.
  const size_t stream_head_max = 4 * config_.body_log_max_bytes;
  std::array<char, kRelayChunkBytes> buffer;
  std::string out, rewritten;
  bool has_events = false, has_text = false;
  const auto pass = [&](const http::SseEvent& event) {
    has_events = has_events || !event.data.empty();
    const EventFate fate = call.meter->on_event(event.event, event.data, event.raw, rewritten);
    remember_answer(call);
    switch (fate) {
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
    const size_t count = KVCS_TRY(answer.read(buffer));
    out.clear();
    at_end = count == 0;
    // Some servers leave out the blank line that ends their last event.
    const bool unfinished = at_end && !parser.pending().empty();
    const std::string_view fresh =
        unfinished ? std::string_view("\n\n") : std::string_view(buffer.data(), count);
    if (Status fed = parser.feed(fresh, pass); !fed.ok()) {
      return provider_failure(std::move(fed), "An event of the provider's answer",
                              config_.event_max_bytes, "ai.event_max_bytes");
    }
    if (out.empty()) continue;
    if (!has_text && call.meter->seen().output_bytes > 0) {
      has_text = true;
      call.first_byte_us = clock_.mono_us();
    }
    const int64_t output = call.meter->output_so_far();
    call.reservation->note_output(output);
    if (output > most_output_bytes(call)) {
      return upstream_failed(
          "The provider sent far more output than the bound of the request allows.");
    }
    hide_credential(call.target().credential, out);
    call.answer_bytes += static_cast<int64_t>(out.size());
    if (call.organization->log_bodies && call.stream_head.size() < stream_head_max) {
      call.stream_head += out;
    }
    // A body that is no stream of events, whatever its type says: an error, as a rule.
    if (!has_events && at_end && out.front() == '{') call.meter->on_json(out);
    if (client_left || client.write(out).ok()) continue;
    client_left = true;
    answer.head().note_client_left();
  }
  return ok();
}

Status ChatProxy::relay(Call& call, BegunAnswer& answer, http::BodyWriter& client) const {
  bool client_left = false;
  http::SseParser parser(config_.event_max_bytes);
  Status failure = pump(call, answer, parser, client, client_left);
  client_left = client_left || answer.client_left() || http::client_left(failure);
  const bool failed = call.meter->has_error();
  if (failure.ok() && !call.meter->complete() && !failed) {
    failure = upstream_failed("The provider ended its stream before it was complete.");
  }
  // A connection that breaks after the last event costs the client nothing: it has the whole
  // answer.
  const bool is_whole = call.meter->complete() || failed;
  if (is_whole) {
    failure = ok();
  } else {
    call.meter->note_rest(parser.pending().size());
  }
  call.answer = call.stream_head;
  reprice(call);
  const int status = client_left    ? kClientClosedRequest
                     : failed       ? 502
                     : failure.ok() ? answer.head().status()
                                    : status_of_failure(failure);
  settle(call, status, is_whole ? ExchangeEnd::kAnswered : ExchangeEnd::kUnknown);
  if (client_left) {
    client_gone_++;
    return client_gone();
  }
  if (failed || !failure.ok()) upstream_errors_++;
  if (failure.ok()) return failure;
  failure = std::move(failure).with_reason("proxy_error");
  (void)client.write(call.meter->error_event(failure));
  // A browser drops what a page has not read yet of a body that breaks, and our pages know the
  // event.
  const bool is_page = !call.request.principal.person_id.empty();
  return is_page || call.meter->error_event_ends_stream() ? ok() : failure;
}

}  // namespace kvcs::ai
