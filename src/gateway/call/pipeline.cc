// Runs one tool call through its stages, and counts, words and records how it ended. A call is an
// object on the stack of its request; what is shared are PipelineParts, instruments and counts.
#include "gateway/call/pipeline.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/json_cursor.h"
#include "base/log.h"
#include "gateway/call/answer.h"
#include "gateway/call/call_request.h"
#include "gateway/call/failure_words.h"
#include "gateway/call/route.h"
#include "http/client/content_decoder.h"
#include "http/problem.h"

namespace kvcs::gateway {
namespace {

// Answers up to here are read whole before the first byte is sent.
constexpr size_t kWholeMaxBytes = 256u << 10, kErrorBodyMaxBytes = 256u << 10;
constexpr int kFrozenRetryAfterS = 60;

// The stages of a call, by which its time is measured and shown (Server-Timing, metrics).
enum Stage : size_t { kAuth, kToken, kRoute, kExecute, kStages };
constexpr std::array<std::string_view, kStages> kStageNames = {"auth", "token", "route", "execute"};

const Meta kNoMeta;

// "auth;dur=0.012, token;dur=…", in milliseconds.
std::string server_timing(const std::array<int64_t, kStages>& stage_us) {
  std::string timing;
  for (size_t i = 0; i < kStages; ++i) {
    const std::string us = std::to_string(stage_us[i] % 1000 + 1000).substr(1);
    timing += (timing.empty() ? "" : ", ") + std::string(kStageNames[i]) +
              ";dur=" + std::to_string(stage_us[i] / 1000) + "." + us;
  }
  return timing;
}

}  // namespace

// Histograms are looked up once; counters have labels that are known only at the end of a call.
struct Pipeline::Instruments {
  explicit Instruments(Metrics& all) : metrics(all) {
    for (size_t i = 0; i < kStages; ++i) {
      stages[i] =
          &metrics.histogram("kvcs_gateway_stage_seconds", "Time of a gateway call in each stage.",
                             "stage=\"" + std::string(kStageNames[i]) + "\"");
    }
    overhead = &metrics.histogram(
        "kvcs_gateway_overhead_seconds",
        "Time from a call's head to its upstream request: auth, token and route together.");
  }
  void count(std::string_view provider, std::string_view code) {
    std::string labels = "provider=\"" + Metrics::escape_label(provider);
    labels += "\",code=\"" + Metrics::escape_label(code) + "\"";
    const char* help = "Gateway calls by provider and outcome.";
    metrics.counter("kvcs_gateway_calls_total", help, labels).add();
  }
  Metrics& metrics;
  std::array<LatencyHistogram*, kStages> stages{};
  LatencyHistogram* overhead = nullptr;
};

// The state of one call, from the first stage to the last.
class Pipeline::Run final {
 public:
  Run(Pipeline& pipeline, const Caller& caller, std::string_view provider)
      : parts_(pipeline.parts_),
        limits_(pipeline.limits_),
        asked_(pipeline.asked_),
        caller_(caller),
        provider_id_(provider),
        lap_us_(caller.started_us != 0 ? caller.started_us : parts_.clock.mono_us()) {}

  // The whole call. A failed stage ends it; finish() words the failure.
  Result<http::Response> run(std::string_view body_json);
  // For a call that the guard refused: all of its time is that of the auth stage.
  void end_auth() { lap(kAuth); }

  // Facts of a call for its answer's headers, the metrics and the error ledger.
  struct Facts {
    std::array<int64_t, kStages> stage_us{};
    std::array<bool, kStages> reached{};
    int64_t overhead_us = -1;  // Of all stages before the upstream, once it is asked.
    bool provider_known = false;
    std::string account, action = "call", method, path;
    int upstream_status = 0;
    std::optional<RateDecision> rate;  // The tightest.
    std::string retry_after;           // The upstream's.
    Status failure;                    // Mirrored errors are answers, but failures too.
  };
  const Facts& facts() const { return facts_; }
  ErrorRecord error_record() const;  // But for code, message and status.
  const Caller& caller() const { return caller_; }
  std::string_view provider_id() const { return provider_id_; }

