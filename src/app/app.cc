// The life of the daemon: everything is built in the order of dependency, started from the bottom
// up, and stopped so that what is in flight ends before what it needs. One thread calls.
#include "app/app.h"

#include <unistd.h>

#include <optional>

#include "ai/budget/budget.h"
#include "ai/prices/pricing.h"
#include "app/build.h"
#include "app/certificate_watch.h"
#include "app/clock_file.h"
#include "app/config_api.h"
#include "app/first_start.h"
#include "app/master_keys.h"
#include "app/metrics_history.h"
#include "app/owner_deletion.h"
#include "app/parts.h"
#include "app/plan_limits.h"
#include "app/secret_binding.h"
#include "app/shipped_files.h"
#include "app/status_api.h"
#include "app/wal_syncer.h"
#include "artifacts/artifacts.h"
#include "base/build_info.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/kept_clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "gateway/call/call_counts.h"
#include "gateway/tokens/refresher.h"
#include "gateway/tokens/tokens.h"
#include "http/serve/server.h"
#include "identity/adopted_tokens.h"
#include "identity/identity.h"
#include "identity/keys.h"
#include "identity/orgs.h"
#include "identity/projects.h"
#include "ledger/ledger.h"
#include "ops/cron.h"
#include "ops/heartbeats.h"

namespace kvcs {
namespace {

// Prices and the provider catalogue. Reading them takes longer than all else at a start but the
// syncs of new stores, and needs nothing of those, so that a thread does it meanwhile.
struct ShippedFiles {
  explicit ShippedFiles(Parts& parts) {
    parts.ai.pricing = std::make_unique<ai::Pricing>(parts.clock());
    thread.emplace("start-files", [this, &parts] {
      prices = load_prices(parts.config, *parts.ai.pricing);
      catalogue = read_catalogue(parts.config);
    });
  }
  // Then `catalogue` may be used.
  Status wait() {
    thread.reset();
    return prices;
  }

