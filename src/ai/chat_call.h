// One request on its way through the proxy. Internal to chat_proxy.cc, chat_rate.cc and
// chat_relay.cc. A call belongs to the fiber of its request and needs no lock.
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
  size_t chosen = 0;  // The index in `targets` of the provider that has answered.
  // The tokens that every bucket of tokens_per_minute was charged at admission: the guess of the
  // input alone, without any output. return_tokens() corrects it to what was used.
  int64_t rate_tokens = 0;
  std::optional<Reservation> reservation;
  std::unique_ptr<UsageMeter> meter;
  std::optional<RateDecision> rate;  // Of the last bucket that says something to the client.
  // Tokens that are set aside for an output that nothing bounds; 0 when something bounds it.
  int64_t unbounded_output = 0;
  int64_t first_byte_us = 0;
  // For the log of bodies: the answer as the client got it, in full or, of a stream, its beginning.
  std::string_view answer;
  std::string stream_head;
  int64_t answer_bytes = 0;
  // The text must live until the request is settled.
  void keep_for_log(std::string_view whole) {
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
// Copies those of a provider's headers that may reach the client.
void copy_answer_headers(const http::UpstreamResponse& upstream, http::Response& response);

}  // namespace kvcs::ai
