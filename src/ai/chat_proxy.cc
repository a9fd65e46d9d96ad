// The way of a request to its provider: who asks, where the model lives, what it may cost, what is
// sent. The way back is in chat_relay.cc, the rate limits are in chat_rate.cc.
#include "ai/chat_proxy.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "ai/chat_call.h"
#include "ai/worst_case.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"
#include "http/problem.h"

namespace kvcs::ai {
namespace {

// Client headers that change what a provider does; everything else stays here. An idempotency key
// too: the callers of one provider account must not meet each other's answers there.
constexpr std::array<std::string_view, 4> kForwardedHeaders = {
    "anthropic-version", "anthropic-beta", "openai-beta", "accept"};

// How an error looks to the client of this API.
http::Dialect dialect_of(ApiKind api) {
  return api == ApiKind::kMessages ? http::Dialect::kAnthropic : http::Dialect::kOpenAi;
}

// An alias may list several targets. After these answers the next one is tried: nothing has been
// sent to the client yet, and another provider may do better.
bool is_retryable(int status) {
  return status == 429 || status >= 500;
}

// True when the content type is JSON or is not stated.
bool is_json(const http::Request& request) {
  const auto type = request.header("content-type");
  if (!type || *type == "application/json") return true;
  const std::string essence = lower_ascii(trim(type->substr(0, type->find(';'))));
  return essence == "application/json" || essence.ends_with("+json");
}

http::UpstreamRequest build_upstream_request(const http::Request& request, const ChatRequest& chat,
                                             const ModelTarget& target, std::string_view path,
                                             const Secret& credential, int idle_timeout_ms) {
  const Provider& provider = *target.provider;
  http::UpstreamRequest out;
  out.method = "POST";
  out.url = provider.url(path);
  out.body = upstream_body(chat, target.model, provider.kind == ProviderKind::kOpenAi);
  out.deadline_ms = provider.timeout_ms;
  out.idle_timeout_ms = std::min(idle_timeout_ms, provider.timeout_ms);
  // A caller that sends an idempotency key may ask for the answer again, so the answer is fetched
  // to its end even when that caller has left.
  const bool wanted_later = !chat.stream && request.header("idempotency-key").has_value();
  out.stop_if_client_leaves = !wanted_later;
  out.allow_private_addresses = true;  // The operator named this host, not the caller.
  out.headers.reserve(kForwardedHeaders.size() + 4 + provider.headers.size());
  out.headers.emplace_back("content-type", "application/json");
  for (const std::string_view name : kForwardedHeaders) {
    if (const auto value = request.header(name)) out.headers.emplace_back(name, *value);
  }
  const bool native_anthropic =
      provider.kind == ProviderKind::kAnthropic && chat.api == ApiKind::kMessages;
  if (native_anthropic && !request.header("anthropic-version")) {
    out.headers.emplace_back("anthropic-version", "2023-06-01");
  }
  if (!credential.empty()) {
    if (!provider.auth_header.empty() && provider.auth_header != "authorization") {
      out.headers.emplace_back(provider.auth_header, credential.reveal());
    } else if (native_anthropic) {
      out.headers.emplace_back("x-api-key", credential.reveal());
    } else {
      out.headers.emplace_back("authorization", "Bearer " + credential.reveal());
    }
  }
  for (const auto& [name, value] : provider.headers) {
    std::erase_if(out.headers, [&name = name](const auto& header) { return header.first == name; });
    out.headers.emplace_back(name, value);
  }
  return out;
}

// A failed exchange has one reason in this API, "proxy_error". What happened is in the details,
// where may_have_acted() of the idempotency layer finds it.
Status exchange_failure(Status failure) {
  std::string details;
  if (!failure.reason().empty()) details = dump_json(Json{{"reason", failure.reason()}});
  return std::move(failure).with_reason("proxy_error").with_details_json(std::move(details));
}

}  // namespace

ChatProxy::ChatProxy(const ProxyConfig& config, const Directory& directory,
                     const Providers& providers, const Pricing& pricing, PriceOverrides& overrides,
                     Budgets& budgets, RateLimiter& limiter, http::HttpUpstream& upstream,
                     Ledger& ledger, const Clock& clock)
    : config_(config),
      directory_(directory),
      providers_(providers),
      pricing_(pricing),
      overrides_(overrides),
      budgets_(budgets),
      limiter_(limiter),
      upstream_(upstream),
      ledger_(ledger),
      clock_(clock) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"ChatAsk", R"(
model!: string(1..200) = "gpt-4o-mini" # provider/model, a known model or an alias.
messages: any # And all that OpenAI's API knows: what is not listed here is passed on as it is.
stream: boolean
stream_options: object
max_tokens: integer(0..10000000)
max_completion_tokens: integer(0..10000000)
n: integer(1..128)
...)"},
    {"ResponsesAsk", R"(
model!: string(1..200) = "gpt-4o-mini"
input: any
stream: boolean
max_output_tokens: integer(0..10000000)
...)"},
    {"EmbeddingsAsk", R"(
model!: string(1..200) = "text-embedding-3-small"
input: any
...)"},
    {"MessagesAsk", R"(
model!: string(1..200) = "claude-sonnet-4-5"
messages: any
stream: boolean
max_tokens: integer(0..10000000)
...)"},
    {"ProviderAnswer", R"(
...)"},
};

}  // namespace

