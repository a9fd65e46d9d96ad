// The way of a request to its provider: who asks, where the model lives, what it may cost. What is
// sent is in chat_send.cc, the tries at several providers in chat_tries.cc, the way back in
// chat_relay.cc, the rate limits in chat_rate.cc.
#include "ai/chat_proxy.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "ai/chat_call.h"
#include "ai/objects.h"
#include "ai/worst_case.h"
#include "base/bytes.h"
#include "base/json_size.h"
#include "base/memory.h"
#include "base/money.h"
#include "base/quick_json.h"
#include "http/problem.h"
#include "identity/access.h"

namespace kvcs::ai {
namespace {

// True when the content type is JSON or is not stated.
bool is_json(const http::Request& request) {
  const auto type = request.header("content-type");
  if (!type || *type == "application/json") return true;
  const std::string essence = lower_ascii(trim(type->substr(0, type->find(';'))));
  return essence == "application/json" || essence.ends_with("+json");
}

// More than any provider takes: a prompt of that many token ids.
constexpr size_t kAskValuesMax = 1'000'000;
constexpr uint64_t kParsedBytesPerValue = 24;  // simdjson's, of a number.

// The body. What its parser will take is counted as the client's too; a body that fits into the
// parser that each thread keeps takes nothing.
Result<std::string> read_ask(http::Request& request) {
  std::string body = KVCS_TRY(request.body->read_all());
  if (body.size() <= QuickParser::kKeptMaxBytes) return body;
  const size_t values = count_json_values(body);
  if (values > kAskValuesMax) {
    return too_large("The body has " + std::to_string(values) + " JSON values; " +
                     std::to_string(kAskValuesMax) + " are the most that is taken.");
  }
  KVCS_TRY(request.body->keep(values * kParsedBytesPerValue));
  return body;
}

}  // namespace

ChatProxy::ChatProxy(const ProxyConfig& config, const Directory& directory,
                     const Providers& providers, const Pricing& pricing, PriceOverrides& overrides,
                     Budgets& budgets, RateLimiter& limiter, http::HttpUpstream& upstream,
                     Ledger& ledger, AiMetrics& metrics, AiObjects& objects, const Clock& clock,
                     OrganizationCap cap)
    : config_(config),
      directory_(directory),
      providers_(providers),
      pricing_(pricing),
      overrides_(overrides),
      budgets_(budgets),
      limiter_(limiter),
      upstream_(upstream),
      ledger_(ledger),
      metrics_(metrics),
      objects_(objects),
      clock_(clock),
      cap_(std::move(cap)) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"ChatAsk", R"(
model!: string(1..200) = "gpt-6-luna" # provider/model, a known model or an alias.
messages: any # And all that OpenAI's API knows: what is not listed here is passed on as it is.
stream: boolean
stream_options: object
max_tokens: integer(-1..10000000) # 0 and -1 state no bound.
max_completion_tokens: integer(-1..10000000)
n: integer(1..128)
...)"},
    {"ResponsesAsk", R"(
model!: string(1..200) = "gpt-6-luna"
input: any
stream: boolean
max_output_tokens: integer(-1..10000000)
...)"},
    {"EmbeddingsAsk", R"(
model!: string(1..200) = "text-embedding-3-small"
input: any
...)"},
    {"MessagesAsk", R"(
model!: string(1..200) = "claude-sonnet-5-5"
messages: any
stream: boolean
max_tokens: integer(-1..10000000) # 0 and -1 state no bound.
...)"},
    {"ChatAnswer", R"(
# As the provider sent it; with "stream": true, events of such chunks.
id: string
object: string
created: integer
model: string
choices: [object] # As in OpenAI's API.
usage: object # prompt_tokens, completion_tokens, total_tokens and their details.
...)"},
    {"ResponsesAnswer", R"(
# As the provider sent it; with "stream": true, events.
id: string
object: string
model: string
status: string
output: [object] # As in OpenAI's API.
usage: object? # input_tokens, output_tokens, total_tokens and their details.
...)"},
    {"EmbeddingsAnswer", R"(
# As the provider sent it.
object: string
model: string
data: [object] # As in OpenAI's API.
usage: object # prompt_tokens, total_tokens.
...)"},
    {"MessagesAnswer", R"(
# As the provider sent it; with "stream": true, events.
id: string
type: string
role: string
model: string
content: [object] # As in Anthropic's API.
stop_reason: string?
usage: object # input_tokens, output_tokens and their details.
...)"},
    {"TokensCounted", R"(
# As the provider sent it.
input_tokens: integer
...)"},
};

}  // namespace

std::span<const http::ApiType> ChatProxy::types() {
  return kTypes;
}

