// Goal: a usage record is read the same whether it is written as usage_json() writes it, which a
// reader of its own takes, or in any other way that JSON has; and what is no record is refused by
// both. Method: one record in many spellings.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "ledger/usage_record.h"

using namespace kvcs;

namespace {

UsageRecord sample() {
  UsageRecord record;
  record.request_id = "req-1";
  record.ts_ms = 1'793'880'000'123;
  record.organization_id = "org";
  record.model = "gpt-4o-mini";
  record.tokens.input = 42;
  record.tokens.estimated = true;
  record.cost_nano_usd = -7;
  record.status = 200;
  record.period = "2026-11";
  return record;
}

constexpr std::string_view kPlain =
    R"({"request_id":"req-1","ts_ms":1793880000123,"organization_id":"org","model":"gpt-4o-mini",)"
    R"("input_tokens":42,"cost_nano_usd":-7,"status":200,"estimated":true,"period":"2026-11"})";

// The sample's text with one piece of it written otherwise.
std::string with(std::string_view piece, std::string_view other) {
  std::string text(kPlain);
  const size_t at = text.find(piece);
  REQUIRE(at != text.npos);
  return text.replace(at, piece.size(), other);
}

}  // namespace

TEST_CASE("usage record: every spelling of a record is read alike", "[unit][ledger]") {
  REQUIRE(usage_json(sample()) == kPlain);
  const std::vector<std::string> spellings = {
      std::string(kPlain),
      with("{", "{ "),
      with(":42", " : 42 "),
      with("gpt-4o-mini", "gpt\\u002d4o-mini"),
      with("\"model\"", "\"mod\\u0065l\""),
      with(",\"status\":200", "").replace(0, 1, "{\"status\":200,"),
      with("\"status\":200", "\"status\":500,\"status\":200"),
      with("\"status\":200", "\"status\":200,\"of_a_later_version\":{\"a\":[1]}"),
      with("\"status\":200", "\"status\":200,\"grace\":false,\"first_byte_ms\":0"),
      with("\"status\":200", "\"status\":200,\"first_byte_ms\":null"),
      with("\"status\":200", "\"status\":200,\"total_ms\":-0"),
  };
  for (const std::string& text : spellings) {
    INFO(text);
    UsageRecord read = sample();
    read.grace = true;
    read.tokens.speed = "fast";  // What it held before must go.
    const Status parsed = parse_usage(text, read);
    INFO(parsed.to_string());
    REQUIRE(parsed.ok());
    CHECK(usage_json(read) == kPlain);
  }
}

TEST_CASE("usage record: what is not ASCII or needs an escape comes back as it was",
          "[unit][ledger]") {
  for (const std::string model : {"modèle", "a\"b\\c", "a\nb", "ends in \\", ""}) {
    UsageRecord record = sample(), read;
    record.model = model;
    REQUIRE(parse_usage(usage_json(record), read).ok());
    CHECK(read.model == model);
  }
}

TEST_CASE("usage record: what is no record is refused", "[unit][ledger]") {
  const std::vector<std::string> bad = {
      "",
      "{}",
      "{",
      "[]",
      std::string(kPlain) + "x",
      std::string(kPlain.substr(0, kPlain.size() - 1)),
      std::string(kPlain.substr(0, kPlain.size() - 1)) + ",}",
      with(":42", ":042"),
      with(":42", ":4.5"),
      with(":42", ":\"42\""),
      with(":42", ":"),
      with(":42", ":99999999999999999999"),
      with(":200", ":1000"),
      with(":200", ":-1"),
      with(":true", ":truth"),
      with(":true", ":1"),
      with("\"org\"", "7"),
      with("\"status\":200,", ""),
      with("\"ts_ms\":1793880000123,", ""),
      with("gpt", "\x01"),
      with("gpt", "\xff"),
  };
  for (const std::string& text : bad) {
    INFO(text);
    UsageRecord read;
    CHECK(parse_usage(text, read).code() == Code::kInvalid);
  }
}
