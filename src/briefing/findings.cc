// The rules of the briefing, one function per kind of finding: pure functions from the figures to
// findings, without a clock or a store, so that a test can name every case.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/money.h"
#include "briefing/briefing.h"
#include "gateway/tokens/refresher.h"

namespace kvcs::briefing {
namespace {

// Below these figures a finding would be noise: the briefing is read by a person each morning.
constexpr int64_t kErrorsWorthTelling = 5;
constexpr int64_t kErrorsCritical = 1000;
constexpr int64_t kRateLimitedWorthTelling = 20;
constexpr int64_t kCacheReadsWorthTelling = 10;
constexpr int64_t kSlowerFactor = 2;
constexpr int64_t kSlowerWorthTellingMs = 200;
constexpr int64_t kRequestsWorthComparing = 20;
constexpr int64_t kDayMs = 86'400'000;

// Takes findings in any order and gives them worst first. The id is a hash of day, kind and
// subject: a run that is repeated on the same day writes the same rows.
class Collector final {
 public:
  explicit Collector(const Figures& figures) : day_(format_day(figures.now_ms)) {}
  void add(std::string_view kind, std::string severity, std::string title, std::string subject,
           const Json& evidence, std::string action) {
    Finding finding;
    finding.id = sha256_hex(day_ + "\n" + std::string(kind) + "\n" + subject).substr(0, 32);
    finding.severity = std::move(severity);
    finding.title = std::move(title);
    finding.subject = std::move(subject);
    finding.evidence_json = dump_json(evidence);
    finding.suggested_action = std::move(action);
    findings_.push_back(std::move(finding));
  }
  std::vector<Finding> take() {
    const auto rank = [](const Finding& f) {
      return f.severity == "critical" ? 0 : f.severity == "warning" ? 1 : 2;
    };
    std::stable_sort(findings_.begin(), findings_.end(),
                     [&](const Finding& a, const Finding& b) { return rank(a) < rank(b); });
    if (findings_.size() > kFindingsMax) findings_.resize(kFindingsMax);
    return std::move(findings_);
  }

