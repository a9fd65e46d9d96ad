// Reads from a request's body what may cost money, by tables that name the members of each API.
// Internal to dialects/. Pure.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "ai/dialects/dialect.h"
#include "base/status.h"

namespace simdjson::dom {
class element;
class object;
}  // namespace simdjson::dom

namespace kvcs::ai {

class Members;

// What a member or tool of a request brings with it.
enum class Brings : uint8_t {
  kNothing,
  kInput,  // Text or media that is not in the body: ids, URLs, stored context, results of searches.
  kOtherModel,  // Work of another model, at its price: refused.
};

// A member of the body whose presence (not null, not false, not empty) costs.
struct MemberRule {
  std::string_view name;
  Brings brings = Brings::kNothing;
  int64_t TokenUsage::*calls = nullptr;  // Asks for calls of this kind.
  int64_t calls_max = -1;                // How many; -1: the request does not bound them.
};

// A tool by the beginning of its type. The first rule that fits counts. A type without a rule is
// taken for a tool that the provider runs, whose results are input.
struct ToolRule {
  std::string_view type;
  Brings brings = Brings::kInput;
  int64_t TokenUsage::*calls = nullptr;
};

// A part of a message or an item of input that is text in the body.
struct PartRule {
  std::string_view type;
  // It stands for content that the provider has stored, unless the body has it in this member.
  std::string_view content = {};
};

// A part of a message that is not text, by its type.
enum class Media : uint8_t {
  kImage,
  kAudio,
  kFile,  // A document: the text in it is not bounded by its size.
};
struct MediaRule {
  std::string_view type;
  Media media;
  // The member that holds the data, in base64 or as a data: URL, within that of `holder` ("" = in
  // the part itself); its bytes are not text. For kFile a source of text counts as text.
  std::string_view holder, data;
};

struct RequestRules {
  std::string_view messages;        // The member that holds the conversation: "messages", "input".
  std::string_view output_max[2];   // Members that bound the output; "" = none.
  std::string_view tool_calls_max;  // Bounds the calls of all tools: "max_tool_calls".
  std::span<const MemberRule> members;
  std::span<const ToolRule> tools;
  std::span<const MediaRule> media;
  // Parts of text. A type that is neither here nor in `media` brings in what nothing bounds.
  std::span<const PartRule> parts;
  int64_t tools_added_tokens;     // What tools add to the prompt, beside their own text.
  int64_t tool_added_tokens = 0;  // What each tool of the provider's own schema adds to that.
};

// Invalid with reason invalid_request_error, naming the member.
Status bad_member(std::string_view member, std::string why);

// The member `name` of `object`. Compared without case: a name that differs in case alone is the
// same member to some servers, so that both, or the other spelling alone, are Invalid, as a member
// given twice is. Null counts as absent. `out` is valid as long as `object`.
Status find_once(const Members& object, std::string_view name, std::string_view path, bool& found,
                 simdjson::dom::element& out);

// Reads what all APIs have in common, by the rules of one. `more` reads what its API alone has.
using ReadMore = std::function<Status(const Members& root, ChatRequest& request)>;
Result<ChatRequest> read_by_rules(const RequestRules& rules, std::string body,
                                  const ReadMore& more);

// Helpers for `more`. A number may be written 100, 100.0 or 1e2.
Status read_flag(const Members& object, std::string_view name, std::string_view path, bool& out);
Status read_whole(const Members& object, std::string_view name, std::string_view path, int64_t min,
                  int64_t max, int64_t& out);
// A string member; "" when absent.
Status read_word(const Members& object, std::string_view name, std::string_view path,
                 std::string& out);
// The longest of the cache writes that stand anywhere in the body.
Status read_cache_control(const simdjson::dom::object& members, CacheWrites& writes);
// The member "thinking": its budget, and whether reasoning is asked for.
Status read_thinking(const Members& root, ChatRequest& request);
// The size of a search's context; of several the dearest counts.
Status note_search_size(std::string_view size, ChatRequest& request);
// The service tier that the request asks for.
Status read_tier(const Members& root, ChatRequest& request);

// Sets the model and the bound on the output; what all dialects edit alike.
void edit_common(const ChatRequest& request, const BodyEdits& edits, std::string& body);

}  // namespace kvcs::ai