std::span<const http::ApiType> ChatProxy::types() {
  return kTypes;
}

void ChatProxy::add_routes(std::vector<http::Row>& table, const http::Guard& user_key,
                           uint64_t body_max_bytes) {
  using enum http::Method;
  const http::Access openai{user_key, "user key", http::Dialect::kOpenAi};
  const http::Access anthropic{user_key, "user key", http::Dialect::kAnthropic};
  http::Rows rows(table, *this, "/v1");
  rows.add(kPost, "/chat/completions", openai, body_max_bytes, &ChatProxy::chat_completions,
           "Chat completions, streamed or not, as OpenAI's.",
           {.body = "ChatAsk", .answer = "ProviderAnswer"});
  rows.add(kPost, "/responses", openai, body_max_bytes, &ChatProxy::responses,
           "Responses, as OpenAI's.", {.body = "ResponsesAsk", .answer = "ProviderAnswer"});
  rows.add(kPost, "/embeddings", openai, body_max_bytes, &ChatProxy::embeddings,
           "Embeddings, as OpenAI's.", {.body = "EmbeddingsAsk", .answer = "ProviderAnswer"});
  rows.add(kPost, "/messages", anthropic, body_max_bytes, &ChatProxy::messages,
           "Messages, as Anthropic's.", {.body = "MessagesAsk", .answer = "ProviderAnswer"});
  rows.add(kPost, "/messages/count_tokens", anthropic, body_max_bytes, &ChatProxy::count_tokens,
           "Count the tokens of a message; free.",
           {.body = "MessagesAsk", .answer = "ProviderAnswer"});
}

Result<http::Response> ChatProxy::chat_completions(http::Request& request) {
  return handle(request, ApiKind::kChatCompletions, "/chat/completions");
}
Result<http::Response> ChatProxy::responses(http::Request& request) {
  return handle(request, ApiKind::kResponses, "/responses");
}
Result<http::Response> ChatProxy::embeddings(http::Request& request) {
  return handle(request, ApiKind::kEmbeddings, "/embeddings");
}
Result<http::Response> ChatProxy::messages(http::Request& request) {
  return handle(request, ApiKind::kMessages, "/messages");
}