void ChatProxy::add_routes(std::vector<http::Row>& table, const http::Guard& user_key,
                           uint64_t body_max_bytes) {
  using enum http::Method;
  const http::Need need{.family = PrincipalKind::kUserKey,
                        .org_role = OrgRole::kMember,
                        .owner = http::OwnerFrom::kCaller};
  const http::Access openai{user_key, access::words(need), http::Dialect::kOpenAi, need};
  const http::Access anthropic{user_key, access::words(need), http::Dialect::kAnthropic, need};
  http::Rows rows(table, *this, "/v1");
  rows.add(kPost, "/chat/completions", openai, body_max_bytes, &ChatProxy::chat_completions,
           "Chat completions, streamed or not, as OpenAI's.",
           {.id = "createChatCompletion",
            .body = "ChatAsk",
            .answer = "ChatAnswer text/event-stream",
            .also = "502 504"});
  rows.add(kPost, "/responses", openai, body_max_bytes, &ChatProxy::responses,
           "Responses, as OpenAI's.",
           {.id = "createResponse",
            .body = "ResponsesAsk",
            .answer = "ResponsesAnswer text/event-stream",
            .also = "502 504"});
  rows.add(kPost, "/embeddings", openai, body_max_bytes, &ChatProxy::embeddings,
           "Embeddings, as OpenAI's.",
           {.id = "createEmbeddings",
            .body = "EmbeddingsAsk",
            .answer = "EmbeddingsAnswer",
            .also = "502 504"});
  rows.add(kPost, "/messages", anthropic, body_max_bytes, &ChatProxy::messages,
           "Messages, as Anthropic's.",
           {.id = "createMessage",
            .body = "MessagesAsk",
            .answer = "MessagesAnswer text/event-stream",
            .also = "502 504"});
  rows.add(kPost, "/messages/count_tokens", anthropic, body_max_bytes, &ChatProxy::count_tokens,
           "Count the tokens of a message; free.",
           {.id = "countMessageTokens",
            .body = "MessagesAsk",
            .answer = "TokensCounted",
            .also = "502 504"});
}

Result<http::Response> ChatProxy::chat_completions(http::Request& request) {
  return handle(request, dialect(ApiKind::kChatCompletions));
}
Result<http::Response> ChatProxy::responses(http::Request& request) {
  return handle(request, dialect(ApiKind::kResponses));
}
Result<http::Response> ChatProxy::embeddings(http::Request& request) {
  return handle(request, dialect(ApiKind::kEmbeddings));
}
Result<http::Response> ChatProxy::messages(http::Request& request) {
  return handle(request, dialect(ApiKind::kMessages));
}

Result<http::Response> ChatProxy::handle(http::Request& request, const Dialect& dialect) {
  if (!is_json(request)) {
    const Status refused =
        invalid("Content-Type: '" + printable(*request.header("content-type"), kShownName) +
                "' is not application/json.")
            .with_reason("unsupported_media_type");
    return http::problem_response(415, refused, dialect.errors(), request.request_id);
  }
  Result<ChatRequest> chat = dialect.read_request(KVCS_TRY(read_ask(request)));
  if (!chat.ok()) return std::move(chat).status();
  // Shared by two owners: this function, and the closure that streams the answer after it.
  auto call = std::make_shared<Call>(request, dialect, std::move(*chat));
  KVCS_TRY(load_caller(*call));
  KVCS_TRY(find_targets(*call));
  KVCS_TRY(find_prices(*call));
  KVCS_TRY(bound_targets(*call));
  KVCS_TRY(check_objects(*call));
  // The order counts. Rates come before the budget, for a refused request must leave no
  // reservation; the reservation comes before the exchange, for money is set aside before it can
  // be spent.
  call->rate_tokens = guess_input(call->chat);
  if (Status limited = take_rate(*call); !limited.ok()) return refusal(*call, limited);
  if (Status refused = reserve(*call); !refused.ok()) {
    return_tokens(*call, 0);
    if (refused.code() == Code::kQuotaExceeded) return refusal(*call, refused);
    return refused;
  }
  std::optional<Result<http::Response>> answer;
  if (if_memory_lasts([&] { answer.emplace(answer_from_targets(call)); })) {
    return std::move(*answer);
  }
  // What a provider may have done is charged, whether or not there is memory to answer with.
  if (call->may_be_sent && call->reservation && !call->reservation->is_settled()) {
    settle(*call, 503, ExchangeEnd::kUnknown);
  }
  throw std::bad_alloc();
}

Status ChatProxy::load_caller(Call& call) const {
  const Principal& who = call.request.principal;
  call.user = KVCS_TRY(directory_.user(who.user_id));
  call.organization = KVCS_TRY(directory_.organization(who.organization_id));
  return ok();
}

