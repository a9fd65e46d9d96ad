// The use that provider answers state. Each API states it in an object "usage" of its own shape and
// at a moment of its own: in the body of a whole answer, or in some event of a stream. A meter
// watches the bytes that are relayed and never delays them. One thread per meter.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ai/ai.h"
#include "base/status.h"

namespace kvcs::ai {

// The API that a client speaks, or in which a provider is asked. (Whose server the provider is says
// ProviderKind of providers.h; http::Dialect is only the shape of an error body.)
enum class ApiKind : uint8_t { kChatCompletions, kResponses, kEmbeddings, kMessages };

// The name of a service tier as TokenUsage has it: "" for all that mean the standard.
std::string_view service_tier(std::string_view name);

// The relay's decision about one event of a stream on its way to the client.
enum class EventFate : uint8_t {
  kPass,     // Send the bytes as they came.
  kSwallow,  // Send nothing: it is the usage chunk that the client did not ask for.
  kRewrite,  // Send `rewritten` instead (a "usage":null taken out).
};

// What is known of an answer so far.
struct SeenUsage {
  // The provider's own figures. Subsets have been taken out of their totals; counts of a stream
  // are cumulative, so each is the largest that was stated.
  TokenUsage stated;
  bool has_input = false, has_output = false;  // Whether it stated them at all.
  // A count was negative or no whole number: what it was is unknown.
  bool input_is_absurd = false, output_is_absurd = false;
  // The bytes of text that the model was seen to write; a token is at least a byte.
  int64_t output_bytes = 0;
  // How often the model sampled, where the provider says so (compaction).
  int64_t samplings = 1;
  // Whether the answer said in which service tier, at which speed and where it was made.
  bool has_tier = false, has_speed = false, has_region = false;
  bool counts_calls = false;         // The API states calls of the provider's tools.
  bool splits_cache_writes = false;  // The API states writes for an hour apart.
  // The output that was stated is that of the whole answer, and no count on the way.
  bool output_is_final = false;
};

class UsageMeter {
 public:
  virtual ~UsageMeter() = default;
  // A whole JSON answer.
  virtual void on_json(std::string_view body) = 0;
  // One SSE event; `data` as parsed, `event` its name, `raw` its bytes.
  virtual EventFate on_event(std::string_view event, std::string_view data, std::string_view raw,
                             std::string& rewritten) = 0;
  // The answer is whole: [DONE], message_stop, response.completed, or a reason to finish for every
  // choice that was begun. What may follow (the usage) is still read.
  virtual bool complete() const = 0;
  // The answer says that it failed. It is over then, complete or not.
  virtual bool has_error() const = 0;
  virtual const SeenUsage& seen() const = 0;
  // Bytes that came and belong to no whole event: an answer that breaks there may have had a token
  // in each.
  virtual void note_rest(size_t bytes) = 0;
  // Tokens of output so far, at most: stated, or the bytes that were seen. Cheap.
  virtual int64_t output_so_far() const = 0;
  virtual std::string_view response_model() const = 0;  // "" until known.
  // Ids of what the provider has made for this answer and stores, and that later requests may name:
  // the answer itself, its items, containers, files. It only grows.
  virtual std::span<const std::string> made_ids() const = 0;
  // The event that tells the client of a stream that it broke after its head was sent.
  virtual std::string error_event(const Status& failure) const = 0;
  // Whether clients read that event only when the body then ends well. (Others take a stream that
  // ends well for a whole answer.)
  virtual bool error_event_ends_stream() const { return false; }
};

}  // namespace kvcs::ai
