// The body of a call, in either dialect:
//   generic  {"path", "method", "query", "body", "headers", …}
//   curated  {"action": "list", "object_type": "contacts", …} as the provider's actions say
// and in both: account_id, format, fields, cache, timeout_ms, dry_run, idempotency_key,
// customer_id, domain (which must be the provider of the URL). Members that are not known are
// refused by name. Values; pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "gateway/call/fields.h"
#include "gateway/catalogue/provider_record.h"

namespace kvcs::gateway {

inline constexpr size_t kQueryPairsMax = 200;
inline constexpr size_t kQueryMaxBytes = 16u << 10;
inline constexpr size_t kCallHeadersMax = 50;

struct CallRequest {
  std::string action;  // "call" in the generic dialect.
  std::string method = "GET";
  std::string path;  // Encoded, from check_path.
  std::vector<std::pair<std::string, std::string>> query, headers;
  std::optional<std::string> body;
  std::string content_type;  // Of `body`, unless the caller's headers say.
  std::string account_id;    // "" = the only one.
  bool compact = false;
  std::optional<FieldSelection> fields;
  bool use_cache = true;
  int timeout_ms = kTimeoutMsMax;
  bool dry_run = false;
  std::string idempotency_key;
};

// `body` is what parse_json_exact made, so that numbers keep their text. Invalid names the member;
// Forbidden for a path outside the provider's prefixes.
Result<CallRequest> parse_call(const Json& body, const Provider& provider);

}  // namespace kvcs::gateway
