// The daily briefing: what the last day shows of tool calls and model calls (not of artifacts) and
// what to do about it, found by fixed rules, without a model. The same figures always make the same
// findings. Each finding becomes a row of decision_log (proposed, to be accepted, rejected or
// applied by an admin), and all findings of a day become the record `briefing:{YYYY-MM-DD}`:
//   {"date", "generated_at", "totals": {…}, "findings": [{"id", "severity", "title", "subject",
//    "evidence", "suggested_action"}]}
// and, with a Summarizer, "summary", or "summary_error" when it failed. Evidence holds names,
// numbers and the words of failures, never a credential.
//
// The job that runs it is called "autoresearch", and so is the kind of its rows in decision_log:
// those words are in stored records and in the API, and stay. find_findings is a pure function;
// DailyBriefing gathers the figures, is owned by App and runs on the thread of its job.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/tokens/token_watch.h"
#include "gateway/tokens/tokens.h"
#include "http/route_rows.h"
#include "kv/kv.h"
#include "ledger/day_figures.h"
#include "ledger/ledger.h"

namespace kvcs::briefing {

inline constexpr int64_t kUnusedAfterMs = 30LL * 86'400'000;  // Of keys and accounts.
inline constexpr size_t kFindingsMax = 200;                   // The worst ones stay.
inline constexpr int64_t kBriefingKeptS = 400LL * 86'400;

// The last result of the canaries for a provider (gateway/catalogue/canaries.h).
struct ProviderHealth {
  std::string name, error;
  bool up = true;
  int64_t latency_ms = 0, usual_latency_ms = 0, failures = 0;
};
// The budget of an organization and what it has spent of it since the month began (UTC).
struct BudgetFigure {
  std::string organization, organization_id;
  int64_t budget_nano_usd = 0, spent_nano_usd = 0;
};
struct UnusedKey {
  std::string id, name, organization;
  int64_t created_ms = 0, last_used_ms = 0;  // 0 = never.
};
struct UnusedAccount {
  gateway::AccountId id;
  int64_t created_ms = 0, last_used_ms = 0;  // 0 = not known, never.
};
// Everything that the rules look at. The lists are bounded where they are gathered.
struct Figures {
  int64_t now_ms = 0;
  DayFigures digest;
  // Troubled, or expiring within 7 days without a refresh.
  std::vector<gateway::AccountView> accounts;
  std::vector<ProviderHealth> providers;
  std::vector<BudgetFigure> budgets;
  std::vector<UnusedKey> unused_keys;
  std::vector<UnusedAccount> unused_accounts;
  std::map<std::string, bool> cached;  // By provider: its record has a cache.
};

struct Finding {
  std::string id;        // The same for the same matter on the same day.
  std::string severity;  // "info", "warning", "critical"
  std::string title, subject;
  std::string evidence_json;
  std::string suggested_action;
};
// Worst first.
std::vector<Finding> find_findings(const Figures& figures);

// The worst findings as the briefing has them → a few sentences.
using Summarizer = std::function<Result<std::string>(const std::string& briefing_json)>;

class DailyBriefing final {
 public:
  // All outlive it. `summarize` may be empty.
  DailyBriefing(KvStore& kv, Ledger& ledger, const gateway::TokenStore& tokens,
                const gateway::ProviderDirectory& providers, const Clock& clock,
                Summarizer summarize = {});
  // Writes the briefing and the decisions; the job's report.
  Result<std::string> run();
  // GET /admin/briefings/{date}; "latest" is today's or yesterday's.
  Result<http::Response> show(http::Request& request);
  // The row of show(), and the type that it answers.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

 private:
  Result<Figures> gather() const;
  void add_if_unused(const gateway::AccountView& view, Figures& figures) const;
  Status gather_accounts(Figures& figures) const;
  void gather_providers(Figures& figures) const;
  Status gather_organizations(Figures& figures) const;
  Status keep(const Figures& figures, const Json& briefing) const;

  KvStore& kv_;
  Ledger& ledger_;
  const gateway::TokenStore& tokens_;
  const gateway::ProviderDirectory& providers_;
  const Clock& clock_;
  const Summarizer summarize_;
};

}  // namespace kvcs::briefing
