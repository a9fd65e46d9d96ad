// Goal: the metrics of AI requests say what the records say, and neither a caller nor a number of
// names can make them grow without end. Method: records as settlements make them, and the page that
// Prometheus reads.
#include "ai/ai_metrics.h"

#include <catch2/catch.hpp>

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/thread.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

UsageRecord a_record() {
  UsageRecord record;
  record.provider = "openai";
  record.model = "gpt-4o-mini";
  record.price_version = "v1";
  record.status = 200;
  record.tokens.input = 10;
  record.tokens.output = 4;
  record.cost_nano_usd = 3'900;
  record.first_byte_ms = 250;
  return record;
}

constexpr const char* kLabels =
    R"(provider="openai",model="gpt-4o-mini",outcome="ok",organization="acme")";

// The samples of the page: series text → value.
std::map<std::string, std::string> samples(const Metrics& metrics) {
  std::map<std::string, std::string> found;
  std::istringstream page(metrics.print());
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("#")) continue;
    const size_t space = line.rfind(' ');
    found[line.substr(0, space)] = line.substr(space + 1);
  }
  return found;
}

size_t count_starting(const std::map<std::string, std::string>& samples, std::string_view prefix) {
  size_t count = 0;
  for (const auto& [series, value] : samples) count += series.starts_with(prefix) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("ai metrics: by provider, what it failed and not what it refused", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  UsageRecord other = a_record();
  other.provider = "anthropic";
  for (const UsageOutcome outcome :
       {UsageOutcome::kOk, UsageOutcome::kClientError, UsageOutcome::kRateLimited,
        UsageOutcome::kProviderError, UsageOutcome::kTimeout, UsageOutcome::kClientGone}) {
    ai.record(a_record(), "acme", outcome);
    ai.record(a_record(), "globex", outcome);
  }
  ai.record(other, "acme", UsageOutcome::kOk);
  const std::vector<ProviderCount> counts = ai.by_provider();
  REQUIRE(counts.size() == 2);
  CHECK((counts[0].name == "anthropic" && counts[0].requests == 1 && counts[0].failures == 0));
  CHECK((counts[1].name == "openai" && counts[1].requests == 12 && counts[1].failures == 4));
}

TEST_CASE("ai metrics: a request is counted under its labels", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  ai.record(a_record(), "acme", UsageOutcome::kOk);
  ai.record(a_record(), "acme", UsageOutcome::kOk);
  auto page = samples(metrics);
  const std::string labels = kLabels;
  CHECK(page["kvcs_ai_requests_total{" + labels + "}"] == "2");
  CHECK(page["kvcs_ai_cost_usd_total{" + labels + "}"] == "7.8e-06");
  CHECK(page["kvcs_ai_tokens_total{" + labels + ",kind=\"input\"}"] == "20");
  CHECK(page["kvcs_ai_tokens_total{" + labels + ",kind=\"output\"}"] == "8");
  CHECK(page["kvcs_ai_first_token_seconds_count{" + labels + "}"] == "2");
  CHECK(page["kvcs_ai_first_token_seconds_sum{" + labels + "}"] == "0.5");
  CHECK(page["kvcs_ai_first_token_seconds_bucket{" + labels + ",le=\"0.2\"}"] == "0");
  CHECK(page["kvcs_ai_first_token_seconds_bucket{" + labels + ",le=\"0.5\"}"] == "2");
  CHECK(page["kvcs_ai_first_token_seconds_bucket{" + labels + ",le=\"600\"}"] == "2");
  // Kinds that have not come have no series.
  CHECK(count_starting(page, "kvcs_ai_tokens_total{") == 2);
}

TEST_CASE("ai metrics: every kind of token that a record knows is counted", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  UsageRecord record = a_record();
  std::map<std::string, int64_t> wanted;
  for (const UsageMember& member : usage_members()) {
    if (member.count == nullptr) continue;
    record.tokens.*member.count = static_cast<int64_t>(100 + wanted.size());
    if (!member.name.ends_with("_tokens")) continue;
    wanted[std::string(member.name.substr(0, member.name.size() - 7))] =
        record.tokens.*member.count;
  }
  REQUIRE(wanted.size() >= 10);
  ai.record(record, "acme", UsageOutcome::kOk);
  auto page = samples(metrics);
  for (const auto& [kind, count] : wanted) {
    INFO(kind);
    CHECK(page["kvcs_ai_tokens_total{" + std::string(kLabels) + ",kind=\"" + kind + "\"}"] ==
          std::to_string(count));
  }
  CHECK(count_starting(page, "kvcs_ai_tokens_total{") == wanted.size());
}

TEST_CASE("ai metrics: outcome, organization, provider and model divide the series", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  ai.record(a_record(), "acme", UsageOutcome::kOk);
  ai.record(a_record(), "acme", UsageOutcome::kClientGone);
  ai.record(a_record(), "other-org", UsageOutcome::kOk);
  UsageRecord record = a_record();
  record.model = "gpt-4o";
  ai.record(record, "acme", UsageOutcome::kOk);
  record.provider = "azure";
  ai.record(record, "acme", UsageOutcome::kOk);
  const auto page = samples(metrics);
  CHECK(count_starting(page, "kvcs_ai_requests_total{") == 5);
  for (const auto& [series, value] : page) {
    if (series.starts_with("kvcs_ai_requests_total{")) CHECK(value == "1");
  }
}

TEST_CASE("ai metrics: only an answer has a time, also one within a millisecond", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  UsageRecord record = a_record();
  record.first_byte_ms = 0;
  ai.record(record, "acme", UsageOutcome::kOk);
  ai.record(record, "acme", UsageOutcome::kTimeout);
  auto page = samples(metrics);
  const auto times_of = [&](const std::string& outcome) {
    return page
        ["kvcs_ai_first_token_seconds_count{provider=\"openai\",model="
         "\"gpt-4o-mini\","
         "outcome=\"" +
         outcome + "\",organization=\"acme\"}"];
  };
  CHECK(times_of("ok") == "1");
  CHECK(times_of("timeout") == "0");
}

TEST_CASE("ai metrics: a name that a caller made up is no label", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  UsageRecord record = a_record();
  record.model = "made-up-by-a-caller";
  record.price_version = "v1+stated";
  ai.record(record, "acme", UsageOutcome::kOk);
  record = {};
  ai.record(record, "", UsageOutcome::kRefused);
  auto page = samples(metrics);
  CHECK(page["kvcs_ai_requests_total{provider=\"openai\",model=\"other\","
             "outcome=\"ok\","
             "organization=\"acme\"}"] == "1");
  CHECK(page["kvcs_ai_requests_total{provider=\"other\",model=\"other\","
             "outcome=\"refused\","
             "organization=\"other\"}"] == "1");
  CHECK(metrics.print().find("made-up") == std::string::npos);
}

TEST_CASE("ai metrics: a label with quotes and line breaks cannot break the page", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  UsageRecord record = a_record();
  record.model = "a\"\\\nb";
  ai.record(record, "acme", UsageOutcome::kOk);
  auto page = samples(metrics);
  CHECK(page[R"(kvcs_ai_requests_total{provider="openai",model="a\"\\\nb",outcome="ok",)"
             R"(organization="acme"})"] == "1");
}

