// One request on its way through the proxy. Internal to chat_proxy.cc, chat_send.cc, chat_tries.cc,
// chat_rate.cc and chat_relay.cc. A call belongs to the fiber of its request and needs no lock.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ai/chat_proxy.h"
#include "ai/dialects/dialect.h"
#include "ai/settlement.h"
#include "ai/worst_case.h"

namespace kvcs::ai {

inline constexpr int kClientClosedRequest = 499;  // nginx's name for a client that left.

struct ChatProxy::Call {
  Call(http::Request& from, const Dialect& spoken, ChatRequest&& asked)
      : request(from), dialect(spoken), path(spoken.path()), chat(std::move(asked)) {}

  http::Request& request;  // Lives until the last byte of the response.
  const Dialect& dialect;  // Spoken by the client.
  std::string_view path;   // At the provider: "/chat/completions"
  ChatRequest chat;
  std::shared_ptr<const Organization> organization;
  std::shared_ptr<const User> user;

  // A provider that may answer. Tried in this order.
  struct Target {
    ModelTarget model;
    // In which the provider is asked: the client's until a dialect can be translated.
    const Dialect* dialect = nullptr;
    Secret credential;
    PricedModel priced;
    WorstCase worst;
  };
  std::vector<Target> targets;
  size_t chosen = 0;    // The index in `targets` of the provider that is asked.
  int64_t attempt = 0;  // Tries before this one that are charged by themselves.
  const Target& target() const { return targets[chosen]; }
  bool has_next() const { return chosen + 1 < targets.size(); }

  // The tokens that every bucket of tokens_per_minute was charged at admission: the guess of the
  // input alone, without any output. return_tokens() corrects it to what was used.
  int64_t rate_tokens = 0;
  bool is_fitted = false;  // The output was lowered to what the budget leaves.
  std::optional<Reservation> reservation;
  bool may_be_sent = false;  // A provider may have it, and bill it.
  std::unique_ptr<UsageMeter> meter;
  size_t ids_noted = 0;              // Of meter->made_ids().
  std::optional<RateDecision> rate;  // Of the last bucket that says something to the client.
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

// An answer whose first bytes have been looked at already: reading it begins with them.
class BegunAnswer final {
 public:
  explicit BegunAnswer(std::unique_ptr<http::UpstreamResponse> upstream)
      : upstream_(std::move(upstream)) {}

  http::UpstreamResponse& head() { return *upstream_; }
  const http::UpstreamResponse& head() const { return *upstream_; }
  bool client_left() const { return upstream_->client_left(); }
  // Reads once more and keeps the bytes; false at the end of the answer.
  Result<bool> look_further();
  std::string_view looked_at() const { return begun_; }
  Result<size_t> read(std::span<char> out);
  Result<std::string> read_all(uint64_t max_bytes);

 private:
  std::unique_ptr<http::UpstreamResponse> upstream_;
  std::string begun_;
  size_t given_ = 0;  // Of begun_.
  bool at_end_ = false;
};

// The members x-gateway-* of the answer; `cost_nano_usd` < 0: not known yet (a stream).
void add_gateway_headers(const BudgetView& user, int64_t user_limit_nano_usd, int64_t cost_nano_usd,
                         bool grace, http::Response& response);
// A guess of the input in tokens, for rates alone: text at three bytes a token, which errs upwards.
int64_t guess_input(const ChatRequest& chat);
// RateLimit-*; nothing when no limit is set.
void add_rate_headers(const std::optional<RateDecision>& rate, http::Response& response);
// Copies those of a provider's headers that may reach the client.
void copy_answer_headers(const ChatProxy::Call& call, const http::UpstreamResponse& upstream,
                         http::Response& response);
// In the header that the provider's server reads it from; an empty one is not sent.
void add_credential(const Secret& credential, const Provider& provider, bool native_anthropic,
                    http::UpstreamRequest& out);
// The request as the provider gets it.
http::UpstreamRequest build_upstream_request(const http::Request& request, const ChatRequest& chat,
                                             const ChatProxy::Call::Target& target,
                                             std::string_view path, const BodyEdits& edits,
                                             const ProxyConfig& config);
// A failed exchange has one reason in this API, "proxy_error". What happened is in the details,
// where may_have_acted() of the idempotency layer finds it.
Status exchange_failure(Status failure);
// The status of the ledger for a failure of the exchange: who ended it.
int status_of_failure(const Status& failure);
// The name of one of our own edits that an error answer names as its reason; "" when it does not.
std::string_view refused_edit(std::string_view error_body, const BodyEdits& edits);

}  // namespace kvcs::ai
