// The AI gateway's rows of the route table.
#include "app/ai_door.h"
#include "app/parts.h"
#include "app/route_rows.h"

namespace kvcs {
namespace {

using namespace route_rows;
using Proxy = ai::ChatProxy;
using Admin = ai::AiAdminApi;

void add_data_plane(std::vector<http::Route>& routes, Parts& parts) {
  AiDoor& door = *parts.ai;
  const Access openai{user_key(*parts.auth), "user key", http::Dialect::kOpenAi};
  const Access anthropic{user_key(*parts.auth), "user key", http::Dialect::kAnthropic};
  const uint64_t body = parts.config.ai.request_max_bytes;
  // A provider may take an hour (providers' timeout_ms at most).
  const IdempotencyRule rule{.kept_s = parts.config.ai.idempotency_kept_s, .running_s = 2 * 3600};
  const auto add = [&](Method method, const char* path, const Access& access, uint64_t body_max,
                       http::Handler handler, std::string_view summary) {
    if (method == kPost) handler = parts.idempotency->wrap(std::move(handler), rule);
    routes.push_back(row(method, path, access, body_max, std::move(handler), summary));
  };
  add(kPost, "/v1/chat/completions", openai, body, on(*door.proxy, &Proxy::chat_completions),
      "Chat completions, streamed or not, as OpenAI's.");
  add(kPost, "/v1/responses", openai, body, on(*door.proxy, &Proxy::responses),
      "Responses, as OpenAI's.");
  add(kPost, "/v1/embeddings", openai, body, on(*door.proxy, &Proxy::embeddings),
      "Embeddings, as OpenAI's.");
  add(kPost, "/v1/messages", anthropic, body, on(*door.proxy, &Proxy::messages),
      "Messages, as Anthropic's.");
  add(kPost, "/v1/messages/count_tokens", anthropic, body, on(*door.proxy, &Proxy::count_tokens),
      "Count the tokens of a message; free.");
  add(kGet, "/v1/models", openai, kNoBody, on(*door.api, &ai::AiApi::models),
      "Models that this key may use.");
  add(kGet, "/v1/usage", openai, kNoBody, on(*door.api, &ai::AiApi::usage),
      "This month's use and limits of the key and its user.");
  add(kGet, "/v1/usage/{request_id}", openai, kNoBody, on(*door.api, &ai::AiApi::request_usage),
      "Tokens and cost of one request.");
}

void add_usage(std::vector<http::Route>& routes, Parts& parts) {
  Admin& api = *parts.ai->admin_api;
  const Access read = admins(parts, AdminRole::kBilling, "admin key");
  const Access change = admins(parts, AdminRole::kAdmin, "admin key, role admin");
  const auto add = [&](const char* path, Result<http::Response> (Admin::*handler)(http::Request&),
                       std::string_view summary) {
    routes.push_back(row(kGet, path, read, kNoBody, on(api, handler), summary));
  };
  add("/admin/users/{user_id}/usage", &Admin::user_usage, "A user's use of this month.");
  add("/admin/users/{user_id}/usage/history", &Admin::user_history, "Month by month.");
  add("/admin/organizations/{org_id}/usage", &Admin::organization_usage,
      "An organization's use of this month.");
  add("/admin/organizations/{org_id}/usage/history", &Admin::organization_history,
      "Month by month.");
  add("/admin/usage", &Admin::usage,
      "Sums by ?group_by=day|model|user|key|provider|organization; ?format=csv.");
  add("/admin/usage/requests", &Admin::usage_rows, "Single requests, newest first.");
  LedgerApi& ledger = *parts.ledger_api;
  routes.push_back(row(kGet, "/admin/ai/bodies", change, kNoBody,
                       on(ledger, &LedgerApi::list_bodies),
                       "Requests whose bodies are kept, newest first; without the bodies."));
  routes.push_back(row(kGet, "/admin/ai/bodies/{request_id}", change, kNoBody,
                       on(ledger, &LedgerApi::show_bodies),
                       "The bodies of one request, cut and redacted."));
  routes.push_back(row(kPost, "/admin/users/{user_id}/reset-quota", change, kib(16),
                       parts.idempotency->wrap(on(api, &Admin::reset_quota)),
                       "Set a user's use of this month to zero; the reason is kept."));
}

void add_prices_and_providers(std::vector<http::Route>& routes, Parts& parts) {
  Admin& api = *parts.ai->admin_api;
  const Access read = admins(parts, AdminRole::kBilling, "admin key");
  const Access change = admins(parts, AdminRole::kAdmin, "admin key, role admin");
  const auto add = [&](Method method, std::string path, const Access& access, uint64_t body_max,
                       Result<http::Response> (Admin::*handler)(http::Request&),
                       std::string_view summary) {
    routes.push_back(row(method, std::move(path), access, body_max, on(api, handler), summary));
  };
  add(kGet, "/admin/ai/prices", read, kNoBody, &Admin::list_prices, "Prices in force.");
  // A model's name may hold its provider: with %2F in one segment, or as two.
  for (const char* model : {"/admin/ai/prices/{model}", "/admin/ai/prices/{provider}/{model}"}) {
    add(kGet, model, read, kNoBody, &Admin::get_price, "The price of a model; ?org_id=.");
    add(kPut, model, change, kib(16), &Admin::put_price,
        "Set a price, in LiteLLM's members; ?org_id= for one organization.");
    add(kDelete, model, change, kNoBody, &Admin::remove_price, "Back to the shipped price.");
  }
  const std::string provider = "/admin/ai/providers/{name}";
  add(kGet, "/admin/ai/providers", read, kNoBody, &Admin::list_providers, "AI providers.");
  add(kGet, provider, read, kNoBody, &Admin::get_provider, "One provider, without its key.");
  add(kPut, provider, change, kib(64), &Admin::put_provider,
      "Create or replace a provider; api_key is write-only.");
  add(kDelete, provider, change, kNoBody, &Admin::remove_provider, "Delete a provider.");
  const std::string credential = "/admin/organizations/{org_id}/ai-credentials/{name}";
  add(kPut, credential, change, kib(16), &Admin::put_credential,
      "An organization's own key at a provider; write-only.");
  add(kDelete, credential, change, kNoBody, &Admin::remove_credential, "Forget that key.");
}

}  // namespace

void add_ai_routes(std::vector<http::Route>& routes, Parts& parts) {
  add_data_plane(routes, parts);
  add_usage(routes, parts);
  add_prices_and_providers(routes, parts);
}

}  // namespace kvcs
