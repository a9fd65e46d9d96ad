// The table of the members of a usage record, and its JSON both ways. Every AI request pays for
// both, so the text is written by hand and read by the fast parser.
#include "ledger/usage_record.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <iterator>

#include "base/chars.h"
#include "base/json_text.h"
#include "base/quick_json.h"

namespace kvcs {
namespace {

constexpr size_t kTextBytes = 768;  // The first allocation; enough for nearly every record.

constexpr UsageMember text(std::string_view name, std::string_view column,
                           std::string UsageRecord::*field, std::string_view about = {}) {
  return {.name = name, .column = column, .text = field, .about = about};
}
constexpr UsageMember number(std::string_view name, int64_t UsageRecord::*field,
                             std::string_view about = {}) {
  return {.name = name, .column = name, .number = field, .about = about};
}
constexpr UsageMember flag(std::string_view name, bool UsageRecord::*field,
                           std::string_view about = {}) {
  return {.name = name, .column = name, .flag = field, .about = about};
}
constexpr UsageMember count(std::string_view name, int64_t TokenUsage::*field,
                            std::string_view about = {}) {
  return {.name = name, .column = name, .count = field, .about = about};
}
constexpr UsageMember condition(std::string_view name, std::string TokenUsage::*field) {
  return {.name = name, .column = name, .token_text = field};
}

constexpr UsageMember kMembers[] = {
    text("request_id", "request_id", &UsageRecord::request_id,
         "Of a try before the last one with a dot and its number."),
    number("attempt", &UsageRecord::attempt,
           "1, 2, … of a request that was tried at several providers, else 0."),
    number("ts_ms", &UsageRecord::ts_ms),
    text("organization_id", "organization_ref", &UsageRecord::organization_id),
    text("user_id", "user_ref", &UsageRecord::user_id),
    text("key_id", "key_ref", &UsageRecord::key_id),
    text("provider", "provider_ref", &UsageRecord::provider),
    text("model", "model_ref", &UsageRecord::model),
    count("input_tokens", &TokenUsage::input, "Kinds of tokens do not overlap."),
    count("cache_read_tokens", &TokenUsage::cache_read),
    count("cache_write_5m_tokens", &TokenUsage::cache_write_5m),
    count("cache_write_1h_tokens", &TokenUsage::cache_write_1h),
    count("input_audio_tokens", &TokenUsage::input_audio),
    count("input_image_tokens", &TokenUsage::input_image),
    count("output_tokens", &TokenUsage::output),
    count("reasoning_tokens", &TokenUsage::reasoning),
    count("output_audio_tokens", &TokenUsage::output_audio),
    count("output_image_tokens", &TokenUsage::output_image),
    count("web_searches", &TokenUsage::web_searches),
    count("file_searches", &TokenUsage::file_searches),
    count("code_sessions", &TokenUsage::code_sessions),
    count("images_made", &TokenUsage::images_made),
    condition("service_tier", &TokenUsage::service_tier),
    condition("speed", &TokenUsage::speed),
    condition("region", &TokenUsage::region),
    condition("search_size", &TokenUsage::search_size),
    number("cost_nano_usd", &UsageRecord::cost_nano_usd),
    number("reserved_nano_usd", &UsageRecord::reserved_nano_usd, "Set aside at admission."),
    text("price_version", "price_version_ref", &UsageRecord::price_version),
    number("first_byte_ms", &UsageRecord::first_byte_ms),
    number("total_ms", &UsageRecord::total_ms),
    {.name = "status",
     .column = "status",
     .small = &UsageRecord::status,
     .about =
         "499 when the client left, 504 when the time was over, 502 when the provider failed."},
    {.name = "estimated",
     .column = "estimated",
     .token_flag = &TokenUsage::estimated,
     .about = "Counted by the gateway, as the provider did not say."},
    flag("grace", &UsageRecord::grace, "Admitted while the budget store did not answer."),
    flag("recovered", &UsageRecord::recovered, "The daemon died before the end."),
    text("period", "period_ref", &UsageRecord::period),
};

// By UsageOutcome.
constexpr std::array<std::string_view, kUsageOutcomeCount> kOutcomeNames = {
    "ok",      "client_error", "rate_limited", "provider_error",
    "timeout", "client_gone",  "recovered",    "refused"};

// Every status from 0 to 999, which is all that a record can hold.
constexpr UsageOutcomeStatuses kOutcomeStatuses[] = {
    {UsageOutcome::kProviderError, 0, 199},   {UsageOutcome::kOk, 200, 299},
    {UsageOutcome::kProviderError, 300, 399}, {UsageOutcome::kClientError, 400, 407},
    {UsageOutcome::kTimeout, 408, 408},       {UsageOutcome::kClientError, 409, 428},
    {UsageOutcome::kRateLimited, 429, 429},   {UsageOutcome::kClientError, 430, 498},
    {UsageOutcome::kClientGone, 499, 499},    {UsageOutcome::kProviderError, 500, 503},
    {UsageOutcome::kTimeout, 504, 504},       {UsageOutcome::kProviderError, 505, 999},
};

void write_text(JsonObjectText& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out.text(name, value);
}

// The kinds of members that are most often zero come first.
void write_member(JsonObjectText& out, const UsageMember& member, const UsageRecord& record) {
  const TokenUsage& tokens = record.tokens;
  if (member.count != nullptr) {
    const int64_t value = tokens.*member.count;
    if (value != 0) out.number(member.name, value);
  } else if (member.token_text != nullptr) {
    write_text(out, member.name, tokens.*member.token_text);
  } else if (member.number != nullptr) {
    const int64_t value = record.*member.number;
    // A reader misses a record without its time, as one without its status.
    if (value != 0 || member.number == &UsageRecord::ts_ms) out.number(member.name, value);
  } else if (member.text != nullptr) {
    write_text(out, member.name, record.*member.text);
  } else if (member.small != nullptr) {
    out.number(member.name, record.*member.small);
  } else {
    const bool value = member.flag != nullptr ? record.*member.flag : tokens.*member.token_flag;
    if (value) out.flag(member.name, true);
  }
}

Status bad(std::string_view member) {
  return invalid("usage record: " + std::string(member) + " is missing or malformed");
}

// Looks from position `next` on, and around; leaves `next` behind what it found. A reader that
// looks for the next member from where it found the last one finds it at once.
const UsageMember* find_member(std::string_view name, size_t& next) {
  for (size_t tries = 0; tries < std::size(kMembers); tries++) {
    if (next >= std::size(kMembers)) next = 0;
    const UsageMember& member = kMembers[next++];
    if (member.name == name) return &member;
  }
  return nullptr;
}

// A text, a whole number, true or false, asked as simdjson's elements are.
class PlainValue final {
 public:
  simdjson::error_code get(std::string_view& out) const { return give(Kind::kText, text_, out); }
  simdjson::error_code get(int64_t& out) const { return give(Kind::kNumber, number_, out); }
  simdjson::error_code get(bool& out) const { return give(Kind::kFlag, flag_, out); }
  bool is_null() const { return false; }