Result<http::Response> ChatProxy::handle(http::Request& request, ApiKind api,
                                         std::string_view path) {
  if (!is_json(request)) {
    const Status refused =
        invalid("Content-Type: '" + printable(*request.header("content-type"), kShownName) +
                "' is not application/json.")
            .with_reason("unsupported_media_type");
    return http::problem_response(415, refused, dialect_of(api), request.request_id);
  }
  // Shared by two owners: this function, and the closure that streams the answer after it.
  auto call = std::make_shared<Call>(request);
  call->path = path;
  std::string body = KVCS_TRY(request.body->read_all());
  call->chat = KVCS_TRY(parse_chat_request(api, std::move(body)));
  KVCS_TRY(load_caller(*call));
  KVCS_TRY(find_targets(*call));
  KVCS_TRY(find_prices(*call));
  // The order counts. Rates come before the budget, for a refused request must leave no
  // reservation; the reservation comes before the exchange, for money is set aside before it can
  // be spent.
  call->rate_tokens = call->chat.input_guess;
  if (Status limited = take_rate(*call); !limited.ok()) return refusal(*call, limited);
  if (Status refused = reserve(*call); !refused.ok()) {
    return_tokens(*call, 0);
    if (refused.code() == Code::kQuotaExceeded) return refusal(*call, refused);
    return refused;
  }
  Result<std::unique_ptr<http::UpstreamResponse>> upstream = forward(*call);
  if (!upstream.ok()) {
    Status failure = std::move(upstream).status();
    upstream_errors_++;
    // No answer has begun, so the request is not billed.
    settle(*call, http::http_status(failure), false);
    return exchange_failure(std::move(failure));
  }
  call->first_byte_us = clock_.mono_us();
  if ((*upstream)->status() >= 300) return pass_error(*call, **upstream);
  call->meter = make_usage_meter(api, call->chat.client_wants_usage);
  const std::string_view type = (*upstream)->header("content-type").value_or("");
  if (type.starts_with("text/event-stream")) {
    return answer_stream(std::move(call), std::move(*upstream));
  }
  return answer_whole(*call, **upstream);
}

Status ChatProxy::load_caller(Call& call) const {
  const Principal& who = call.request.principal;
  call.user = KVCS_TRY(directory_.user(who.user_id));
  call.organization = KVCS_TRY(directory_.organization(who.organization_id));
  return ok();
}

http::Response ChatProxy::refusal(const Call& call, const Status& why) const {
  http::Response refused =
      http::problem_response(why, dialect_of(call.chat.api), call.request.request_id);
  add_rate_headers(call.rate, refused);
  if (why.code() != Code::kQuotaExceeded) return refused;
  if (const Result<BudgetView> user = budgets_.view("user", call.user->id, ""); user.ok()) {
    add_gateway_headers(*user, call.user->monthly_limit_nano_usd, -1, false, refused);
  }
  return refused;
}

Status ChatProxy::find_targets(Call& call) const {
  const Organization& organization = *call.organization;
  call.targets = KVCS_TRY(providers_.resolve(call.chat.model, call.chat.api));
  // A list may name the model as the client does, or every model behind an alias.
  const auto allowed = [&](const std::vector<std::string>& list) {
    return model_allowed(list, call.chat.model) ||
           std::all_of(call.targets.begin(), call.targets.end(), [&](const ModelTarget& target) {
             return model_allowed(list, target.model) ||
                    model_allowed(list, target.provider->name + "/" + target.model);
           });
  };
  if (!allowed(call.request.principal.key_limits.allowed_models) ||
      !allowed(call.user->allowed_models) || !allowed(organization.allowed_models)) {
    return forbidden("The model '" + printable(call.chat.model, kShownValue) +
                     "' is not among those allowed for this key; ask an admin, or see GET "
                     "/v1/models.")
        .with_reason("model_not_allowed");
  }
  for (const ModelTarget& target : call.targets) {
    call.credentials.push_back(KVCS_TRY(providers_.credential(organization.id, *target.provider)));
    if (call.credentials.back().empty() && target.provider->needs_api_key()) {
      return unauthenticated("The provider '" + target.provider->name +
                             "' has no API key here; an admin can set one with PUT "
                             "/admin/ai/providers/{name}.")
          .with_reason("provider_key_missing");
    }
  }
  return ok();
}

