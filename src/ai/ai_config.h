// The settings of the AI gateway with their defaults; App's configuration holds these
// structs as they are. Values.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace kvcs::ai {

struct ProxyConfig {
  // Bounds that are sent along where neither the client nor the price states one: tokens of an
  // output, and calls of a tool that the provider runs.
  int64_t output_tokens_default = 16'384;
  int64_t tool_calls_default = 10;
  uint64_t answer_max_bytes = 64u << 20;  // Of one buffered answer.
  size_t event_max_bytes = 8u << 20;      // Of one streamed event.
  int idle_timeout_ms = 120'000;          // Between two bytes of a stream of a provider.
  // After the client has left, the provider is read on for its figures as long and as far as this.
  int read_on_ms = 30'000;
  uint64_t read_on_max_bytes = 1u << 20;
  size_t body_log_max_bytes = 16u << 10;  // Of a request's or an answer's body that is kept.
};

struct AiConfig {
  std::string prices_path;  // "" = prices.yaml among the shipped files.
  std::string providers;    // YAML: {NAME: {kind, base_url, api_key_env, headers, models, …}}
  std::string aliases;      // YAML: {NAME: [provider/model, …]}, tried in order.
  ProxyConfig proxy;
  uint64_t request_max_bytes = 32u << 20;
  int64_t idempotency_kept_s = 86'400;  // The answer to a request with an Idempotency-Key.
};

}  // namespace kvcs::ai
