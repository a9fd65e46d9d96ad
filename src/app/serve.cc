// The daemon's main thread: signals, a look at the threads that must move, and systemd.
#include <signal.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "app/app.h"
#include "app/descriptors.h"
#include "app/start_notice.h"
#include "app/stop_limit.h"
#include "base/descriptor_room.h"
#include "base/log.h"

// jemalloc's own (its manual, "mallctl"); a build with another allocator has none.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old_value, size_t* old_size,
                                             void* new_value, size_t new_size);

namespace kvcs {
namespace {

// For what comes after the requests: jobs that stop at their next step, and the stores' last syncs.
constexpr int64_t kStopBeyondGraceMs = 10'000;

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, number);
  return set;
}

// How often systemd wants to hear from us, halved; 0: never.
int64_t watchdog_wait_ms() {
  uint64_t interval_us = 0;
  if (sd_watchdog_enabled(0, &interval_us) <= 0) return 0;
  return static_cast<int64_t>(interval_us / 2000);
}

// A configuration that is wrong is refused whole, and the daemon goes on as it was.
void reload(App& app, const std::function<LoadedConfig()>& reload_config) {
  sd_notify(0, "RELOADING=1");
  const LoadedConfig loaded = reload_config();
  if (!loaded.faults.empty()) {
    for (const std::string& fault : loaded.faults) {
      log::error("config.reload_refused", {{"fault", fault}});
    }
  } else if (Status status = app.reload(loaded.config); !status.ok()) {
    log::error("config.reload_failed", {{"error", status.to_string()}});
  } else {
    log::info("config.reloaded");
  }
  sd_notify(0, "READY=1");
}

// The allocator gives memory back while threads ask it for more. This has it do so by itself too,
// some ten seconds after a burst of requests that none follows; it goes on without where it cannot.
void give_back_memory_when_idle() {
  bool is_wanted = true;
  if (&mallctl == nullptr) return;
  if (mallctl("background_thread", nullptr, nullptr, &is_wanted, sizeof is_wanted) != 0) {
    log::warn("memory.not_given_back_when_idle");
  }
}

// Connections that could not be accepted are better refused, with a word, than left waiting.
Status fit_to_descriptors(Config& config) {
  http::ServerConfig& server = config.http.server;
  const int wanted = server.connections_max;
  if (!KVCS_TRY(
          fit_connections(server, config.upstream, config.kv.open_files_max, descriptor_limit())))
    return ok();
  log::warn("http.connections_lowered",
            {{"connections_max", server.connections_max},
             {"wanted", wanted},
             {"upstream_idle_max", config.upstream.connections_idle_max},
             {"descriptors", descriptor_limit()}});
  return ok();
}

}  // namespace

Status serve_until_signalled(Config config, const std::function<LoadedConfig()>& reload_config,
                             const std::function<void(const App&)>& on_ready) {
  const sigset_t signals = handled_signals();
  // Threads inherit the mask, so that these signals come to this thread only.
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return internal("pthread_sigmask failed");
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(0077);  // RocksDB and SQLite create files by it; they are the daemon's alone.
  log::Level level;
  if (log::parse_level(config.log.level, level)) log::set_level(level);
  (void)log::set_format(config.log.format);  // The configuration was validated.

  give_back_memory_when_idle();
  raise_descriptor_limit();
  KVCS_TRY(fit_to_descriptors(config));
  const int64_t stop_limit_ms = config.shutdown_grace_s * int64_t{1000} + kStopBeyondGraceMs;
  std::optional<StopLimit> stop_limit;  // Before the App, whose destruction may hang as well.
  std::optional<StartNotice> starting;
  if (std::getenv("NOTIFY_SOCKET") != nullptr) {
    starting.emplace([](const char* text) { sd_notify(0, text); });
  }
  std::unique_ptr<App> app = KVCS_TRY(App::create(std::move(config)));
  // What ends the daemon from within comes the way that a signal to stop it does.
  KVCS_TRY(app->start([] { ::kill(::getpid(), SIGTERM); }));
  starting.reset();
  sd_notify(0, "READY=1");
  on_ready(*app);
  const int64_t watchdog_ms = watchdog_wait_ms();
  const int64_t look_ms = app->stuck_interval_ms();
  const int64_t wait_ms = watchdog_ms > 0 ? std::min(watchdog_ms, look_ms) : look_ms;
  // systemd hears of the daemon only while this thread and all that is watched move. After that it
  // ends the daemon and starts it anew. Without a watchdog the log and the probes say it alone.
  for (;;) {
    const timespec wait{wait_ms / 1000, (wait_ms % 1000) * 1'000'000};
    const int number = sigtimedwait(&signals, nullptr, &wait);
    if (number == SIGHUP) reload(*app, reload_config);
    // Other programs' log rotation sends them, and their default would end the daemon.
    if (number == SIGUSR1 || number == SIGUSR2) log::info("signal.ignored", {{"signal", number}});
    if ((number == SIGTERM || number == SIGINT) && !app->failure().ok()) {
      log::error("server.failed", {{"error", app->failure().to_string()}});
      break;
    }
    if (number == SIGTERM || number == SIGINT) {
      log::info("server.stopping", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"}});
      break;
    }
    if (app->stuck().empty() && watchdog_ms > 0) sd_notify(0, "WATCHDOG=1");
  }
  sd_notify(0, "STOPPING=1");
  stop_limit.emplace(stop_limit_ms, [stop_limit_ms] { cut_off_stop(stop_limit_ms); });
  app->stop();
  return app->failure();
}

}  // namespace kvcs
