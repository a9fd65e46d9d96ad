// Tokens out of provider answers (contracts: metering rules per dialect). The meter watches the
// bytes that are relayed and never delays them. One thread per meter.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "ai/ai.h"
#include "base/status.h"

namespace simdjson::dom {
class object;
}

namespace kvcs::ai {

enum class ApiKind : uint8_t { kChatCompletions, kResponses, kEmbeddings, kMessages };

// "flex" and "priority" by name; whatever else is said is the standard.
ServiceTier service_tier(std::string_view name);

// Upper-biased guess of a request's input before it is sent: ceil(bytes / 3), images and audio by a
// flat table.
int64_t estimate_input_tokens(const simdjson::dom::object& body);

// What a relayed event is to the client.
enum class EventFate : uint8_t {
  kPass,     // Send the bytes as they came.
  kSwallow,  // The usage chunk that the client did not ask for.
  kRewrite,  // Send `rewritten`, a whole event, instead (a "usage":null taken out).
};

class UsageMeter {
 public:
  virtual ~UsageMeter() = default;
  // A whole JSON answer.
  virtual void on_json(std::string_view body) = 0;
  // One SSE event; `data` as parsed, `event` its name.
  virtual EventFate on_event(std::string_view event, std::string_view data,
                             std::string& rewritten) = 0;
  // The stream said that it is complete ([DONE], message_stop, response.completed …).
  virtual bool complete() const = 0;
  virtual bool saw_error() const = 0;
  // Best knowledge now: the provider's own figures, else counted from what was relayed
  // (`estimated`), with the caller's guess of the input.
  virtual TokenUsage usage(int64_t input_guess) const = 0;
  // Tokens of output relayed so far; cheap, counted by us until the provider says.
  virtual int64_t output_seen() const = 0;
  virtual std::string_view response_model() const = 0;  // "" until known.
};
// `client_wants_usage`: the client itself asked for stream_options.include_usage.
std::unique_ptr<UsageMeter> make_usage_meter(ApiKind api, bool client_wants_usage);

}  // namespace kvcs::ai
