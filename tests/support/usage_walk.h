// A usage record in which each member of the table of members has a value of its own, and what each
// of them looks like outside. A stage that drops a member, or a member that a stage does not know,
// shows in the comparison.
#pragma once
#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/money.h"
#include "ledger/usage_record.h"

namespace kvcs::test {

inline constexpr int64_t kWalkTimeMs = 1'793'880'000'123;  // In 2026-11.

inline UsageRecord walked_record() {
  UsageRecord record;
  TokenUsage& tokens = record.tokens;
  int64_t next = 1000;
  for (const UsageMember& member : usage_members()) {
    next++;
    if (member.text != nullptr) record.*member.text = "text" + std::to_string(next);
    if (member.token_text != nullptr) tokens.*member.token_text = "word" + std::to_string(next);
    if (member.number != nullptr) record.*member.number = next;
    if (member.count != nullptr) tokens.*member.count = next;
    if (member.small != nullptr) record.*member.small = 418;
    if (member.flag != nullptr) record.*member.flag = true;
    if (member.token_flag != nullptr) tokens.*member.token_flag = true;
  }
  record.ts_ms = kWalkTimeMs;
  record.period = "2026-11";
  return record;
}

// The name and the value of every member, as lists, CSV and answers have them.
using OutsideMembers = std::vector<std::pair<std::string, std::string>>;
inline OutsideMembers outside(const UsageRecord& record) {
  OutsideMembers all;
  const TokenUsage& tokens = record.tokens;
  for (const UsageMember& member : usage_members()) {
    std::string name(member.name), value;
    if (member.text != nullptr) value = record.*member.text;
    if (member.token_text != nullptr) value = tokens.*member.token_text;
    if (member.number != nullptr) value = std::to_string(record.*member.number);
    if (member.count != nullptr) value = std::to_string(tokens.*member.count);
    if (member.small != nullptr) value = std::to_string(record.*member.small);
    if (member.flag != nullptr) value = record.*member.flag ? "true" : "false";
    if (member.token_flag != nullptr) value = tokens.*member.token_flag ? "true" : "false";
    if (const size_t unit = name.find("_nano_usd"); unit != name.npos) {
      name.replace(unit, std::string::npos, "_usd");
      value = format_usd(record.*member.number);
    }
    if (name == "ts_ms") {
      name = "ts";
      value = format_iso8601_ms(record.ts_ms);
    }
    all.emplace_back(std::move(name), std::move(value));
  }
  return all;
}

}  // namespace kvcs::test