  // Takes it from the front of `rest`; false when something else stands there.
  bool read(std::string_view& rest) {
    if (take(rest, "\"")) {
      kind_ = Kind::kText;
      text_ = rest.substr(0, plain_prefix(rest));
      rest.remove_prefix(text_.size());
      return take(rest, "\"");
    }
    flag_ = rest.starts_with("true");
    if (!flag_ && !rest.starts_with("false")) return read_number(rest);
    kind_ = Kind::kFlag;
    return take(rest, flag_ ? "true" : "false");
  }
  static bool take(std::string_view& rest, std::string_view wanted) {
    if (!rest.starts_with(wanted)) return false;
    rest.remove_prefix(wanted.size());
    return true;
  }

 private:
  enum class Kind : uint8_t { kText, kNumber, kFlag };

  template <typename T>
  simdjson::error_code give(Kind wanted, const T& value, T& out) const {
    if (kind_ != wanted) return simdjson::INCORRECT_TYPE;
    out = value;
    return simdjson::SUCCESS;
  }
  bool read_number(std::string_view& rest) {
    const std::string_view digits = rest.substr(rest.starts_with('-') ? 1 : 0);
    // JSON has no zeros in front.
    if (digits.starts_with('0') && digits.size() > 1 && is_digit(digits[1])) return false;
    const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), number_);
    if (read.ec != std::errc()) return false;
    rest.remove_prefix(static_cast<size_t>(read.ptr - rest.data()));
    kind_ = Kind::kNumber;
    return true;
  }

  Kind kind_ = Kind::kFlag;
  std::string_view text_;
  int64_t number_ = 0;
  bool flag_ = false;
};

template <typename Value>
Status read_text(const UsageMember& member, const Value& value, std::string& out) {
  std::string_view found;
  if (value.get(found) != simdjson::SUCCESS) return bad(member.name);
  out = found;
  return ok();
}

template <typename Value>
Status read_number(const UsageMember& member, const Value& value, int64_t min, int64_t max,
                   int64_t& out) {
  const bool fits = value.get(out) == simdjson::SUCCESS && out >= min && out <= max;
  return fits || value.is_null() ? ok() : bad(member.name);
}

