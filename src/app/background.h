// What watches over the tool gateway in the background: refreshed tokens, canaries, alerts and the
// daily briefing; built from the parts below it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/status_api.h"
#include "briefing/briefing.h"
#include "gateway/catalogue/canaries.h"
#include "gateway/tokens/accounts_api.h"
#include "gateway/tokens/connect.h"
#include "gateway/tokens/refresher.h"
#include "gateway/tokens/token_watch.h"
#include "ledger/alerts.h"
#include "ops/cron.h"

namespace kvcs {

struct Parts;

// In the order of construction.
struct BackgroundParts {
  std::unique_ptr<Alerts> alerts;
  std::unique_ptr<gateway::Refresher> refresher;
  std::unique_ptr<gateway::AccountsApi> accounts_api;
  std::unique_ptr<gateway::ConnectApi> connect_api;
  std::unique_ptr<gateway::TokenWatch> watch;
  std::unique_ptr<gateway::Canaries> canaries;
  std::unique_ptr<briefing::DailyBriefing> briefing;
};

// Fills parts.background and gives the ledger its sink of alerts. After the gateway's parts.
void build_background(Parts& parts);
// Arms what has no alarm and starts the refresher; a store that fails is logged, the token health
// job arms later.
void start_background(Parts& parts);
void stop_background(Parts& parts);

TokenCounts token_counts(Parts& parts);
// What makes /health say "degraded" while every service is up.
std::vector<std::string> health_warnings(Parts& parts);
// An alert for a job that failed; never fails itself.
void report_job_run(Parts& parts, const JobRun& run);

// The bodies of jobs.
Result<std::string> snapshot_system_health(Parts& parts);
Result<std::string> snapshot_token_health(Parts& parts);
Result<std::string> ask_canaries(Parts& parts, const JobContext& context);
Result<std::string> refresh_tokens(Parts& parts);
Result<std::string> deliver_alerts(Parts& parts);

}  // namespace kvcs
