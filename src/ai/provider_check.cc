// Asks a provider for its models and words what came of it. What the provider says is shown to
// operators, without the key, which some repeat.
#include "ai/provider_check.h"

#include <nlohmann/json.hpp>

#include <optional>

#include "ai/chat_call.h"
#include "base/bytes.h"
#include "base/json.h"
#include "http/json_api.h"

namespace kvcs::ai {
namespace {

constexpr int kDeadlineMs = 15'000;
constexpr size_t kAnswerMaxBytes = 4u << 20, kMessageMaxBytes = 300;

constexpr http::ApiType kTypes[] = {
    {"ProviderChecked", R"(
provider!: string
ok!: boolean
status!: integer? # Of the provider's answer; null: none came.
duration_ms!: integer
models!: integer? # How many it lists; null where that is not told.
error!: string? # What is wrong.)"},
};

http::UpstreamRequest models_request(const Provider& provider, const Secret& key) {
  http::UpstreamRequest out;
  out.url = provider.url("/models");
  out.deadline_ms = kDeadlineMs;
  out.stop_if_client_leaves = true;
  out.allow_private_addresses = true;  // The operator named this host.
  out.headers.emplace_back("accept", "application/json");
  out.headers.emplace_back("accept-encoding", "identity");
  const bool is_anthropic = provider.kind == ProviderKind::kAnthropic;
  if (is_anthropic) out.headers.emplace_back("anthropic-version", "2023-06-01");
  add_credential(key, provider, is_anthropic, out);
  for (const auto& [name, value] : provider.headers) {
    std::erase_if(out.headers, [&name = name](const auto& header) { return header.first == name; });
    out.headers.emplace_back(name, value);
  }
  return out;
}

// The provider's own words, where its answer has them in one of the usual places.
std::string words_of(const Result<Json>& body, const Secret& key) {
  if (!body.ok() || !body->is_object()) return {};
  std::string words = text_member(*body, "message");
  if (const auto error = body->find("error"); error != body->end()) {
    words = error->is_string() ? error->get<std::string>() : text_member(*error, "message");
  }
  const std::string& secret = key.reveal();
  for (size_t at = 0; !secret.empty() && (at = words.find(secret, at)) != words.npos; at += 3) {
    words.replace(at, secret.size(), "***");
  }
  return printable(words, kMessageMaxBytes);
}

std::string refusal_words(int status, const std::string& said) {
  std::string words = status == 401 || status == 403 ? "The provider does not take the key"
                                                     : "The provider did not list its models";
  words += ": it answered " + std::to_string(status);
  return words + (said.empty() ? "." : ": " + said);
}

}  // namespace

std::span<const http::ApiType> ProviderCheck::types() {
  return kTypes;
}

void ProviderCheck::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  http::Rows rows(table, *this, "/admin/ai/providers/{name}/test");
  rows.add(http::Method::kPost, "", access.admin, http::kib(1), &ProviderCheck::check,
           "Ask a provider for its models with the stored key; costs and counts nothing.",
           {.id = "testAiProvider", .answer = "ProviderChecked"});
}

Result<http::Response> ProviderCheck::check(http::Request& request) {
  const auto provider = KVCS_TRY(providers_.find(request.param("name")));
  const RateDecision turn =
      rates_.take("provider-test:" + provider->name, kProviderChecksPerMinute);
  if (!turn.allowed) {
    return rate_limited("This provider was tested " + std::to_string(kProviderChecksPerMinute) +
                            " times within a minute.",
                        static_cast<int>(turn.retry_after_s))
        .with_reason("rate_limited");
  }
  const Secret key = KVCS_TRY(providers_.credential("", *provider));
  const int64_t begun_us = clock_.mono_us();
  Json answer{{"provider", provider->name}, {"ok", false}, {"status", nullptr}};
  const auto finish = [&](const Json& models, const Json& error) {
    answer["duration_ms"] = (clock_.mono_us() - begun_us) / 1000;
    answer["models"] = models;
    answer["error"] = error;
    return http::reply(200, answer);
  };
  auto opened = upstream_.open(models_request(*provider, key));
  if (!opened.ok()) return finish(nullptr, opened.status().message());
  const int status = (*opened)->status();
  answer["status"] = status;
  const Result<std::string> text = (*opened)->read_all(kAnswerMaxBytes);
  if (!text.ok()) return finish(nullptr, text.status().message());
  const Result<Json> body = parse_json(*text);
  if (status != 200) return finish(nullptr, refusal_words(status, words_of(body, key)));
  const bool has_list =
      body.ok() && body->is_object() && body->contains("data") && body->at("data").is_array();
  if (!has_list) return finish(nullptr, "The answer is no list of models.");
  answer["ok"] = true;
  return finish(body->at("data").size(), nullptr);
}

}  // namespace kvcs::ai
