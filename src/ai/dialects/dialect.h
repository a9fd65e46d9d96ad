// What one API of LLM providers looks like: what in a request may cost money, how a body is edited
// for a provider, what an answer says of its use, how an error is worded inside a stream. One class
// for each API, and no `if` on an API outside of this folder. Stateless and immutable; thread-safe.
//
// The API that a client speaks and the one in which a provider is asked are two values, though
// today they are always equal: see ChatProxy::Call.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ai/ai.h"
#include "ai/dialects/usage.h"
#include "base/status.h"
#include "http/http.h"

namespace kvcs::ai {

// Writes to a prompt cache that a request asks for, by how long they are kept: 5 or 30 minutes, or
// an hour (Anthropic) and twelve (OpenAI), which cost more.
enum class CacheWrites : uint8_t { kNone, kShort, kLong };

// A client's request as far as the gateway must understand it: what it acts on, and all that the
// request may cost before prices are known. The body itself is kept as bytes.
struct ChatRequest {
  std::string body;   // As it came.
  std::string model;  // As the client wrote it.
  bool stream = false;
  bool client_wants_usage = false;  // stream_options.include_usage was set by the client.

  // The output.
  int64_t output_tokens_max = -1;  // What the client allows per choice; -1: it states no bound.
  // The members that state it, also as 0 or -1; a bound that is sent along takes the place of each.
  std::vector<std::string_view> output_members;
  int64_t thinking_tokens = 0;   // thinking.budget_tokens; a bound must stay above it.
  int64_t choices = 1;           // n
  int64_t prediction_bytes = 0;  // Predicted output, whose rejected tokens are billed as output.
  bool has_output = true;        // Embeddings have none.
  bool asks_reasoning = false;

  // The input.
  int64_t text_bytes = 0;    // Of the body without its media. A token is at least a byte.
  int64_t added_tokens = 0;  // What the provider adds to the prompt, as documented.
  int64_t images = 0;        // Pictures; a published rule of the model may bound them.
  int64_t audio_bytes = 0;   // Decoded.
  std::string unbounded_by;  // The first member that brings in what is not in the body; "" = none.
  // Of things that the provider has stored (dialects/stored_ids.h).
  std::vector<std::string> stored_ids;
  CacheWrites cache_writes = CacheWrites::kNone;
  int64_t samplings = 1;  // How often the model may read its input for this request (compaction).

  // What is asked for beside text: the most calls of each kind, a count above 0 for each other
  // dimension, and the conditions (service tier, speed, …).
  TokenUsage asked;
  // How many tools of each kind have no bound on their calls in the request; in `asked` each counts
  // as one call. BodyEdits::calls_max is sent along for them.
  TokenUsage open_calls;
  bool calls_unbounded = false;
  bool is_search_sized = false;  // asked.search_size was set, if to "" alone.
};

// What upstream_body() changes in a request's body for one provider.
struct BodyEdits {
  std::string_view model;
  int64_t output_tokens_max = -1;  // A bound on the output to be sent along; -1: none.
  std::string_view output_member;  // Where; the client's own member wins.
  int64_t calls_max = -1;          // A bound on calls of the provider's tools; -1: none.
  bool ask_for_usage = true;       // Of a stream: stream_options.include_usage.
};

class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual ApiKind kind() const = 0;
  virtual std::string_view path() const = 0;  // At the provider: "/chat/completions"
  virtual http::Dialect errors() const = 0;   // How an error looks to a client of this API.

  // Invalid: the body is no JSON object or nests deeper than 64 levels, names no model, has members
  // that cost of the wrong type, of absurd size, or given twice (however written: "Model" is
  // "model" to servers that compare without case), or asks for an answer in the background.
  virtual Result<ChatRequest> read_request(std::string body) const = 0;
  // The body for the provider; every byte that is not edited is as it came.
  virtual std::string upstream_body(const ChatRequest& request, const BodyEdits& edits) const = 0;
  // The member in which a bound on the output is sent along, where the client states none.
  // `at_openai`: to OpenAI itself, whose newer models know max_completion_tokens alone.
  virtual std::string_view output_member(bool at_openai) const = 0;

  virtual std::unique_ptr<UsageMeter> make_meter(const ChatRequest& request) const = 0;
};

const Dialect& dialect(ApiKind kind);

}  // namespace kvcs::ai