 private:
  // The stages in their order. The body is read before the token is looked for, since it names the
  // account; both halves of its way to a request are route's time.
  Status auth();
  Status read_call(std::string_view body_json);
  Status token();
  Result<OutboundRequest> route() const;
  Result<http::Response> execute(OutboundRequest& request);
  // From token to execute: what an idempotency key lets happen once.
  Result<http::Response> perform();

  Status take(const std::string& key, int64_t per_minute, std::string_view what);
  Status take_idempotency_header();
  Result<http::Response> exchange(OutboundRequest& request, const std::string& cache_key);
  Result<http::Response> read_answer(std::unique_ptr<http::UpstreamResponse> upstream,
                                     const std::string& cache_key);
  Result<http::Response> mirror_failure(std::unique_ptr<http::UpstreamResponse> upstream);
  Result<http::Response> fetch_through_cache(const std::string& cache_key,
                                             OutboundRequest& request);
  // A caller that names an idempotency key may ask again for the answer, so the work goes on to
  // its end.
  bool stops_if_client_leaves() const { return call_.idempotency_key.empty(); }
  // Each moment of a call belongs to the stage that ends next: lap() gives the time since the last
  // lap to `stage`.
  void lap(Stage stage) {
    const int64_t now = parts_.clock.mono_us();
    facts_.stage_us[stage] += std::max<int64_t>(now - lap_us_, 0);
    facts_.reached[stage] = true;
    lap_us_ = now;
  }
  Status timed(Stage stage, Status status) {
    lap(stage);
    return status;
  }

