// One request on its way through the proxy. Internal to chat_proxy.cc and chat_relay.cc.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ai/chat_proxy.h"

namespace kvcs::ai {

struct ChatProxy::Call {
  explicit Call(http::Request& from) : request(from) {}

  http::Request& request;  // Lives until the last byte of the response.
  std::string_view path;   // At the provider: "/chat/completions"
  ChatRequest chat;
  std::shared_ptr<const Organization> organization;
  std::shared_ptr<const User> user;
  std::vector<ModelTarget> targets;
  std::vector<Secret> credentials;  // One per target, as the prices.
  std::vector<PricedModel> prices;
  size_t chosen = 0;            // Of targets, once the provider has answered.
  int64_t estimate_tokens = 0;  // Input and the most output; what tokens_per_minute was charged.
  std::optional<Reservation> reservation;
  std::unique_ptr<UsageMeter> meter;
  std::optional<RateDecision> rate;  // Of the last bucket that says something to the client.
  int64_t unbounded_output = 0;      // Tokens set aside for an output that nothing bounds; else 0.
  int64_t first_byte_us = 0;
  // For the log of bodies: what the client got, in full or, of a stream, its beginning.
  std::string_view answer;
  std::string stream_head;
  int64_t answer_bytes = 0;
  void saw_answer(std::string_view whole) {
    answer = whole;
    answer_bytes = static_cast<int64_t>(whole.size());
  }
};

// The members x-gateway-* of the answer; `cost_nano_usd` < 0: not known yet (a stream).
void add_gateway_headers(const BudgetView& user, int64_t user_limit_nano_usd, int64_t cost_nano_usd,
                         bool grace, http::Response& response);
// An error event in the dialect of the API, for a stream that broke after its head was sent.
std::string stream_error_event(ApiKind api, const Status& failure);
// RateLimit-*; nothing when no limit is set.
void add_rate_headers(const std::optional<RateDecision>& rate, http::Response& response);
// What of a provider's headers may reach the client.
void copy_answer_headers(const http::UpstreamResponse& upstream, http::Response& response);

}  // namespace kvcs::ai
