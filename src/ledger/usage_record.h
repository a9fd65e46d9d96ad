// The record of one AI request: what it used, what it cost, whose it was. One struct and one table
// of its members serve every stage that a record passes: the journal of requests in flight, the
// outbox, ledger.db, the JSON of the APIs and CSV. A new kind of token is a field of TokenUsage, a
// line of the table in usage_record.cc and a column in schema.cc; a test fails when a stage drops
// one. Values; pure functions.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

// The use of one request, by priced dimension. Kinds of tokens do not overlap: what a provider
// reports as a subset of another count (cached ⊂ prompt, reasoning ⊂ completion) has been taken out
// of it, so that the cost is the plain sum of counts × prices.
struct TokenUsage {
  int64_t input = 0;  // Uncached, text.
  int64_t cache_read = 0;
  int64_t cache_write_5m = 0;  // Kept for minutes: 5 with Anthropic, 30 with OpenAI.
  int64_t cache_write_1h = 0;  // Kept for longer: an hour with Anthropic, twelve with OpenAI.
  int64_t input_audio = 0;
  int64_t input_image = 0;  // Where a provider counts them apart; else they are in `input`.
  int64_t output = 0;       // Text, without reasoning.
  int64_t reasoning = 0;
  int64_t output_audio = 0;
  int64_t output_image = 0;
  // Work that the provider does beside the model, billed by the call.
  int64_t web_searches = 0;
  int64_t file_searches = 0;
  int64_t code_sessions = 0;  // Containers in which code was run.
  int64_t images_made = 0;    // By a tool; pictures of the model itself are tokens.
  // What multiplies or replaces prices, in the provider's words; "" is the standard.
  std::string service_tier;  // "flex", "priority", …
  std::string speed;         // "fast"
  std::string region;        // "us"
  std::string search_size;   // "low", "high"; "" = medium.
  bool estimated = false;    // Counted by us, because the provider did not say.

  int64_t input_total() const {
    return input + cache_read + cache_write_5m + cache_write_1h + input_audio + input_image;
  }
  int64_t output_total() const { return output + reasoning + output_audio + output_image; }
};

struct UsageRecord {
  // Of a request that was tried at several providers each try has a record: the last one has the
  // request's id, one before it the id, a dot and the number of its try (usage_row_id()).
  std::string request_id;
  int64_t attempt = 0;  // 1, 2, … of a request with several tries; 0 of one with a single try.
  int64_t ts_ms = 0;
  std::string organization_id, user_id, key_id;
  std::string provider, model;  // As priced.
  TokenUsage tokens;
  int64_t cost_nano_usd = 0;
  int64_t reserved_nano_usd = 0;  // Set aside at admission; a cost above it was told as an alert.
  std::string price_version;
  int64_t first_byte_ms = 0;  // Until the head of the answer; of a stream until its first text.
  int64_t total_ms = 0;
  // What the client saw. 499: the client left; 504: our deadline; 502: the provider failed.
  int status = 0;
  bool grace = false, recovered = false;
  std::string period;  // "2026-11": the month the money was reserved in.
};

// The id of the row of try number `attempt` that was not the last one: "ID.1".
std::string usage_row_id(std::string_view request_id, int64_t attempt);
// Whether this is the row of the request itself. The rows of tries before the last one are money
// and tokens, but no requests.
bool is_last_try(const UsageRecord& record);
// The id of the request whose row, or one of whose tries, this is.
std::string_view usage_request_id(const UsageRecord& record);

// One member of the record: its name in JSON, its column in the table `usage`, and the field that
// holds it. Exactly one of the pointers is set.
struct UsageMember {
  std::string_view name;
  std::string_view column;  // Texts whose column ends in "_ref" are kept in ledger_name.
  std::string UsageRecord::*text = nullptr;
  int64_t UsageRecord::*number = nullptr;
  int UsageRecord::*small = nullptr;
  bool UsageRecord::*flag = nullptr;
  // The same of record.tokens.
  std::string TokenUsage::*token_text = nullptr;
  int64_t TokenUsage::*count = nullptr;
  bool TokenUsage::*token_flag = nullptr;
  std::string_view about = {};  // For /openapi.json, where the name does not say it.
};
// Every member, in the order in which usage_json() writes them.
std::span<const UsageMember> usage_members();

// The record as JSON: payload of outbox kind "usage" and the charge in the journal. Members that
// are zero, false or "" are left out.
std::string usage_json(const UsageRecord& record);
// Reads one into a record that may have been another's before (its texts keep their memory).
// Members that this version does not know are passed over. Invalid names the member that is missing
// or malformed.
Status parse_usage(std::string_view json, UsageRecord& record);

// How a request ended, in one word: the label `outcome` of metrics and the filter of lists.
enum class UsageOutcome : uint8_t {
  kOk,
  kClientError,    // The provider refused the request.
  kRateLimited,    // Too many requests, or no money left while the answer ran.
  kProviderError,  // The provider failed, or answered with what is no answer.
  kTimeout,
  kClientGone,
  kRecovered,  // The process died meanwhile; how the request ended is not known.
  kRefused,    // By us, before anything was sent. Such a request has no record.
};
inline constexpr size_t kUsageOutcomeCount = 8;
std::string_view usage_outcome_name(UsageOutcome outcome);  // "client_error"
std::optional<UsageOutcome> parse_usage_outcome(std::string_view name);
UsageOutcome usage_outcome(const UsageRecord& record);

// The statuses of an outcome, both ends included. The ranges do not overlap, and an outcome may
// have several. A record that is `recovered` has that outcome whatever its status is.
struct UsageOutcomeStatuses {
  UsageOutcome outcome;
  int min, max;
};
std::span<const UsageOutcomeStatuses> usage_outcome_statuses();

}  // namespace kvcs