template <typename Value>
Status read_member(const UsageMember& member, const Value& value, UsageRecord& record) {
  if (member.text != nullptr) return read_text(member, value, record.*member.text);
  if (member.token_text != nullptr) {
    return read_text(member, value, record.tokens.*member.token_text);
  }
  if (member.flag != nullptr || member.token_flag != nullptr) {
    bool& out = member.flag != nullptr ? record.*member.flag : record.tokens.*member.token_flag;
    return value.get(out) == simdjson::SUCCESS ? ok() : bad(member.name);
  }
  if (member.small != nullptr) {
    int64_t small = 0;
    KVCS_TRY(read_number(member, value, 0, 999, small));
    record.*member.small = static_cast<int>(small);
    return ok();
  }
  int64_t& out = member.number != nullptr ? record.*member.number : record.tokens.*member.count;
  // A reset of a user's use is a row with a negative cost.
  const int64_t min = member.number == &UsageRecord::ts_ms ? 0 : INT64_MIN;
  return read_number(member, value, min, INT64_MAX, out);
}

void clear(UsageRecord& record) {
  for (const UsageMember& member : kMembers) {
    if (member.text != nullptr) (record.*member.text).clear();
    if (member.token_text != nullptr) (record.tokens.*member.token_text).clear();
    if (member.number != nullptr) record.*member.number = 0;
    if (member.count != nullptr) record.tokens.*member.count = 0;
    if (member.flag != nullptr) record.*member.flag = false;
    if (member.token_flag != nullptr) record.tokens.*member.token_flag = false;
  }
}

}  // namespace

std::span<const UsageMember> usage_members() {
  return kMembers;
}

std::string usage_row_id(std::string_view request_id, int64_t attempt) {
  return std::string(request_id) + "." + std::to_string(attempt);
}

bool is_last_try(const UsageRecord& record) {
  return record.attempt == 0 || usage_request_id(record).size() == record.request_id.size();
}

std::string_view usage_request_id(const UsageRecord& record) {
  const std::string_view id = record.request_id;
  if (record.attempt == 0) return id;
  const std::string ending = "." + std::to_string(record.attempt);
  return id.ends_with(ending) ? id.substr(0, id.size() - ending.size()) : id;
}

std::string_view usage_outcome_name(UsageOutcome outcome) {
  return kOutcomeNames[static_cast<size_t>(outcome)];
}

std::optional<UsageOutcome> parse_usage_outcome(std::string_view name) {
  for (size_t i = 0; i < kOutcomeNames.size(); i++) {
    if (kOutcomeNames[i] == name) return static_cast<UsageOutcome>(i);
  }
  return std::nullopt;
}

UsageOutcome usage_outcome(const UsageRecord& record) {
  if (record.recovered) return UsageOutcome::kRecovered;
  for (const auto& [outcome, min, max] : kOutcomeStatuses) {
    if (record.status >= min && record.status <= max) return outcome;
  }
  return UsageOutcome::kProviderError;
}

std::span<const UsageOutcomeStatuses> usage_outcome_statuses() {
  return kOutcomeStatuses;
}

std::string usage_json(const UsageRecord& record) {
  std::string out;
  JsonObjectText object(out, kTextBytes);
  for (const UsageMember& member : kMembers) write_member(object, member, record);
  object.finish();
  return out;
}

namespace {

// These two must be in the record.
void begin_reading(UsageRecord& record) {
  clear(record);
  record.ts_ms = record.status = -1;
}

// Reads what usage_json() writes: members of this version alone, no spaces and no escapes. False
// when the text is anything else, well-formed or not.
bool read_plain(std::string_view rest, UsageRecord& record) {
  size_t next = 0;
  PlainValue value;
  for (bool is_first = true; is_first || rest != "}"; is_first = false) {
    if (!PlainValue::take(rest, is_first ? "{\"" : ",\"")) return false;
    const size_t end = rest.find('"');
    const UsageMember* member =
        end < rest.size() ? find_member(rest.substr(0, end), next) : nullptr;
    if (member == nullptr) return false;
    rest.remove_prefix(end + 1);
    if (!PlainValue::take(rest, ":") || !value.read(rest)) return false;
    if (!read_member(*member, value, record).ok()) return false;
  }
  return true;
}

Status read_parsed(std::string_view json, UsageRecord& record) {
  thread_local QuickParser parser;
  simdjson::dom::object members;
  if (!parser.parse(json, members)) return invalid("usage record: not a JSON object");
  size_t next = 0;
  for (const auto& [name, value] : members) {
    const UsageMember* member = find_member(name, next);
    if (member != nullptr) KVCS_TRY(read_member(*member, value, record));
  }
  return ok();
}

}  // namespace

Status parse_usage(std::string_view json, UsageRecord& record) {
  begin_reading(record);
  if (!read_plain(json, record)) {
    begin_reading(record);
    KVCS_TRY(read_parsed(json, record));
  }
  if (record.ts_ms < 0) return bad("ts_ms");
  if (record.status < 0) return bad("status");
  return ok();
}

}  // namespace kvcs