 private:
  const std::string day_;
  std::vector<Finding> findings_;
};

// Errors of one code at one provider: critical by their number, a warning when they doubled.
void find_errors(const Figures& figures, Collector& out) {
  for (const ErrorGroup& group : figures.digest.error_groups) {
    if (group.count < kErrorsWorthTelling) continue;
    const bool doubled = group.count >= 2 * std::max<int64_t>(group.count_before, 1);
    const bool critical = group.count >= kErrorsCritical;
    const std::string subject =
        (group.provider.empty() ? "gateway" : group.provider) + "/" + group.code;
    Json evidence{{"last_24h", group.count},
                  {"day_before", group.count_before},
                  {"example_request_id", group.example_request_id}};
    if (!group.example_message.empty()) {
      evidence["example"] = printable(group.example_message, kShownText);
    }
    out.add("errors",
            critical  ? "critical"
            : doubled ? "warning"
                      : "info",
            counted(group.count, "request") + " failed with " + group.code +
                (group.provider.empty() ? "" : " at " + group.provider),
            subject, evidence,
            "Look at GET /admin/errors?provider=" + group.provider + "&code=" + group.code +
                " and mend what they name; one is ?request_id=" + group.example_request_id + ".");
  }
}

// Accounts that cannot be used, or soon cannot. The figures hold only such accounts, so that the
// last branch is the credential that expires within a week.
void find_accounts(const Figures& figures, Collector& out) {
  const int64_t now_s = figures.now_ms / 1000;
  for (const gateway::AccountView& view : figures.accounts) {
    const std::string subject = view.id.tenant + "/" + view.id.provider + "/" + view.id.account;
    const Json evidence = {
        {"state", gateway::token_state_name(view.health.state)},
        {"expires_at",
         view.expires_at_s == 0 ? Json(nullptr) : Json(format_iso8601_s(view.expires_at_s * 1000))},
        {"failures", view.health.failures},
        {"last_error", printable(view.health.last_error, kShownText)}};
    const std::string connect = "Make a consent link with POST /admin/tenants/" + view.id.tenant +
                                "/providers/" + view.id.provider +
                                "/connect, or replace the credential.";
    if (view.health.state == gateway::TokenState::kReauthRequired) {
      out.add("reauth", "critical", "An account needs consent", subject, evidence, connect);
    } else if (view.health.state == gateway::TokenState::kRetrying) {
      out.add("refresh", "warning", "An account's token cannot be refreshed", subject, evidence,
              "See last_error; the refresh is tried again by itself until a day after the expiry.");
    } else if (view.expires_at_s != 0 && view.expires_at_s <= now_s) {
      out.add("expired", "critical", "An account's credential has expired", subject, evidence,
              connect);
    } else {
      out.add("expiring", "warning", "A credential expires within a week and nothing renews it",
              subject, evidence,
              "Replace it in time with PUT /admin/tenants/" + view.id.tenant + "/providers/" +
                  view.id.provider + "/accounts/" + view.id.account + ".");
    }
  }
}

// Providers of tools by their canaries, and models by the mean latency of their requests.
void find_providers(const Figures& figures, Collector& out) {
  for (const ProviderHealth& health : figures.providers) {
    const Json evidence = {{"latency_ms", health.latency_ms},
                           {"usual_latency_ms", health.usual_latency_ms},
                           {"failures", health.failures},
                           {"error", health.error}};
    const bool slower = health.latency_ms > kSlowerFactor * health.usual_latency_ms &&
                        health.latency_ms - health.usual_latency_ms > kSlowerWorthTellingMs;
    if (!health.up) {
      out.add("down", "critical", "The provider's canary fails", health.name, evidence,
              "Check the provider's status page and the canary of its record.");
    } else if (slower) {
      out.add("slow", "warning", "The provider is slower than usual", health.name, evidence,
              "Watch it; raise timeout_ms of its record if calls run into the limit.");
    }
  }
  for (const LatencyGroup& group : figures.digest.latency_groups) {
    const bool comparable = group.requests >= kRequestsWorthComparing && group.mean_before_ms > 0;
    const bool slower = group.mean_ms > kSlowerFactor * group.mean_before_ms &&
                        group.mean_ms - group.mean_before_ms > kSlowerWorthTellingMs;
    if (!comparable || !slower) continue;
    out.add("model_slow", "warning", "A model is slower than in the week before",
            group.provider + "/" + group.model,
            Json{{"requests", group.requests},
                 {"mean_ms", group.mean_ms},
                 {"mean_before_ms", group.mean_before_ms}},
            "Compare with the provider's status; move traffic to another model if it lasts.");
  }
}

// Refusals for rate, by whose limit it was; and reads among them that a cache would have answered.
void find_rates(const Figures& figures, Collector& out) {
  std::map<std::string, int64_t> reads;
  for (const RateGroup& group : figures.digest.rate_groups) {
    reads[group.provider] += group.reads;
    if (group.count < kRateLimitedWorthTelling) continue;
    out.add("rate", "warning", "A tenant runs into rate limits",
            group.tenant + (group.provider.empty() ? "" : "/" + group.provider),
            Json{{"refused", group.count}, {"by_provider", group.upstream}},
            group.upstream * 2 > group.count
                ? "Slow the agent down, or ask the provider for a higher limit."
                : "Slow the agent down, or raise limits.requests_per_minute of the tenant.");
  }
  for (const auto& [provider, count] : reads) {
    const auto cached = figures.cached.find(provider);
    const bool has_cache = cached == figures.cached.end() || cached->second;
    if (provider.empty() || has_cache || count < kCacheReadsWorthTelling) continue;
    out.add("cache", "info", "Reads that the provider refuses could come from the cache", provider,
            Json{{"refused_reads", count}},
            "Set cache.ttl_s in the provider's record, if answers may be that old.");
  }
}

// Projects the spending of the month so far, evenly, to the month's end. Days are UTC.
void find_budgets(const Figures& figures, Collector& out) {
  const std::string month = format_month(figures.now_ms);
  const Result<int64_t> start_ms = parse_iso8601_ms(month + "-01");
  if (!start_ms.ok()) return;
  // 32 days after the first day of a month its successor has begun and has not ended.
  const int64_t next_month_ms = start_ms.value() + 32 * kDayMs;
  const Result<int64_t> end_ms = parse_iso8601_ms(format_month(next_month_ms) + "-01");
  if (!end_ms.ok()) return;
  const double elapsed = static_cast<double>(figures.now_ms - start_ms.value());
  const double whole = static_cast<double>(end_ms.value() - start_ms.value());
  for (const BudgetFigure& budget : figures.budgets) {
    if (budget.budget_nano_usd <= 0 || budget.spent_nano_usd <= 0 || elapsed <= 0) continue;
    const double projected = static_cast<double>(budget.spent_nano_usd) * whole / elapsed;
    if (projected <= static_cast<double>(budget.budget_nano_usd)) continue;
    const bool spent = budget.spent_nano_usd >= budget.budget_nano_usd;
    const double share = static_cast<double>(budget.budget_nano_usd) / projected;
    const auto out_ms = start_ms.value() + static_cast<int64_t>(share * whole);
    out.add("budget", spent ? "critical" : "warning",
            spent ? "A budget is used up" : "A budget will not last until the end of the month",
            budget.organization,
            Json{{"budget_usd", format_usd_fixed(budget.budget_nano_usd, 2)},
                 {"spent_usd", format_usd_fixed(budget.spent_nano_usd, 2)},
                 {"projected_usd", format_usd_fixed(static_cast<int64_t>(projected), 2)},
                 {"lasts_until", format_day(out_ms)}},
            "Raise monthly_budget of the organization, or lower limits of its users.");
  }
}

Json time_or_null(int64_t unix_ms) {
  return unix_ms == 0 ? Json(nullptr) : Json(format_iso8601_s(unix_ms));
}

void find_unused(const Figures& figures, Collector& out) {
  for (const UnusedKey& key : figures.unused_keys) {
    out.add("unused_key", "info", "A key has not been used for 30 days", key.id,
            Json{{"name", key.name},
                 {"organization", key.organization},
                 {"created_at", format_iso8601_s(key.created_ms)},
                 {"last_used_at", time_or_null(key.last_used_ms)}},
            "Revoke it if nobody needs it.");
  }
  for (const UnusedAccount& account : figures.unused_accounts) {
    const gateway::AccountId& id = account.id;
    out.add("unused_account", "info", "An account has not been used for 30 days",
            id.tenant + "/" + id.provider + "/" + id.account,
            Json{{"created_at", time_or_null(account.created_ms)},
                 {"last_used_at", time_or_null(account.last_used_ms)}},
            "Remove it if nobody needs it: DELETE /admin/tenants/" + id.tenant + "/providers/" +
                id.provider + "/accounts/" + id.account + ".");
  }
}

// Jobs of the daemon itself that failed within the day.
void find_jobs(const Figures& figures, Collector& out) {
  for (const JobGroup& group : figures.digest.job_groups) {
    out.add("job", "warning", "A scheduled job fails", group.job,
            Json{{"failures", group.failures},
                 {"last_result", printable(group.last_result, kShownText)}},
            "See GET /admin/job-runs?job=" + group.job + "; run it again with POST /admin/jobs/" +
                group.job + "/run.");
  }
}

}  // namespace

std::vector<Finding> find_findings(const Figures& figures) {
  Collector out(figures);
  find_errors(figures, out);
  find_accounts(figures, out);
  find_providers(figures, out);
  find_rates(figures, out);
  find_budgets(figures, out);
  find_unused(figures, out);
  find_jobs(figures, out);
  return out.take();
}

}  // namespace kvcs::briefing
