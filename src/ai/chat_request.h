// A client's request, as far as the gateway must understand it; the body itself is kept as bytes.
// Pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "ai/dialects/usage.h"
#include "base/status.h"

namespace kvcs::ai {

struct ChatRequest {
  ApiKind api = ApiKind::kChatCompletions;
  std::string body;   // As it came.
  std::string model;  // As the client wrote it.
  bool stream = false;
  bool client_wants_usage = false;            // stream_options.include_usage was set by the client.
  int64_t output_tokens_max = -1;             // What the client allows per choice; -1 = not stated.
  int64_t output_tokens_cap = -1;             // The organization's, where the client states none;
                                              // upstream_body() sends it along.
  int64_t choices = 1;                        // n
  std::string tier;                           // Asked for; "" = the standard.
  int64_t input_guess = 0;                    // Tokens, upper-biased.
};

// Invalid: the body is no JSON object or nests deeper than 64 levels, names no model, has members
// of the wrong type, of absurd size or given twice, or asks for an answer in the background, whose
// cost would not be seen.
Result<ChatRequest> parse_chat_request(ApiKind api, std::string body);

// The body for the provider: `model` replaced, stream_options.include_usage and the cap on output
// set where needed, every other byte as it came. `openai` says that the provider is OpenAI itself,
// which calls that cap max_completion_tokens.
std::string upstream_body(const ChatRequest& request, std::string_view model, bool openai);

}  // namespace kvcs::ai
