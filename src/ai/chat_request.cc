// Reads the few members of a client's request that the gateway acts on, and edits the body's text
// for the provider. Runs on the worker of the request; the parser is kept for each thread.
#include "ai/chat_request.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/json.h"
#include "base/json_cursor.h"
#include "base/quick_json.h"

namespace kvcs::ai {
namespace {

constexpr size_t kDepthMax = 64;
constexpr int64_t kOutputTokensMax = 10'000'000, kChoicesMax = 128;
constexpr size_t kModelMaxBytes = 200;

using simdjson::dom::element;
using simdjson::dom::object;

// The members that the gateway acts on; all others only pass through.
enum Member : size_t {
  kModel,
  kStream,
  kStreamOptions,
  kChoices,
  kMaxTokens,
  kMaxCompletionTokens,
  kMaxOutputTokens,
  kServiceTier,
  kBackground,
  kMembers
};
constexpr std::array<std::string_view, kMembers> kNames = {"model",
                                                           "stream",
                                                           "stream_options",
                                                           "n",
                                                           "max_tokens",
                                                           "max_completion_tokens",
                                                           "max_output_tokens",
                                                           "service_tier",
                                                           "background"};
using Members = std::array<std::optional<element>, kMembers>;

Status bad(std::string_view member, std::string why) {
  return invalid(std::string(member) + ": " + std::move(why)).with_reason("invalid_request_error");
}

// A member given twice is one thing to us and may be another to the provider: the model that is
// allowed and the one that answers, the output that is reserved and the one that is made.
Result<Members> read_members(const object& root) {
  Members members;
  for (const auto& [name, value] : root) {
    const auto known = std::find(kNames.begin(), kNames.end(), name);
    if (known == kNames.end()) continue;
    std::optional<element>& member = members[static_cast<size_t>(known - kNames.begin())];
    if (member) return bad(name, "is given twice.");
    member = value;
  }
  for (std::optional<element>& member : members) {
    if (member && member->is_null()) member.reset();
  }
  return members;
}

// `out` becomes the larger of what it was and what is stated: of two bounds on an output that both
// stand in a request, the provider may follow either.
Status read_bounded(const Members& members, Member which, int64_t min, int64_t max, int64_t& out) {
  if (!members[which]) return ok();
  const std::string_view name = kNames[which];
  int64_t number;
  if (members[which]->get(number) != simdjson::SUCCESS) {
    return bad(name, "must be a whole number from " + std::to_string(min) + " to " +
                         std::to_string(max) + ".");
  }
  if (number < min || number > max) {
    return bad(name, std::to_string(number) + " is outside " + std::to_string(min) + " to " +
                         std::to_string(max) + ".");
  }
  out = std::max(out, number);
  return ok();
}

Status read_flag(const std::optional<element>& value, std::string_view name, bool& out) {
  if (!value || value->is_null()) return ok();
  if (value->get(out) != simdjson::SUCCESS) return bad(name, "must be true or false.");
  return ok();
}

Status read_model(const Members& members, std::string& out) {
  std::string_view model;
  if (!members[kModel] || members[kModel]->get(model) != simdjson::SUCCESS) {
    return bad("model", "required; a string like \"gpt-4o-mini\" or \"provider/model\".");
  }
  if (model.empty() || model.size() > kModelMaxBytes) {
    return bad("model", "must have 1 to " + std::to_string(kModelMaxBytes) + " bytes.");
  }
  out = model;
  return ok();
}

Status read_stream_options(const Members& members, bool& include_usage) {
  if (!members[kStreamOptions]) return ok();
  object options;
  if (members[kStreamOptions]->get(options) != simdjson::SUCCESS) {
    return bad("stream_options", "must be an object.");
  }
  std::optional<element> wanted;
  for (const auto& [name, value] : options) {
    if (name != "include_usage") continue;
    if (wanted) return bad("stream_options.include_usage", "is given twice.");
    wanted = value;
  }
  return read_flag(wanted, "include_usage", include_usage);
}

// Only what this API has bounds an answer: a provider may pass over a member that it does not know.
Status read_output_max(ApiKind api, const Members& members, int64_t& out) {
  const auto read = [&](Member which) {
    return read_bounded(members, which, 0, kOutputTokensMax, out);
  };
  if (api == ApiKind::kResponses) return read(kMaxOutputTokens);
  KVCS_TRY(read(kMaxTokens));
  if (api == ApiKind::kChatCompletions) return read(kMaxCompletionTokens);
  return ok();
}

}  // namespace

Result<ChatRequest> parse_chat_request(ApiKind api, std::string body) {
  // The parser's buffers grow with the body and are used again, so a large body gets a parser of
  // its own that goes with it.
  thread_local QuickParser kept(kDepthMax);
  std::optional<QuickParser> large;
  if (body.size() > QuickParser::kKeptMaxBytes) large.emplace(kDepthMax);
  QuickParser& parser = large ? *large : kept;
  object root;
  const bool parsed = parser.parse(body, root);
  if (!parsed && parser.too_deep()) {
    return invalid("The body nests deeper than " + std::to_string(kDepthMax) + " levels.")
        .with_reason("invalid_request_error");
  }
  if (!parsed) {
    return invalid("The body must be a JSON object: " + std::string(parser.fault()))
        .with_reason("invalid_request_error");
  }
  ChatRequest request;
  request.api = api;
  const Members members = KVCS_TRY(read_members(root));
  KVCS_TRY(read_model(members, request.model));
  KVCS_TRY(read_flag(members[kStream], "stream", request.stream));
  KVCS_TRY(read_stream_options(members, request.client_wants_usage));
  KVCS_TRY(read_bounded(members, kChoices, 1, kChoicesMax, request.choices));
  KVCS_TRY(read_output_max(api, members, request.output_tokens_max));
  bool background = false;
  if (api == ApiKind::kResponses) {
    KVCS_TRY(read_flag(members[kBackground], "background", background));
  }
  if (background) {
    return bad("background", "is not possible here: its cost would show only after the answer.");
  }
  std::string_view tier;
  if (members[kServiceTier] && members[kServiceTier]->get(tier) == simdjson::SUCCESS) {
    request.tier = service_tier(tier);
  }
  request.input_guess = estimate_input_tokens(root);
  request.body = std::move(body);
  return request;
}

namespace {

// The name of the member that bounds the output in the API.
std::string_view cap_member(ApiKind api, bool openai) {
  if (api == ApiKind::kResponses) return "max_output_tokens";
  return api == ApiKind::kChatCompletions && openai ? "max_completion_tokens" : "max_tokens";
}

}  // namespace

std::string upstream_body(const ChatRequest& request, std::string_view model, bool openai) {
  std::string body = request.body;
  if (model != request.model) {
    std::string text;
    append_json_string(text, model);
    set_json_member(body, "model", text);
  }
  if (request.output_tokens_cap >= 0) {
    set_json_member(body, cap_member(request.api, openai),
                    std::to_string(request.output_tokens_cap));
  }
  // A stream states its usage only when asked to. The meter needs that, and takes the event out
  // again for a client that did not ask.
  const bool add_usage =
      request.stream && request.api == ApiKind::kChatCompletions && !request.client_wants_usage;
  if (add_usage) {
    const auto span = find_json_member(body, "stream_options");
    std::string options =
        span ? body.substr(span->begin, span->end - span->begin) : std::string("{}");
    if (options.empty() || options.front() != '{') options = "{}";
    set_json_member(options, "include_usage", "true");
    set_json_member(body, "stream_options", options);
  }
  return body;
}

}  // namespace kvcs::ai
