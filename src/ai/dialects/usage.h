// Tokens out of provider answers. Each API states them in an object "usage" of its own shape and at
// a moment of its own: in the body of a whole answer, or in some event of a stream. The meter
// watches the bytes that are relayed and never delays them. One thread per meter.
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

// The API that a client speaks and in which the provider is asked. (Whose server the provider is
// says ProviderKind of providers.h; http::Dialect is only the shape of an error body.)
enum class ApiKind : uint8_t { kChatCompletions, kResponses, kEmbeddings, kMessages };

// The name of a service tier as TokenUsage has it: "" for all that mean the standard.
std::string_view service_tier(std::string_view name);

// Upper-biased guess of a request's input before it is sent: ceil(bytes / 3), images and audio by a
// flat table.
int64_t estimate_input_tokens(const simdjson::dom::object& body);

// The relay's decision about one event of a stream on its way to the client.
enum class EventFate : uint8_t {
  kPass,     // Send the bytes as they came.
  kSwallow,  // Send nothing: it is the usage chunk that the client did not ask for.
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
  // The provider reported an error inside its answer. The stream is over then, complete or not.
  virtual bool has_error() const = 0;
  // The best knowledge now: the provider's own figures. Where it has stated none, the output is
  // counted from the relayed text and the input is the caller's guess; `estimated` says so.
  virtual TokenUsage usage(int64_t input_guess) const = 0;
  // Tokens of output so far: counted from the relayed text until the provider states more. Cheap,
  // for it is asked after every read of an open-ended stream.
  virtual int64_t output_so_far() const = 0;
  virtual std::string_view response_model() const = 0;  // "" until known.
};
// `client_wants_usage`: the client itself asked for stream_options.include_usage.
std::unique_ptr<UsageMeter> make_usage_meter(ApiKind api, bool client_wants_usage);

}  // namespace kvcs::ai