http::Response ChatProxy::refusal(const Call& call, const Status& why) const {
  http::Response refused =
      http::problem_response(why, call.dialect.errors(), call.request.request_id);
  add_rate_headers(call.rate, refused);
  refused.set("request-id", call.request.request_id);
  if (why.code() != Code::kQuotaExceeded) return refused;
  // SDKs try a 429 again by themselves. That helps when only what other requests hold stands in the
  // way, for which the status has a Retry-After.
  if (why.retry_after_s() <= 0) refused.set("x-should-retry", "false");
  if (const Result<BudgetView> user = budgets_.view("user", call.user->id, ""); user.ok()) {
    add_gateway_headers(*user, call.user->monthly_limit_nano_usd, -1, false, refused);
  }
  return refused;
}

Status ChatProxy::find_targets(Call& call) const {
  const Organization& organization = *call.organization;
  overrides_.refresh_if_changed();
  for (ModelTarget& model :
       KVCS_TRY(providers_.resolve(call.chat.model, call.dialect.kind(), call.organization->id))) {
    call.targets.push_back({.model = std::move(model), .dialect = &call.dialect});
  }
  // A list may name the model as the client does, or every model behind an alias.
  const auto allowed = [&](const std::vector<std::string>& list) {
    return model_allowed(list, call.chat.model) ||
           std::all_of(call.targets.begin(), call.targets.end(), [&](const Call::Target& target) {
             const ModelTarget& model = target.model;
             return model_allowed(list, model.model) ||
                    model_allowed(list, model.provider->name + "/" + model.model);
           });
  };
  if (!allowed(call.request.principal.key_limits.allowed_models) ||
      !allowed(call.user->allowed_models) || !allowed(organization.allowed_models)) {
    return forbidden("The model '" + printable(call.chat.model, kShownValue) +
                     "' is not among those allowed for this key; ask an admin, or see GET "
                     "/v1/models.")
        .with_reason("model_not_allowed");
  }
  for (Call::Target& target : call.targets) {
    const Provider& provider = *target.model.provider;
    target.credential = KVCS_TRY(providers_.credential(organization.id, provider));
    if (target.credential.empty() && provider.needs_api_key()) {
      return unauthenticated("The provider '" + provider.name +
                             "' has no API key here; an admin can set one with PUT "
                             "/admin/ai/providers/{name}.")
          .with_reason("provider_key_missing");
    }
  }
  return ok();
}

Status ChatProxy::check_objects(Call& call) const {
  if (call.chat.stored_ids.empty()) return ok();
  for (const Call::Target& target : call.targets) {
    const Provider& provider = *target.model.provider;
    if (providers_.has_own_key(call.organization->id, provider)) continue;
    KVCS_TRY(objects_.check(call.organization->id, provider.name, call.chat.stored_ids));
  }
  return ok();
}

void ChatProxy::remember_answer(Call& call) const {
  const std::span<const std::string> made = call.meter->made_ids().subspan(call.ids_noted);
  if (made.empty()) return;
  call.ids_noted += made.size();
  const Provider& provider = *call.target().model.provider;
  if (providers_.has_own_key(call.organization->id, provider)) return;
  objects_.remember(call.organization->id, provider.name, made);
}

Status ChatProxy::find_prices(Call& call) const {
  const Organization& organization = *call.organization;
  for (Call::Target& target : call.targets) {
    const ModelTarget& model = target.model;
    Result<PricedModel> priced = pricing_.find(organization.id, model.provider->name, model.model);
    // A model without a price is refused, for its cost could not be bounded, unless the
    // organization has stated the prices at which it takes such models.
    if (!priced.ok() && organization.unknown_input_pico_usd &&
        organization.unknown_output_pico_usd) {
      auto stated = std::make_shared<Price>();
      stated->provider = model.provider->name;
      stated->model = model.model;
      stated->input_pico = *organization.unknown_input_pico_usd;
      stated->output_pico = *organization.unknown_output_pico_usd;
      priced = PricedModel{std::move(stated), pricing_.version() + "+stated"};
    }
    target.priced = KVCS_TRY(std::move(priced));
  }
  return ok();
}

Status ChatProxy::bound_targets(Call& call) const {
  const BoundRules rules{.organization_output_max = call.organization->max_output_tokens,
                         .output_default = config_.output_tokens_default,
                         .calls_default = config_.tool_calls_default};
  for (Call::Target& target : call.targets) {
    target.worst = KVCS_TRY(worst_case(call.chat, *target.priced.price, rules));
  }
  return ok();
}

// The smaller of what its own budget and its plan say.
int64_t ChatProxy::organization_limit(const Organization& organization) const {
  const int64_t budget = organization.monthly_budget_nano_usd;
  const int64_t cap = cap_ ? cap_(organization) : kNoLimit;
  if (cap < 0 || (budget >= 0 && budget <= cap)) return budget;
  return cap;
}