  const PipelineParts& parts_;
  const PipelineLimits& limits_;
  ProviderCounts& asked_;
  const Caller& caller_;
  const std::string provider_id_;
  int64_t lap_us_;  // When the last lap ended.
  Facts facts_;
  // Each is set by the stage named at the end of its line, and not changed by later ones.
  Tenants::Pointer tenant_;                   // auth
  ProviderDirectory::Pointer provider_;       // read_call
  CallRequest call_;                          // read_call
  AccountId account_;                         // token
  TokenStore::CredentialPointer credential_;  // token
  int timeout_ms_ = 0;                        // execute: what is left of the call's time.
  uint64_t cache_generation_ = 0;             // execute: of before the provider was asked.
};

// Takes one request out of a rate limit's bucket. The tightest of the buckets, or the one that
// refuses, is what the answer's RateLimit headers show.
Status Pipeline::Run::take(const std::string& key, int64_t per_minute, std::string_view what) {
  if (per_minute < 0) return ok();
  const RateDecision decision = parts_.rates.take(key, per_minute);
  if (!facts_.rate || !decision.allowed || decision.remaining < facts_.rate->remaining) {
    facts_.rate = decision;
  }
  if (decision.allowed) return ok();
  return rate_limited("Too many requests: " + std::string(what) + " may make " +
                          std::to_string(per_minute) + " a minute.",
                      static_cast<int>(decision.retry_after_s))
      .with_reason("RATE_LIMITED");
}

// The checks that a caller must pass before anything is looked up for it. The cheapest come first:
// the mode, then limits that need no record, then the tenant's own.
Status Pipeline::Run::auth() {
  if (parts_.tenants.frozen()) {
    return unavailable("The gateway is frozen by its operator; no calls are made.")
        .with_reason("FROZEN_GATEWAY")
        .with_retry_after_s(kFrozenRetryAfterS);
  }
  KVCS_TRY(take("gateway:ip:" + caller_.remote_ip, limits_.ip_requests_per_minute, "one address"));
  KVCS_TRY(take("gateway:token:" + caller_.key_id, limits_.token_requests_per_minute, "one token"));
  tenant_ = KVCS_TRY(parts_.tenants.find(caller_.tenant));
  if (!tenant_->active) {
    return forbidden("Tenant " + tenant_->id + " is suspended.").with_reason("TENANT_SUSPENDED");
  }
  const int64_t own = tenant_->requests_per_minute;
  return take("gateway:tenant:" + tenant_->id, own >= 0 ? own : limits_.tenant_requests_per_minute,
              "one tenant");
}

// The first half of route: the provider, the body against its record, and the provider's own limit.
Status Pipeline::Run::read_call(std::string_view body_json) {
  provider_ = KVCS_TRY(parts_.providers.find(provider_id_));
  facts_.provider_known = true;
  KVCS_TRY(check_reach(*tenant_, *provider_));
  const Json body = KVCS_TRY(parse_json_exact(trim(body_json).empty() ? "{}" : body_json));
  call_ = KVCS_TRY(parse_call(body, *provider_));
  KVCS_TRY(take_idempotency_header());
  facts_.account = call_.account_id;
  facts_.action = call_.action;
  facts_.method = call_.method;
  facts_.path = call_.path;
  return take("gateway:provider:" + tenant_->id + ":" + provider_id_,
              provider_->requests_per_minute, "one tenant at " + provider_id_);
}

// Header and body may both name an idempotency key, but only the same one.
Status Pipeline::Run::take_idempotency_header() {
  const std::string& header = caller_.idempotency_key;
  if (header.empty() || header == call_.idempotency_key) return ok();
  if (!call_.idempotency_key.empty()) {
    return invalid("idempotency_key: the body and the Idempotency-Key header name different keys.");
  }
  call_.idempotency_key = header;
  return ok();
}

// The account that the body names, or the only one, and its credential. An expired credential fails
// here: the request path never refreshes.
Status Pipeline::Run::token() {
  account_ = {tenant_->id, provider_id_, call_.account_id};
  const bool needed = provider_->auth.type != AuthType::kNone;
  if (call_.account_id.empty()) {
    const auto names = KVCS_TRY(parts_.tokens.list_accounts(account_.tenant, provider_id_));
    if (names->size() > 1) {
      return invalid("Tenant " + tenant_->id + " has multiple " + provider_id_ +
                     " accounts. Pass account_id explicitly. Available: " + join(*names, ", ") +
                     ".");
    }
    if (names->empty() && needed) {
      return not_found("Tenant " + tenant_->id + " has no " + provider_id_ +
                       " account; no API token is stored.")
          .with_reason("TOKEN_MISSING");
    }
    account_.account = names->empty() ? "default" : names->front();
  }
  facts_.account = account_.account;
  Result<TokenStore::CredentialPointer> found = parts_.tokens.find(account_);
  if (found.code() == Code::kNotFound) {
    if (!needed) {
      credential_ = std::make_shared<const AccessCredential>();
      return ok();
    }
    const auto names = KVCS_TRY(parts_.tokens.list_accounts(account_.tenant, provider_id_));
    return not_found("Tenant " + tenant_->id + " has no " + provider_id_ + " account " +
                     account_.account +
                     ". Available: " + (names->empty() ? "none" : join(*names, ", ")) + ".")
        .with_reason("TOKEN_MISSING");
  }
  credential_ = KVCS_TRY(std::move(found));
  const int64_t expires_at_s = credential_->expires_at_s;
  if (expires_at_s == 0 || expires_at_s > parts_.clock.unix_s()) return ok();
  const bool consent = credential_->state == TokenState::kReauthRequired;
  return unauthenticated("The " + provider_id_ + " token of account " + account_.account +
                         (consent ? " has expired and cannot be refreshed; the account must be "
                                    "connected again."
                                  : " has expired; it is refreshed in the background, try again "
                                    "within 10 minutes."))
      .with_reason("TOKEN_EXPIRED")
      .with_details_json(dump_json(Json{{"reauth_required", consent},
                                        {"account_id", account_.account},
                                        {"expired_at", format_iso8601_s(expires_at_s * 1000)}}));
}

// The provider's failure with its status, its words and its Retry-After.
Result<http::Response> Pipeline::Run::mirror_failure(
    std::unique_ptr<http::UpstreamResponse> upstream) {
  UpstreamAnswer said;
  said.status = upstream->status();
  if (const auto after = upstream->header("retry-after")) facts_.retry_after = *after;
  if (said.status == 401 && parts_.token_rejected) parts_.token_rejected(account_);
  // The status alone makes it a failure: a body that is cut off or endless only takes the words
  // away.
  if (auto decoded = http::decode_content(std::move(upstream)); decoded.ok()) {
    Result<std::string> body = (*decoded)->read_all(kErrorBodyMaxBytes);
    if (body.ok()) said.body = std::move(body).value();
  }
  UpstreamFailure failure = upstream_failure(provider_id_, said, *credential_, provider_->secrets,
                                             limits_.mirror_upstream_401);
  if (const Result<uint64_t> seconds = parse_u64(facts_.retry_after, "retry-after");
      seconds.ok() && seconds.value() <= 86'400) {
    failure.status = std::move(failure.status).with_retry_after_s(static_cast<int>(*seconds));
  }
  facts_.failure = failure.status;
  return http::problem_response(failure.http_status, failure.status, http::Dialect::kGateway,
                                caller_.request_id);
}

// A JSON answer is read whole, for the envelope and the fields; a short answer of another type is
// read whole too, so that a provider which breaks off early is a failure and not half an answer;
// what is longer is streamed.
Result<http::Response> Pipeline::Run::read_answer(std::unique_ptr<http::UpstreamResponse> upstream,
                                                  const std::string& cache_key) {
  const int status = facts_.upstream_status = upstream->status();
  const std::string_view cache = call_.use_cache ? "MISS" : "BYPASS";
  const std::string type(upstream->header("content-type").value_or(""));
  const bool wants_json = is_json_type(type) && (!call_.compact || call_.fields);
  if (status >= 300) return mirror_failure(std::move(upstream));
  if (is_json_type(type)) {
    // What is read and kept here must be text; other answers pass in the coding that they came in.
    auto decoded = http::decode_content(std::move(upstream));
    if (!decoded.ok()) return exchange_failure(decoded.status(), provider_id_);
    upstream = std::move(decoded).value();
  }
  // Server-sent events are passed on one by one; collecting them would hold the first ones back.
  const bool live = type.starts_with("text/event-stream") && call_.method != "HEAD";
  std::string body;
  bool ended = false;
  const size_t whole_max = wants_json ? limits_.json_answer_max_bytes : kWholeMaxBytes;
  // On the stack and not zeroed: a std::string of this size would be filled with zeros for each
  // call.
  char buffer[16u << 10];
  while (!live && !ended && body.size() <= whole_max) {
    const Result<size_t> n = upstream->read(buffer);
    if (!n.ok()) return exchange_failure(n.status(), provider_id_);
    ended = n.value() == 0;
    body.append(buffer, n.value());
  }
  if (!ended && wants_json) {
    return exchange_failure(too_large("The answer is over " + format_bytes(whole_max) +
                                      "; ask for less, or with format compact and no fields."),
                            provider_id_);
  }
  const bool empty = ended && trim(body).empty();
  if (ended && !empty && !is_json_type(type)) {
    return whole_response(*upstream, std::move(body), cache);
  }
  if (!ended) {
    // Shared by the copies of the response's function; see answer.cc.
    std::shared_ptr<http::UpstreamResponse> rest = std::move(upstream);
    return stream_response(std::move(rest), std::move(body), limits_.stream_answer_max_bytes,
                           cache);
  }
  // A write through an account makes every kept answer of it doubtful.
  if (call_.method != "GET" && call_.method != "HEAD") {
    if (provider_->cache_ttl_s > 0) {
      parts_.cache.purge(account_.tenant, account_.provider, account_.account);
    }
  } else if (!cache_key.empty() && is_json(body)) {
    const int64_t ttl_s =
        cacheable_s(upstream->header_list("cache-control").value_or(""), provider_->cache_ttl_s);
    parts_.cache.put(cache_key, account_, {status, type, std::make_shared<const std::string>(body)},
                     ttl_s, static_cast<size_t>(provider_->cache_entries_max), cache_generation_);
  }
  return success_response(call_, {status, type, std::move(body)}, cache);
}

// Signs the request and sends it, once, and counts how the provider answered. The time of route
// ends, and the overhead of the gateway is known, when the provider is asked.
Result<http::Response> Pipeline::Run::exchange(OutboundRequest& request,
                                               const std::string& cache_key) {
  KVCS_TRY(apply_auth(provider_->auth, *credential_, parts_.clock.unix_ms(), request));
  http::UpstreamRequest wire;
  wire.method = request.method;
  wire.url = request.url();
  wire.headers = std::move(request.headers);
  wire.body = std::move(request.body);
  wire.deadline_ms = timeout_ms_;
  wire.stop_if_client_leaves = stops_if_client_leaves();
  wire.allow_private_addresses = provider_->allow_private_addresses;
  lap(kRoute);
  facts_.overhead_us = facts_.stage_us[kAuth] + facts_.stage_us[kToken] + facts_.stage_us[kRoute];
  if (timeout_ms_ <= 0) {
    return exchange_failure(timed_out("No time was left after waiting for another call's answer."),
                            provider_id_);
  }
  auto opened = parts_.upstream.open(wire);
  Result<http::Response> answer = opened.ok() ? read_answer(std::move(opened).value(), cache_key)
                                              : exchange_failure(opened.status(), provider_id_);
  const Status failure = answer.ok() ? facts_.failure : answer.status();
  asked_.record(provider_id_, is_fault_of_provider(failure, facts_.upstream_status));
  return answer;
}

// A kept answer if it is fresh; or else one call fetches it while the others that want it wait, and
// a stale answer stands in when the provider fails. Waiting counts against the call's own time.
Result<http::Response> Pipeline::Run::fetch_through_cache(const std::string& cache_key,
                                                          OutboundRequest& request) {
  cache_generation_ = parts_.cache.generation();
  if (!call_.use_cache) return exchange(request, cache_key);
  ResponseCache::Found found = parts_.cache.find(cache_key);
  std::unique_ptr<ResponseCache::Flight> flight;
  lap(kRoute);
  if (!found.fresh) {
    const int64_t began_us = parts_.clock.mono_us();
    auto begun = parts_.cache.begin_flight(cache_key, timeout_ms_, stops_if_client_leaves());
    if (!begun.ok()) return exchange_failure(begun.status(), provider_id_);
    flight = std::move(begun).value();
    timeout_ms_ -= static_cast<int>((parts_.clock.mono_us() - began_us) / 1000);
    found = parts_.cache.find(cache_key);
  }
  const auto kept = [&](std::string_view word) {
    return success_response(
        call_, {found.answer->status, found.answer->content_type, *found.answer->body}, word);
  };
  if (found.fresh) return kept("HIT");
  // A caller that waited in vain takes what there is, or asks on its own.
  if (!flight && found.answer) return kept("STALE");
  Result<http::Response> fetched = exchange(request, cache_key);
  const bool failed = !fetched.ok() || facts_.upstream_status >= 500;
  if (!failed || !found.answer) return fetched;
  // The caller gets a good answer after all, so that the call is not counted as failed.
  facts_.failure = {};
  facts_.retry_after.clear();
  return kept("STALE");
}

Result<http::Response> Pipeline::Run::run(std::string_view body_json) {
  KVCS_TRY(timed(kAuth, auth()));
  KVCS_TRY(timed(kRoute, read_call(body_json)));
  if (call_.idempotency_key.empty() || call_.dry_run) return perform();
  IdempotencyRule rule;
  rule.kept_s = limits_.idempotency_kept_s;
  rule.streams_count = true;
  rule.outcome_unknown = [this](const Result<http::Response>& failed) {
    if (call_.method == "GET" || call_.method == "HEAD") return false;
    if (!failed.ok()) return may_have_acted(failed);
    // A failure that the provider itself answered had no effect, unless a proxy before it answered.
    // The provider's own status counts, and not the answer's, which may be 502 for its 401.
    const int said = facts_.upstream_status;
    return said < 400 || said == 502 || said == 504;
  };
  Result<http::Response> result = parts_.idempotency.once(
      {.name = "idempotency_key",
       .key = call_.idempotency_key,
       .owner = caller_.key_id,
       .organization = caller_.organization_id,
       .target = "/api/v1/" + tenant_->id + "/" + provider_id_,
       .body = body_json,
       .request_id = caller_.request_id},
      rule, [this] {
        lap(kExecute);  // Until here the marker of the key was written to disk.
        return perform();
      });
  if (!result.ok()) return with_gateway_reason(result.status());
  return result;
}

Result<http::Response> Pipeline::Run::perform() {
  KVCS_TRY(timed(kToken, token()));
  OutboundRequest request = KVCS_TRY(route());
  if (call_.dry_run) {
    KVCS_TRY(apply_auth(provider_->auth, *credential_, parts_.clock.unix_ms(), request));
    lap(kRoute);
    return http::json_response(
        200, "{\"success\":true,\"dry_run\":true,\"request\":" +
                 describe_outbound(request, *provider_, call_, *credential_) + "}");
  }
  if (parts_.take_call) KVCS_TRY(parts_.take_call(caller_.organization_id));
  Result<http::Response> result = execute(request);
  lap(kExecute);
  return result;
}

Result<OutboundRequest> Pipeline::Run::route() const {
  const auto meta = tenant_->provider_meta.find(provider_id_);
  return build_outbound(*provider_, call_, *credential_,
                        meta == tenant_->provider_meta.end() ? kNoMeta : meta->second);
}

Result<http::Response> Pipeline::Run::execute(OutboundRequest& request) {
  if (provider_->auth.type != AuthType::kNone) parts_.tokens.note_used(account_);
  timeout_ms_ = std::min(call_.timeout_ms, provider_->timeout_ms);
  const bool cacheable = provider_->cache_ttl_s > 0 && call_.method == "GET";
  if (!cacheable) return exchange(request, "");
  return fetch_through_cache(
      ResponseCache::key(account_, {credential_->authority, provider_->digest}, request), request);
}

// The row of the call in the error ledger. A provider that does not exist is named by the message
// alone: operators count and sort by the column, and what callers make up must not become a line
// of their reports.
ErrorRecord Pipeline::Run::error_record() const {
  ErrorRecord record;
  record.ts_ms = parts_.clock.unix_ms();
  record.request_id = caller_.request_id;
  record.tenant = printable(caller_.tenant, kShownName);
  const bool is_known = facts_.provider_known || parts_.providers.find(provider_id_).ok();
  if (is_known) record.provider = provider_id_;
  record.account_id = facts_.account;
  record.action = facts_.action;
  record.method = facts_.method;
  record.path = facts_.path;
  record.upstream_status = facts_.upstream_status;
  if (caller_.started_us != 0) {
    record.latency_ms = (parts_.clock.mono_us() - caller_.started_us) / 1000;
  }
  record.ip_hash = hash_address(parts_.ip_hash_key, caller_.remote_ip);
  return record;
}

Pipeline::Pipeline(PipelineParts parts, PipelineLimits limits)
    : parts_(std::move(parts)),
      limits_(limits),
      instruments_(std::make_unique<Instruments>(parts_.metrics)),
      strangers_(parts_.ip_hash_key),
      tenant_rows_(parts_.error_rows_per_day) {}
Pipeline::~Pipeline() = default;

http::Response Pipeline::call(const Caller& caller, std::string_view provider,
                              std::string_view body_json) {
  Run run(*this, caller, provider);
  Result<http::Response> result = run.run(body_json);
  return finish(run, std::move(result));
}

http::Response Pipeline::refuse(const Caller& caller, std::string_view provider,
                                const Status& why) {
  Run run(*this, caller, provider);
  run.end_auth();
  return finish(run, why);
}

void Pipeline::refuse_stranger(const Caller& caller, const Status& why) {
  Run run(*this, caller, "");
  run.end_auth();
  instruments_->stages[kAuth]->record_us(run.facts().stage_us[kAuth]);
  const Status failure = in_gateway_words(why);
  const std::string code = http::gateway_code(failure);
  instruments_->count("", code);
  if (!parts_.record_error) return;
  auto row = strangers_.note(caller.remote_ip, failure, parts_.clock.unix_ms());
  if (!row) return;
  row->request_id = caller.request_id;
  row->code = code;
  row->status = http::http_status(failure);
  parts_.record_error(std::move(*row));
}

void Pipeline::record(const std::string& tenant, ErrorRecord row) {
  const auto besides = tenant_rows_.note(tenant, parts_.clock.unix_ms());
  if (!besides) return;
  row.message += *besides;
  parts_.record_error(std::move(row));
}

// An answer that is streamed may break after its head went out as a success. The caller sees a
// broken transfer; the error ledger gets a row with the status that was sent.
void Pipeline::watch_stream(const Run& run, http::Response& response) {
  if (!response.stream || !parts_.record_error) return;
  response.stream = [this, stream = std::move(response.stream), row = run.error_record(),
                     tenant = run.caller().tenant, started_us = run.caller().started_us,
                     status = response.status](http::BodyWriter& out) {
    const Status sent = stream(out);
    if (sent.ok() || out.client_gone()) return sent;
    const Status failure = exchange_failure(sent, row.provider);
    ErrorRecord broken = row;
    broken.ts_ms = parts_.clock.unix_ms();
    if (started_us != 0) broken.latency_ms = (parts_.clock.mono_us() - started_us) / 1000;
    broken.code = http::gateway_code(failure);
    broken.message = failure.message() + " The answer broke off after its head was sent.";
    broken.status = status;
    record(tenant, std::move(broken));
    return sent;
  };
}

// The one end of every call, refused, failed or answered: words the failure, sets the headers, and
// counts and records what happened.
http::Response Pipeline::finish(const Run& run, Result<http::Response> result) {
  const Run::Facts& facts = run.facts();
  const Caller& caller = run.caller();
  const Status failure = in_gateway_words(result.ok() ? facts.failure : result.status());
  http::Response response =
      result.ok() ? std::move(result).value()
                  : http::problem_response(failure, http::Dialect::kGateway, caller.request_id);
  if (failure.code() == Code::kInternal) {
    log::error("gateway.failed", {{"request_id", caller.request_id}, {"cause", failure.cause()}});
  }
  if (!facts.retry_after.empty() && response.find("retry-after") == nullptr) {
    response.set("retry-after", printable(facts.retry_after, kShownName));
  }
  if (facts.rate) {
    response.set("ratelimit-limit", std::to_string(facts.rate->limit));
    response.set("ratelimit-remaining",
                 std::to_string(std::max<int64_t>(facts.rate->remaining, 0)));
    response.set("ratelimit-reset", std::to_string(facts.rate->reset_s));
  }
  for (size_t i = 0; i < kStages; ++i) {
    if (facts.reached[i]) instruments_->stages[i]->record_us(facts.stage_us[i]);
  }
  if (facts.overhead_us >= 0) instruments_->overhead->record_us(facts.overhead_us);
  if (caller.want_timing) response.set("server-timing", server_timing(facts.stage_us));
  const std::string code = failure.ok() ? "OK" : http::gateway_code(failure);
  // Names that callers make up must not become series.
  instruments_->count(facts.provider_known ? run.provider_id() : "", code);
  if (failure.ok()) watch_stream(run, response);
  const bool is_our_rate = failure.code() == Code::kRateLimited && facts.upstream_status == 0;
  if (!failure.ok() && !is_our_rate && parts_.record_error) {
    ErrorRecord row = run.error_record();
    row.code = code;
    row.message = failure.message();
    // Operators see which host failed, and how; the caller does not.
    if (!failure.cause().empty()) row.message += " (" + failure.cause() + ")";
    row.status = response.status;
    record(caller.tenant, std::move(row));
  }
  return response;
}

}  // namespace kvcs::gateway
