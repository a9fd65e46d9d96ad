// Finds the dialect of an API, and words that several dialects share.
#include "ai/dialects/dialect.h"

#include "ai/dialects/dialects.h"
#include "base/json.h"

namespace kvcs::ai {

const Dialect& dialect(ApiKind kind) {
  switch (kind) {
    case ApiKind::kResponses:
      return responses_dialect();
    case ApiKind::kEmbeddings:
      return embeddings_dialect();
    case ApiKind::kMessages:
      return messages_dialect();
    case ApiKind::kChatCompletions:
      break;
  }
  return chat_completions_dialect();
}

std::string_view service_tier(std::string_view name) {
  for (const std::string_view standard : {"auto", "default", "standard", "standard_only"}) {
    if (name == standard) return "";
  }
  if (name == "on_demand") return "";     // Groq's name of the standard.
  if (name == "fast") return "priority";  // OpenAI's newer name.
  return name;
}

std::string openai_error(const Status& failure) {
  std::string text, code;
  append_json_string(text, failure.message());
  append_json_string(code, failure.reason().empty() ? "proxy_error" : failure.reason());
  return "{\"message\":" + text + ",\"type\":" + code + ",\"param\":null,\"code\":" + code + "}";
}

}  // namespace kvcs::ai