BudgetLimits ChatProxy::budget_limits(const Call& call) const {
  const Organization& organization = *call.organization;
  return {
      .key_nano_usd = call.request.principal.key_limits.monthly_nano_usd,
      .user_nano_usd = call.user->monthly_limit_nano_usd,
      .organization_nano_usd = organization_limit(organization),
      .failure_mode = organization.fail_open ? FailureMode::kFailOpen : FailureMode::kFailClosed,
      .fallback_daily_nano_usd = organization.fallback_daily_nano_usd};
}

// Any of the targets that are left may answer: the dearest one is set aside.
BudgetAsk ChatProxy::budget_ask(const Call& call) const {
  const Principal& who = call.request.principal;
  const PricedModel& priced = call.target().priced;
  BudgetAsk ask{.request_id = call.request.request_id,
                .key_id = who.key_id,
                .user_id = call.user->id,
                .organization_id = call.organization->id,
                .provider = call.target().model.provider->name,
                .model = priced.price->model,
                .price_version = priced.version,
                .attempt = call.targets.size() > 1 ? call.attempt + 1 : 0};
  for (size_t i = call.chosen; i < call.targets.size(); i++) {
    const WorstCase& worst = call.targets[i].worst;
    ask.estimate_nano_usd = std::max(ask.estimate_nano_usd, worst.cost_nano_usd);
    ask.input_only_nano_usd = std::max(ask.input_only_nano_usd, worst.input_only_nano_usd);
    ask.output_token_pico = std::max(ask.output_token_pico, worst.output_token_pico);
  }
  ask.limits = budget_limits(call);
  return ask;
}

Status ChatProxy::reserve(Call& call) const {
  BudgetAsk ask = budget_ask(call);
  const bool may_fit = call.organization->output_fit && call.chat.has_output;
  ask.tell_refusal = !may_fit;
  // The ask is needed once more only where a smaller output may fit.
  Result<Reservation> held = budgets_.reserve(may_fit ? ask : std::move(ask));
  if (held.ok()) {
    call.reservation.emplace(std::move(*held));
    return ok();
  }
  if (!may_fit || held.code() != Code::kQuotaExceeded) return std::move(held).status();
  return fit_and_reserve(call, ask);
}

// The whole output does not fit: a smaller one may. Another request may take the room between the
// look and the reservation; then this one is refused.
Status ChatProxy::fit_and_reserve(Call& call, const BudgetAsk& ask) const {
  const int64_t room = KVCS_TRY(budgets_.room(ask));
  std::vector<WorstCase> before;
  bool fits = true;
  for (size_t i = call.chosen; i < call.targets.size(); i++) {
    Call::Target& target = call.targets[i];
    before.push_back(target.worst);
    fits = fits && fit_output(call.chat, *target.priced.price, room, target.worst);
  }
  if (fits) {
    BudgetAsk fitted = budget_ask(call);
    fitted.tell_refusal = false;
    Result<Reservation> held = budgets_.reserve(std::move(fitted));
    if (held.ok()) {
      call.is_fitted = true;
      call.reservation.emplace(std::move(*held));
      return ok();
    }
  }
  for (size_t i = 0; i < before.size(); i++) call.targets[call.chosen + i].worst = before[i];
  // The whole request once more, for its refusal is what the client and an operator are told.
  Result<Reservation> whole = budgets_.reserve(budget_ask(call));
  if (!whole.ok()) return std::move(whole).status();
  call.reservation.emplace(std::move(*whole));
  return ok();
}

Result<http::Response> ChatProxy::count_tokens(http::Request& request) {
  const Dialect& spoken = dialect(ApiKind::kMessages);
  std::string body = KVCS_TRY(read_ask(request));
  Call call(request, spoken, KVCS_TRY(spoken.read_request(std::move(body))));
  call.path = "/messages/count_tokens";
  KVCS_TRY(load_caller(call));
  KVCS_TRY(find_targets(call));
  KVCS_TRY(check_objects(call));
  if (Status limited = take_rate(call); !limited.ok()) return refusal(call, limited);
  // Free of charge, and yet a call with the operator's key: whom other calls are refused gets none.
  const Status left = budgets_.check_left({.key_id = request.principal.key_id,
                                           .user_id = call.user->id,
                                           .organization_id = call.organization->id,
                                           .limits = budget_limits(call)});
  if (left.code() == Code::kQuotaExceeded) return refusal(call, left);
  KVCS_TRY(left);
  Result<std::unique_ptr<BegunAnswer>> answer = exchange(call);
  if (!answer.ok()) return exchange_failure(std::move(answer).status());
  http::Response response = KVCS_TRY(whole_answer(call, **answer));
  add_rate_headers(call.rate, response);
  return response;
}

ChatProxy::Stats ChatProxy::stats() const {
  return {open_streams_, upstream_errors_, client_gone_};
}

}  // namespace kvcs::ai