TEST_CASE("ai metrics: a correction that gives money back lets no counter fall", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  ai.record(a_record(), "acme", UsageOutcome::kOk);
  UsageRecord record = a_record();
  record.cost_nano_usd = -5'000;
  record.tokens.input = -7;
  ai.record(record, "acme", UsageOutcome::kOk);
  auto page = samples(metrics);
  CHECK(page["kvcs_ai_cost_usd_total{" + std::string(kLabels) + "}"] == "3.9e-06");
  CHECK(page["kvcs_ai_tokens_total{" + std::string(kLabels) + ",kind=\"input\"}"] == "10");
}

TEST_CASE("ai metrics: beyond the limit of series all is counted as other", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  constexpr int kOrganizations = 1'500;
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < kOrganizations; i++) {
      ai.record(a_record(), "org-" + std::to_string(i),
                i % 2 == 0 ? UsageOutcome::kOk : UsageOutcome::kTimeout);
    }
  }
  auto page = samples(metrics);
  for (const char* name : {"kvcs_ai_requests_total{", "kvcs_ai_tokens_total{",
                           "kvcs_ai_cost_usd_total{", "kvcs_ai_first_token_seconds_count{"}) {
    INFO(name);
    const size_t count = count_starting(page, name);
    CHECK(count <= AiMetrics::kSeriesMax);
    CHECK(count > AiMetrics::kSeriesMax - 100);
  }
  // Nothing is lost.
  int64_t requests = 0, input = 0;
  for (const auto& [series, value] : page) {
    if (series.starts_with("kvcs_ai_requests_total{")) requests += std::stoll(value);
    if (series.starts_with("kvcs_ai_tokens_total{") &&
        series.find("kind=\"input\"") != std::string::npos) {
      input += std::stoll(value);
    }
  }
  CHECK(requests == 2 * kOrganizations);
  CHECK(input == 20 * kOrganizations);
  const std::string other = R"(provider="other",model="other",outcome="timeout",)"
                            R"(organization="other"})";
  CHECK(std::stoll("0" + page["kvcs_ai_requests_total{" + other]) > 400);
}

TEST_CASE("ai metrics: threads that count and print at once lose nothing", "[unit][ai]") {
  Metrics metrics;
  AiMetrics ai(metrics);
  constexpr int kThreads = 4, kRounds = 2'000;
  {
    std::vector<Thread> threads;
    for (int t = 0; t < kThreads; t++) {
      threads.emplace_back("count", [&ai] {
        for (int i = 0; i < kRounds; i++) {
          ai.record(a_record(), "org-" + std::to_string(i % 300), UsageOutcome::kOk);
        }
      });
    }
    for (int i = 0; i < 5; i++) CHECK_NOTHROW(samples(metrics));
  }
  int64_t requests = 0, output = 0;
  for (const auto& [series, value] : samples(metrics)) {
    if (series.starts_with("kvcs_ai_requests_total{")) requests += std::stoll(value);
    if (series.find("kind=\"output\"") != std::string::npos) output += std::stoll(value);
  }
  CHECK(requests == kThreads * kRounds);
  CHECK(output == 4 * kThreads * kRounds);
}
