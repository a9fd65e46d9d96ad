// The tries of a request: one exchange with each provider behind an alias, in turn, until one of
// them gives an answer that the client gets. Nothing has been sent to the client until then.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ai/ai_metrics.h"
#include "ai/chat_call.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/wait.h"
#include "http/client/content_decoder.h"
#include "http/problem.h"
#include "http/sse.h"

namespace kvcs::ai {
namespace {

constexpr size_t kErrorBodyMaxBytes = 64 << 10;

// After these answers the next target of an alias is tried: another provider may do better. Its key
// may be good (401, 403) or paid for (402), it may have the model (404) or the time (408, 429).
bool is_retryable(int status) {
  static constexpr int kStatuses[] = {401, 402, 403, 404, 408, 429};
  return status >= 500 || (status >= 300 && status < 400) ||
         std::find(std::begin(kStatuses), std::end(kStatuses), status) != std::end(kStatuses);
}

// Whether bytes begin as a stream of events does (WHATWG HTML §9.2.5).
bool begins_as_events(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  const size_t first = bytes.find_first_not_of("\r\n");
  if (first == bytes.npos) return false;
  bytes.remove_prefix(first);
  for (const std::string_view field : {"data:", "event:", "id:", "retry:", ":"}) {
    if (bytes.starts_with(field)) return true;
  }
  return false;
}

// Some servers stream events under another type, or under none.
Result<bool> is_event_stream(const ChatRequest& chat, BegunAnswer& answer) {
  const std::string type = lower_ascii(answer.head().header("content-type").value_or(""));
  if (type.starts_with("text/event-stream")) return true;
  if (!chat.stream) return false;
  constexpr size_t kEnough = 16;
  while (answer.looked_at().size() < kEnough && KVCS_TRY(answer.look_further())) {
  }
  return begins_as_events(answer.looked_at());
}

}  // namespace

Status exchange_failure(Status failure) {
  std::string details;
  if (!failure.reason().empty()) details = dump_json(Json{{"reason", failure.reason()}});
  return std::move(failure).with_reason("proxy_error").with_details_json(std::move(details));
}

int status_of_failure(const Status& failure) {
  if (http::client_left(failure)) return kClientClosedRequest;
  return http::http_status(failure);
}

Result<std::unique_ptr<BegunAnswer>> ChatProxy::exchange(Call& call) const {
  const Call::Target& target = call.target();
  const Provider& provider = *target.model.provider;
  BodyEdits edits{
      .model = target.model.model,
      .output_tokens_max = target.worst.sent_output_tokens,
      .output_member = target.dialect->output_member(provider.kind == ProviderKind::kOpenAi),
      .calls_max = target.worst.sent_calls,
      .ask_for_usage = provider.stream_options};
  for (bool is_second = false;; is_second = true) {
    const http::UpstreamRequest ask =
        build_upstream_request(call.request, call.chat, target, call.path, edits, config_);
    call.may_be_sent = true;
    auto upstream = KVCS_TRY(upstream_.open(ask));
    auto answer =
        std::make_unique<BegunAnswer>(KVCS_TRY(http::decode_content(std::move(upstream))));
    const int status = answer->head().status();
    if (is_second || (status != 400 && status != 422)) return answer;
    while (answer->looked_at().size() < kErrorBodyMaxBytes && KVCS_TRY(answer->look_further())) {
    }
    const std::string_view refused = refused_edit(answer->looked_at(), edits);
    if (refused.empty()) return answer;
    if (refused == "stream_options") {
      edits.ask_for_usage = false;
    } else {
      // The bound must hold, so it goes under the other name that servers have for it.
      edits.output_member = refused == "max_tokens" ? "max_completion_tokens" : "max_tokens";
    }
    // What the provider refuses may be the client's own.
    if (target.dialect->upstream_body(call.chat, edits) == ask.body) return answer;
  }
}

// The next try has its money before this one is settled: when there is none left, this try was the
// last one, and its row is the request's.
Status ChatProxy::begin_next_try(Call& call, int status, ExchangeEnd end) const {
  std::vector<AlertEvent> alerts;
  UsageRecord record = make_record(call, status, end, alerts);
  record.attempt = call.attempt + 1;
  call.attempt++;
  call.chosen++;
  std::optional<Reservation> before = std::move(call.reservation);
  call.reservation.reset();
  Status reserved = reserve(call);
  if (!reserved.ok()) {
    end_request(call, *before, std::move(record), std::move(alerts));
    return reserved;
  }
  before->settle_try(std::move(record), std::move(alerts));
  call.meter.reset();
  return ok();
}

// The last try has failed before an answer.
Result<http::Response> ChatProxy::fail(Call& call, Status failure) const {
  const bool left = http::client_left(failure);
  (left ? client_gone_ : upstream_errors_)++;
  settle(call, status_of_failure(failure),
         http::surely_not_sent(failure) ? ExchangeEnd::kNotSent : ExchangeEnd::kUnknown);
  return exchange_failure(std::move(failure));
}

Result<http::Response> ChatProxy::answer_from_targets(std::shared_ptr<Call> call) const {
  for (;;) {
    // What the target before this one said of itself is none of this one's.
    call->meter.reset();
    call->first_byte_us = 0;
    Result<std::unique_ptr<BegunAnswer>> answer = exchange(*call);
    if (answer.ok()) {
      call->first_byte_us = clock_.mono_us();
      Result<std::optional<http::Response>> taken = take_answer(call, *answer);
      if (!taken.ok()) return std::move(taken).status();
      if (*taken) return std::move(**taken);
      continue;
    }
    Status failure = std::move(answer).status();
    // A client that has left wants no other target either.
    if (!call->has_next() || http::client_left(failure)) return fail(*call, failure);
    if (http::surely_not_sent(failure)) {
      call->chosen++;
      continue;
    }
    KVCS_TRY(begin_next_try(*call, status_of_failure(failure), ExchangeEnd::kUnknown));
  }
}

Result<std::optional<http::Response>> ChatProxy::take_answer(
    std::shared_ptr<Call>& call, std::unique_ptr<BegunAnswer>& answer) const {
  using Taken = std::optional<http::Response>;
  const int status = answer->head().status();
  if (status >= 300) {
    if (call->has_next() && is_retryable(status)) {
      call->chosen++;
      return Taken();
    }
    return Taken(KVCS_TRY(pass_error(*call, *answer)));
  }
  call->meter = call->target().dialect->make_meter(call->chat);
  Result<bool> streams = is_event_stream(call->chat, *answer);
  if (streams.ok() && *streams) {
    const Beginning beginning =
        call->has_next() ? look_at_beginning(*call, *answer) : Beginning::kAnswers;
    if (beginning == Beginning::kAnswers || answer->client_left()) {
      // The relay begins anew with the first event.
      call->meter = call->target().dialect->make_meter(call->chat);
      return Taken(answer_stream(std::move(call), std::move(answer)));
    }
    if (beginning == Beginning::kBreaks) {
      // An answer that says that it failed has ended, whatever it stated before.
      KVCS_TRY(begin_next_try(
          *call, 502, call->meter->has_error() ? ExchangeEnd::kAnswered : ExchangeEnd::kUnknown));
    } else {
      call->chosen++;
    }
    return Taken();
  }
  Result<http::Response> whole = streams.ok() ? whole_answer(*call, *answer)
                                              : Result<http::Response>(std::move(streams).status());
  const bool left = answer->client_left();
  if (!whole.ok()) {
    // Whatever ended the reading on, the client had left before.
    if (left)
      return Taken(KVCS_TRY(fail(*call, client_gone().with_cause(whole.status().to_string()))));
    if (!call->has_next()) return Taken(KVCS_TRY(fail(*call, Status(whole.status()))));
    KVCS_TRY(begin_next_try(*call, status_of_failure(whole.status()), ExchangeEnd::kUnknown));
    return Taken();
  }
  call->meter->on_json(whole->body);
  if (!call->meter->has_error() || !call->has_next() || left) {
    return Taken(answer_whole(*call, std::move(*whole), left));
  }
  if (!call->meter->seen().has_input) {
    call->chosen++;
    return Taken();
  }
  KVCS_TRY(begin_next_try(*call, 502, ExchangeEnd::kAnswered));
  return Taken();
}

ChatProxy::Beginning ChatProxy::look_at_beginning(Call& call, BegunAnswer& answer) const {
  // So much may come before the first text of an answer: events that only say that it begins.
  constexpr size_t kPreambleMaxBytes = 64 << 10;
  bool has_content = false;
  const auto look = [&](const http::SseEvent& event) {
    if (event.data.empty() || has_content || call.meter->has_error()) return ok();
    std::string unused;
    call.meter->on_event(event.event, event.data, event.raw, unused);
    has_content = call.meter->seen().output_bytes > 0 || call.meter->complete();
    return ok();
  };
  http::SseParser parser(config_.event_max_bytes);
  size_t fed = 0;
  Beginning beginning = Beginning::kAnswers;
  while (!has_content && !call.meter->has_error()) {
    const std::string_view fresh = answer.looked_at().substr(fed);
    fed = answer.looked_at().size();
    // An event that is too large to be read is content.
    if (!parser.feed(fresh, look).ok() || fed > kPreambleMaxBytes) break;
    if (has_content || call.meter->has_error()) break;
    const Result<bool> more = answer.look_further();
    if (more.ok() && *more) continue;
    beginning = Beginning::kBreaks;
    break;
  }
  if (call.meter->has_error()) {
    beginning = call.meter->seen().has_input ? Beginning::kBreaks : Beginning::kFails;
  }
  return beginning;
}

}  // namespace kvcs::ai
