// Goal: each record has one outcome, and the same one wherever it is asked for. Method: every
// status that a record can hold, by the function and by the table of statuses.
#include <catch2/catch.hpp>

#include <set>

#include "ledger/usage_record.h"

using namespace kvcs;

TEST_CASE("usage outcome: the status of a record says how it ended", "[unit][ledger]") {
  const auto name_of = [](int status, bool recovered = false) {
    UsageRecord record;
    record.status = status;
    record.recovered = recovered;
    return usage_outcome_name(usage_outcome(record));
  };
  CHECK(name_of(200) == "ok");
  CHECK(name_of(400) == "client_error");
  CHECK(name_of(404) == "client_error");
  CHECK(name_of(408) == "timeout");
  CHECK(name_of(429) == "rate_limited");
  CHECK(name_of(499) == "client_gone");
  CHECK(name_of(302) == "provider_error");
  CHECK(name_of(500) == "provider_error");
  CHECK(name_of(502) == "provider_error");
  CHECK(name_of(504) == "timeout");
  CHECK(name_of(529) == "provider_error");
  CHECK(name_of(200, true) == "recovered");
  CHECK(name_of(499, true) == "recovered");
}

TEST_CASE("usage outcome: the table of statuses agrees for each of them", "[unit][ledger]") {
  for (int status = 0; status <= 999; status++) {
    INFO(status);
    UsageRecord record;
    record.status = status;
    int ranges = 0;
    for (const auto& [outcome, min, max] : usage_outcome_statuses()) {
      if (status < min || status > max) continue;
      ranges++;
      CHECK(outcome == usage_outcome(record));
    }
    CHECK(ranges == 1);
  }
}

TEST_CASE("usage outcome: every name is one outcome's", "[unit][ledger]") {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kUsageOutcomeCount; i++) {
    const auto outcome = static_cast<UsageOutcome>(i);
    CHECK(names.insert(usage_outcome_name(outcome)).second);
    CHECK(parse_usage_outcome(usage_outcome_name(outcome)) == outcome);
  }
  CHECK_FALSE(parse_usage_outcome("").has_value());
  CHECK_FALSE(parse_usage_outcome("OK").has_value());
}