  Status prices;
  Result<gateway::Catalogue> catalogue = internal("not read");
  std::optional<Thread> thread;  // Last: joined before the rest goes.
};

Status build_all(Parts& parts) {
  parts.system_clock = make_system_clock();
  ShippedFiles files(parts);
  KVCS_TRY(build_plans(parts));
  KVCS_TRY(build_stores(parts));
  KVCS_TRY(build_identity(parts));
  build_artifacts(parts);
  KVCS_TRY(files.wait());
  KVCS_TRY(build_ai(parts));
  gateway::Catalogue catalogue = KVCS_TRY(std::move(files.catalogue));
  KVCS_TRY(build_gateway(parts, std::move(catalogue)));
  KVCS_TRY(build_portal(parts));
  KVCS_TRY(bind_secrets(parts));
  KVCS_TRY(build_operations(parts));
  return build_server(parts);
}

// A store that fails here is only logged: the job token-health arms later, and leases end by time.
void start_refresher(gateway::Refresher& refresher) {
  // The lock of the data directory says that nobody else refreshes.
  const Result<int64_t> leases = refresher.take_leases_back();
  if (!leases.ok()) log::warn("refresher.leases_failed", {{"error", leases.status().to_string()}});
  const Result<int64_t> armed = refresher.rearm();
  if (!armed.ok()) log::warn("refresher.rearm_failed", {{"error", armed.status().to_string()}});
  refresher.start();
}

// A store that fails here is only logged: such bearers work as they are, and the next start tries.
void adopt_tokens(const TokenAdoption& adoption) {
  const Result<int64_t> adopted = adoption.adopt_stored({"adoption", "start", ""});
  if (!adopted.ok()) {
    log::warn("tokens.adoption_failed", {{"error", adopted.status().to_string()}});
  } else if (adopted.value() > 0) {
    log::info("tokens.adopted", {{"count", adopted.value()}});
  }
}

// A disk that fails here is only logged: the sweep tries again.
void finish_removals(ArtifactService& artifacts) {
  const Result<size_t> finished = artifacts.finish_removals();
  if (!finished.ok()) {
    log::warn("artifacts.removals_failed", {{"error", finished.status().to_string()}});
  } else if (*finished > 0) {
    log::info("artifacts.removals_finished", {{"count", static_cast<int64_t>(*finished)}});
  }
}

// Such a name works as before, and cannot be given to anybody anew.
void tell_of_reserved_slugs(const Parts& parts) {
  const std::vector<std::string> words(parts.reserved_slugs.begin(), parts.reserved_slugs.end());
  const Result<std::vector<std::string>> taken = parts.organizations->find_reserved(words);
  if (!taken.ok()) log::warn("slugs.not_checked", {{"error", taken.status().to_string()}});
  for (const std::string& slug : taken.ok() ? *taken : std::vector<std::string>()) {
    log::warn("organization.slug_reserved",
              {{"slug", slug},
               {"hint",
                "The API's own paths use this word by now. The organization goes on under "
                "it; rename it, so that nobody mistakes the one for the other."}});
  }
}

Status start_ops(http::Server& server) {
  Status started = server.start();
  if (!started.ok()) return std::move(started).with_context("ops.listen");
  log::info("ops.ready", {{"port", server.port()}});
  return ok();
}

}  // namespace

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
App::~App() {
  stop();
}

Result<std::unique_ptr<App>> App::create(Config config) {
  return create(std::move(config), AppOptions{});
}

Result<std::unique_ptr<App>> App::create(Config config, AppOptions options) {
  auto parts = std::make_unique<Parts>();
  parts->config = std::move(config);
  parts->options = std::move(options);
  KVCS_TRY(damage_in_words(*parts, build_all(*parts)));
  return std::unique_ptr<App>(new App(std::move(parts)));
}

// The order matters. The syncer and the ledger's mover come first, since requests write through
// them; then the server, whose address the first start puts into its file; background work last,
// when there is something to work on. /readyz says 200 once all of it runs.
Status App::start(std::function<void()> on_failure) {
  Parts& p = *parts_;
  running_ = true;
  p.on_server_failed = [this, on_failure = std::move(on_failure)](const Status& why) {
    parts_->status_api->set_ready(false);
    {
      const MutexLock lock(failure_mutex_);
      failure_ = why;
    }
    if (on_failure) on_failure();
  };
  p.syncer->start();
  p.ledger->start();
  p.ai.budgets->start([ledger = p.ledger.get()] { ledger->notify(); });
  adopt_tokens(*p.token_adoption);
  const int64_t deletions = p.deletions->resume();
  finish_removals(*p.artifacts.service);
  if (p.ops_server) KVCS_TRY(start_ops(*p.ops_server));
  KVCS_TRY(p.server->bind());
  const FirstStartServices first{*p.kv,   *p.audited, *p.organizations,      *p.projects,
                                 *p.keys, *p.entropy, p.kept_clock->latest()};
  Result<bool> ensured = ensure_first_start(first, p.config.data_dir, url());
  if (!ensured.ok()) return damage_in_words(p, std::move(ensured).status());
  first_start_ = *ensured;
  if (first_start_) {
    log::info("first_start.credentials_written",
              {{"path", initial_credentials_path(p.config.data_dir)}});
  }
  p.seeded_keys->make_all();
  // Who finds the server answering finds the keys of the first start working.
  KVCS_TRY(p.server->start());
  tell_of_reserved_slugs(p);
  start_refresher(*p.gateway.refresher);
  p.cron->start();
  p.metrics_history->start();
  tell_of_certificate(p);
  if (deletions > 0) (void)p.cron->run_now(kDeletionJob);
  p.status_api->set_ready(true);
  log::info("server.ready", {{"url", url()},
                             {"version", version()},
                             {"pid", static_cast<int64_t>(::getpid())},
                             {"data_dir", p.config.data_dir}});
  return ok();
}

// From the outside in: no new requests, those in flight end, then what they left is written.
// Objects go with Parts afterwards, in the reverse order of their construction.
void App::stop() {
  if (!running_) return;
  running_ = false;
  Parts& p = *parts_;
  p.status_api->set_ready(false);
  // Requests in flight are waited for. What is durable already is not: neither here nor in them.
  p.ledger->stop_soon();
  p.deletions->stop();
  p.metrics_history->stop();
  p.server->stop(p.config.shutdown_grace_s * 1000);
  p.cron->stop();
  p.gateway.refresher->stop();
  for (const Status& flushed : {p.auth->flush_last_used(), p.gateway.tokens->flush_used(),
                                p.gateway.calls->flush(), p.artifacts.service->flush_downloads()}) {
    if (!flushed.ok()) log::warn("last_used.flush_failed", {{"error", flushed.to_string()}});
  }
  if (Status kept = keep_clock(p.config.data_dir, *p.kept_clock); !kept.ok()) {
    log::warn("clock.not_kept", {{"error", kept.to_string()}});
  }
  // Records that are still in the outbox move to SQL now, or, beyond a few batches, at the next
  // start.
  const Status drained = p.ledger->drain();
  if (drained.code() == Code::kTimeout) {
    log::info("ledger.left_in_outbox", {{"reason", drained.message()}});
  } else if (!drained.ok()) {
    log::warn("ledger.drain_failed", {{"error", drained.to_string()}});
  }
  p.syncer->stop();
  if (p.ops_server) p.ops_server->stop(0);
  log::info("server.stopped");
}

// Log level, master keys, prices, plans and TLS files; whatever else has changed needs a restart.
// A file that is faulty keeps what it said before, and no other from being read.
Status App::reload(const Config& fresh) {
  log::Level level;
  if (log::parse_level(fresh.log.level, level)) log::set_level(level);
  parts_->config_api->note_log_level(fresh);
  const bool has_tls = !parts_->config.http.server.tls.certificate_path.empty();
  const Status tls = has_tls ? parts_->server->reload_tls() : ok();
  if (has_tls && tls.ok()) tell_of_certificate(*parts_);
  Status first;
  for (const Status& read :
       {parts_->master_keys->read_again(), load_prices(parts_->config, *parts_->ai.pricing),
        reload_plans(*parts_), tls}) {
    if (read.ok()) continue;
    if (!first.ok()) log::error("config.reload_failed", {{"error", read.to_string()}});
    if (first.ok()) first = read;
  }
  return first;
}

std::vector<std::string> App::stuck() {
  return parts_->heartbeats->look();
}
int64_t App::stuck_interval_ms() const {
  return parts_->heartbeats->interval_ms();
}

Status App::failure() const {
  const MutexLock lock(failure_mutex_);
  return failure_;
}

int App::port() const {
  return parts_->server->port();
}
int App::ops_port() const {
  return parts_->ops_server ? parts_->ops_server->port() : 0;
}
std::string App::url() const {
  return parts_->public_url();
}

}  // namespace kvcs
