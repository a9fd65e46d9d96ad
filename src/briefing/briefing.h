// The daily briefing: what the last day shows and what to do about it, found by fixed rules,
// without a model. Same figures, same findings. Each finding becomes a row of decision_log
// (proposed, to be accepted, rejected or applied by an admin) and all of a day
// `briefing:{YYYY-MM-DD}`:
//   {"date", "generated_at", "totals": {…}, "findings": [{"id", "severity", "title", "subject",
//    "evidence", "suggested_action"}]}
// and, with a Summarizer, "summary", or "summary_error" when it failed. Evidence holds names,
// numbers and the words of failures, never a credential. find_findings is a pure function;
// Autoresearch gathers its figures and is used by one job.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "gateway/catalogue/providers.h"
#include "gateway/tokens/token_watch.h"
#include "gateway/tokens/tokens.h"
#include "http/route_rows.h"
#include "kv/kv.h"
#include "ledger/day_figures.h"
#include "ledger/ledger.h"

namespace kvcs::gateway {

inline constexpr int64_t kUnusedAfterMs = 30LL * 86'400'000;
inline constexpr size_t kFindingsMax = 200;
inline constexpr int64_t kBriefingKeptS = 400LL * 86'400;

struct ProviderHealth {
  std::string name, error;
  bool up = true;
  int64_t latency_ms = 0, usual_latency_ms = 0, failures = 0;
};
struct BudgetFigure {
  std::string organization, organization_id;
  int64_t budget_nano_usd = 0, spent_nano_usd = 0;
};
struct UnusedKey {
  std::string id, name, organization;
  int64_t created_ms = 0, last_used_ms = 0;  // 0 = never.
};
struct UnusedAccount {
  AccountId id;
  int64_t created_ms = 0, last_used_ms = 0;  // 0 = not known, never.
};
struct ResearchFigures {
  int64_t now_ms = 0;
  DayFigures digest;
  std::vector<AccountView> accounts;  // Troubled, or expiring within 7 days without a refresh.
  std::vector<ProviderHealth> providers;
  std::vector<BudgetFigure> budgets;
  std::vector<UnusedKey> unused_keys;
  std::vector<UnusedAccount> unused_accounts;
  std::map<std::string, bool> cached;  // Provider → does its record have a cache?
};

struct Finding {
  std::string id;        // The same for the same matter on the same day.
  std::string severity;  // "info", "warning", "critical"
  std::string title, subject;
  std::string evidence_json;
  std::string suggested_action;
};
// Worst first.
std::vector<Finding> find_findings(const ResearchFigures& figures);

// The worst findings as the briefing has them → a few sentences.
using Summarizer = std::function<Result<std::string>(const std::string& briefing_json)>;

class Autoresearch final {
 public:
  // All outlive it. `summarize` may be empty.
  Autoresearch(KvStore& kv, Ledger& ledger, const TokenStore& tokens, const Providers& providers,
               const Clock& clock, Summarizer summarize = {});
  // Writes the briefing and the decisions; the job's report.
  Result<std::string> run();
  // GET /admin/briefings/{date}; "latest" is today's or yesterday's.
  Result<http::Response> show(http::Request& request);
  // The row of show(), and the type that it answers.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

 private:
  Result<ResearchFigures> gather() const;
  void add_if_unused(const AccountView& view, ResearchFigures& figures) const;
  Status gather_accounts(ResearchFigures& figures) const;
  void gather_providers(ResearchFigures& figures) const;
  Status gather_organizations(ResearchFigures& figures) const;
  Status keep(const ResearchFigures& figures, const Json& briefing) const;

  KvStore& kv_;
  Ledger& ledger_;
  const TokenStore& tokens_;
  const Providers& providers_;
  const Clock& clock_;
  const Summarizer summarize_;
};

}  // namespace kvcs::gateway
