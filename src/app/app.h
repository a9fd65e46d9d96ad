// The composition root: builds every object of the daemon in dependency order (app/parts.h),
// serves, and takes it down again. `kvcs serve` and the tests use the same class.
//
// create(), start(), stop() are called by one thread.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/mutex.h"
#include "base/status.h"

namespace kvcs {

struct AppOptions;
struct Parts;

class App final {
 public:
  // Opens the data directory and everything in it; nothing serves yet. Conflict naming the pid when
  // another daemon uses the directory; the failure of whichever part could not be built.
  static Result<std::unique_ptr<App>> create(Config config);
  // With what tests replace.
  static Result<std::unique_ptr<App>> create(Config config, AppOptions options);
  ~App();  // stop()

  // Binds, finishes the first start, starts jobs. Conflict when the address is in use. `on_failure`
  // is called, on some thread, when the app can no longer serve: failure() says why, and its owner
  // should stop it.
  Status start(std::function<void()> on_failure = nullptr);
  Status failure() const;
  // Threads that are stuck (ops/heartbeats.h), which the log says as well; ask again after so long.
  std::vector<std::string> stuck();
  int64_t stuck_interval_ms() const;
  // Stops accepting, lets requests in flight finish up to shutdown_grace_s, flushes.
  void stop();
  // TLS certificates and what else may change while running (log level).
  Status reload(const Config& fresh);

  int port() const;         // After start().
  int ops_port() const;     // 0 without ops.listen. After start().
  std::string url() const;  // After start().
  bool first_start() const { return first_start_; }
  Parts& parts() { return *parts_; }

 private:
  explicit App(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
  bool first_start_ = false;
  bool running_ = false;
  mutable Mutex failure_mutex_;
  Status failure_ KVCS_GUARDED_BY(failure_mutex_);
};

// Serves until SIGTERM or SIGINT, or until the app cannot serve any more, and returns why. SIGHUP
// calls `reload_config` and reloads. Tells systemd (READY, RELOADING, STOPPING, and WATCHDOG while
// no thread is stuck). Call before any thread exists, since it blocks those signals. `on_ready` is
// called once the daemon serves.
Status serve_until_signalled(Config config, const std::function<LoadedConfig()>& reload_config,
                             const std::function<void(const App&)>& on_ready);

}  // namespace kvcs
