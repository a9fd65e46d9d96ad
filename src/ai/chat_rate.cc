// The rate limits of a request: token buckets that count requests and tokens per minute, one of
// each for its key, its user and its organization.
#include <algorithm>
#include <array>

#include "ai/chat_call.h"

namespace kvcs::ai {
namespace {

struct RateBucket {
  std::string_view scope, id;  // "key" and the key's id
  std::string_view words;      // For people: "API key"
  bool tokens;                 // Counts tokens, not requests.
  int64_t per_minute, cost;

  std::string name() const {
    std::string name;
    name.reserve(scope.size() + id.size() + 3);
    return name.append(scope).append(":").append(id).append(tokens ? ":t" : ":r");
  }
  Status refusal(const RateDecision& decision) const {
    const std::string unit = tokens ? " tokens" : " requests";
    const std::string may = "This " + std::string(words) + " may use " +
                            std::to_string(per_minute) + unit + " per minute";
    const std::string advice =
        cost > per_minute
            ? ", and this request alone is about " + std::to_string(cost) + "; ask for less."
            : "; try again in " + std::to_string(decision.retry_after_s) + " s.";
    return rate_limited(may + advice,
                        static_cast<int>(std::max<int64_t>(1, decision.retry_after_s)))
        .with_reason("rate_limit_exceeded");
  }
};

// All six buckets, those without a limit too. `tokens` is what a bucket of tokens is charged.
std::array<RateBucket, 6> buckets_of(const Principal& who, const User& user,
                                     const Organization& organization, int64_t tokens) {
  return {{{"key", who.key_id, "API key", false, who.key_limits.requests_per_minute, 1},
           {"key", who.key_id, "API key", true, who.key_limits.tokens_per_minute, tokens},
           {"user", user.id, "user", false, user.requests_per_minute, 1},
           {"user", user.id, "user", true, user.tokens_per_minute, tokens},
           {"org", organization.id, "organization", false, organization.requests_per_minute, 1},
           {"org", organization.id, "organization", true, organization.tokens_per_minute, tokens}}};
}

}  // namespace

void add_rate_headers(const std::optional<RateDecision>& rate, http::Response& response) {
  if (!rate) return;
  response.set("ratelimit-limit", std::to_string(rate->limit));
  response.set("ratelimit-remaining", std::to_string(rate->remaining));
  response.set("ratelimit-reset", std::to_string(rate->reset_s));
}

int64_t guess_input(const ChatRequest& chat) {
  constexpr int64_t kImageTokens = 1'600, kAudioBytesPerToken = 250;
  return (chat.text_bytes + 2) / 3 + chat.images * kImageTokens +
         chat.audio_bytes / kAudioBytesPerToken;
}

Status ChatProxy::take_rate(Call& call) const {
  const auto buckets =
      buckets_of(call.request.principal, *call.user, *call.organization, call.rate_tokens);
  for (size_t i = 0; i < buckets.size(); i++) {
    const RateBucket& bucket = buckets[i];
    if (bucket.per_minute < 0) continue;
    const RateDecision decision = limiter_.take(bucket.name(), bucket.per_minute, bucket.cost);
    // The client is told of its requests, and of its tokens only when they are the reason.
    if (!bucket.tokens || !decision.allowed) call.rate = decision;
    if (decision.allowed) continue;
    // A refused request uses nothing up: what the buckets before this one gave is given back.
    for (size_t before = 0; before < i; before++) {
      const RateBucket& taken = buckets[before];
      if (taken.per_minute > 0) limiter_.adjust(taken.name(), taken.per_minute, -taken.cost);
    }
    return bucket.refusal(decision);
  }
  return ok();
}

void ChatProxy::return_tokens(const Call& call, int64_t used_tokens) const {
  const int64_t correction = used_tokens - call.rate_tokens;
  if (correction == 0) return;
  for (const RateBucket& bucket :
       buckets_of(call.request.principal, *call.user, *call.organization, correction)) {
    if (!bucket.tokens || bucket.per_minute <= 0) continue;
    limiter_.adjust(bucket.name(), bucket.per_minute, bucket.cost);
  }
}

}  // namespace kvcs::ai