Status ChatProxy::find_prices(Call& call) const {
  const Organization& organization = *call.organization;
  overrides_.refresh_if_changed();
  for (const ModelTarget& target : call.targets) {
    Result<PricedModel> priced =
        pricing_.find(organization.id, target.provider->name, target.model);
    // A model without a price is refused, for its cost could not be bounded, unless the
    // organization has stated the prices at which it takes such models.
    if (!priced.ok() && organization.unknown_input_pico_usd &&
        organization.unknown_output_pico_usd) {
      auto stated = std::make_shared<Price>();
      stated->provider = target.provider->name;
      stated->model = target.model;
      stated->input_pico = *organization.unknown_input_pico_usd;
      stated->output_pico = *organization.unknown_output_pico_usd;
      priced = PricedModel{std::move(stated), pricing_.version() + "+stated"};
    }
    call.prices.push_back(KVCS_TRY(std::move(priced)));
  }
  return ok();
}

Status ChatProxy::reserve(Call& call) const {
  const Principal& who = call.request.principal;
  ChatRequest& chat = call.chat;
  BudgetAsk ask{.request_id = call.request.request_id,
                .key_id = who.key_id,
                .user_id = call.user->id,
                .organization_id = call.organization->id,
                .provider = call.prices.front().price->provider,
                .model = call.prices.front().price->model,
                .price_version = call.prices.front().version};
  const int64_t cap = call.organization->max_output_tokens;
  const bool states_no_bound = chat.api != ApiKind::kEmbeddings && chat.output_tokens_max < 0;
  // The organization's bound is part of what is reserved, so the provider must be told it too.
  if (states_no_bound) chat.output_tokens_cap = cap;
  // Any of the targets may answer: the dearest one is reserved.
  for (const PricedModel& priced : call.prices) {
    const WorstCase worst =
        worst_case(chat, *priced.price,
                   {.organization_max = cap, .default_tokens = config_.output_tokens_default});
    if (worst.is_open_ended) call.unbounded_output = worst.output_tokens;
    ask.estimate_nano_usd = std::max(ask.estimate_nano_usd, worst.cost_nano_usd);
    ask.input_only_nano_usd = std::max(ask.input_only_nano_usd, worst.input_only_nano_usd);
  }
  ask.limits = {.key_nano_usd = who.key_limits.monthly_nano_usd,
                .user_nano_usd = call.user->monthly_limit_nano_usd,
                .organization_nano_usd = call.organization->monthly_budget_nano_usd,
                .failure_mode = call.organization->fail_open ? FailureMode::kFailOpen
                                                             : FailureMode::kFailClosed,
                .fallback_daily_nano_usd = call.organization->fallback_daily_nano_usd};
  call.reservation.emplace(KVCS_TRY(budgets_.reserve(std::move(ask))));
  return ok();
}

Result<std::unique_ptr<http::UpstreamResponse>> ChatProxy::forward(Call& call) const {
  for (call.chosen = 0;; call.chosen++) {
    const ModelTarget& target = call.targets[call.chosen];
    const bool last = call.chosen + 1 == call.targets.size();
    auto upstream = upstream_.open(build_upstream_request(call.request, call.chat, target,
                                                          call.path, call.credentials[call.chosen],
                                                          config_.idle_timeout_ms));
    const bool client_left = upstream.status().reason() == "client_gone";
    // A client that has left wants no other target either.
    const bool try_next = upstream.ok() ? is_retryable((*upstream)->status()) : !client_left;
    if (last || !try_next) return upstream;
  }
}

Result<http::Response> ChatProxy::count_tokens(http::Request& request) {
  Call call(request);
  call.path = "/messages/count_tokens";
  std::string body = KVCS_TRY(request.body->read_all());
  call.chat = KVCS_TRY(parse_chat_request(ApiKind::kMessages, std::move(body)));
  KVCS_TRY(load_caller(call));
  KVCS_TRY(find_targets(call));
  if (Status limited = take_rate(call); !limited.ok()) return refusal(call, limited);
  Result<std::unique_ptr<http::UpstreamResponse>> upstream = forward(call);
  if (!upstream.ok()) return exchange_failure(std::move(upstream).status());
  http::Response response = KVCS_TRY(whole_answer(call, **upstream));
  add_rate_headers(call.rate, response);
  return response;
}

ChatProxy::Stats ChatProxy::stats() const {
  return {open_streams_, upstream_errors_, client_gone_};
}

}  // namespace kvcs::ai
