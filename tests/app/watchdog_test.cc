// Goal: systemd hears that the daemon lives only while the threads move that it cannot do without,
// and people hear which one does not. Method: loops that are held for real, by a job, a store or a
// disk that does not come back; the test is systemd.
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <future>
#include <thread>

#include "db/db.h"
#include "support/env.h"
#include "support/fault_house.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

bool runs_as(const char* thread_name) {
  char name[16] = "";
  return ::pthread_getname_np(::pthread_self(), name, sizeof name) == 0 &&
         std::string_view(name) == thread_name;
}

// What the daemon tells its service manager.
class NotifySocket final {
 public:
  explicit NotifySocket(const std::string& path) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    reader_ = std::thread([this] { read(); });
  }
  ~NotifySocket() {
    stopping_ = true;
    reader_.join();
    ::close(socket_);
  }
  int fed() const { return fed_; }
  // What came so far, a message a line or more.
  std::string said() const {
    const MutexLock lock(mutex_);
    return said_;
  }
  bool is_fed() const {
    const int before = fed_;
    return comes_true([&] { return fed_ > before; });
  }

 private:
  // All the time, since a socket that is full would hold the daemon's main thread.
  void read() {
    while (!stopping_) {
      pollfd entry = {socket_, POLLIN, 0};
      if (::poll(&entry, 1, 50) <= 0) continue;
      char words[4096];
      const ssize_t size = ::recv(socket_, words, sizeof words, 0);
      if (size <= 0) continue;
      const std::string text(words, static_cast<size_t>(size));
      if (has(text, "WATCHDOG=1")) fed_++;
      const MutexLock lock(mutex_);
      said_ += text + "\n";
    }
  }

  int socket_;
  mutable Mutex mutex_;
  std::string said_ KVCS_GUARDED_BY(mutex_);
  std::atomic<int> fed_{0};
  std::atomic<bool> stopping_{false};
  std::thread reader_;
};

// Stops whoever comes, until it is opened.
class Barrier final {
 public:
  void close() { set(true); }
  void open() { set(false); }
  void pass() {
    MutexLock lock(mutex_);
    while (closed_) changed_.wait(mutex_);
  }
  ~Barrier() { open(); }

 private:
  void set(bool closed) {
    MutexLock lock(mutex_);
    closed_ = closed;
    changed_.notify_all();
  }
  Mutex mutex_;
  CondVar changed_;
  bool closed_ KVCS_GUARDED_BY(mutex_) = false;
};

void soon(Config& config) {
  config.ops.stuck_after_s = 1;
  config.ops.listen = "127.0.0.1:0";
}

// All that the daemon says about a loop that is stuck, and that it says so no more afterwards.
void check_told(TestApp& app, const std::string& name, const std::function<void()>& release) {
  INFO(name);
  const int ops = app.app().ops_port();
  CHECK(comes_true([&] { return fetch(ops, "GET", "/readyz").body == "stuck: " + name + "\n"; }));
  CHECK(fetch(ops, "GET", "/readyz").status == 503);
  CHECK(app.app().stuck() == std::vector<std::string>{name});
  const RawResponse health = fetch(ops, "GET", "/health");
  CHECK(health.status == 503);
  CHECK(json_text(health.body, "status") == "unhealthy");
  CHECK(has(health.body, "\"stuck\":[\"" + name + "\"]"));
  CHECK(has(fetch(ops, "GET", "/metrics").body, "\nkvcs_stuck_threads 1\n"));
  CHECK(fetch(ops, "GET", "/livez").status == 200);
  release();
  CHECK(comes_true([&] { return fetch(ops, "GET", "/health").status == 200; }));
  CHECK(has(fetch(ops, "GET", "/health").body, "\"stuck\":[]"));
  CHECK(fetch(ops, "GET", "/readyz").status == 200);
  CHECK(has(fetch(ops, "GET", "/metrics").body, "\nkvcs_stuck_threads 0\n"));
}

}  // namespace

TEST_CASE("watchdog: a database writer that does not come back from a job is named",
          "[integration][app]") {
  TestApp app(soon);
  for (DbWriter* writer : {app.parts().portal_writer.get(), app.parts().ledger_writer.get()}) {
    const bool is_portal = writer == app.parts().portal_writer.get();
    Barrier barrier;
    barrier.close();
    std::thread caller([&] {
      (void)writer->run([&](Database&) {
        barrier.pass();
        return ok();
      });
    });
    check_told(app, is_portal ? "portal-writer" : "ledger-writer", [&] { barrier.open(); });
    caller.join();
  }
}

TEST_CASE("watchdog: a store that holds the sync of its log, or the outbox, is seen at who waits",
          "[integration][app]") {
  Barrier sync, outbox;
  AppOptions options;
  options.kv_faults = [&](std::string_view operation, std::string_view) {
    if (operation == "sync") sync.pass();
    if (operation == "scan" && runs_as("ledger")) outbox.pass();
    return ok();
  };
  TestApp app(soon, options);
  outbox.close();
  check_told(app, "ledger", [&] { outbox.open(); });
  KvBatch batch;
  batch.put(KvFamily::kSystem, "watchdog", "1");
  sync.close();
  REQUIRE(app.parts().kv->write(batch, KvDurability::kBuffered).ok());
  check_told(app, "wal-syncer", [&] { sync.open(); });
}

TEST_CASE("watchdog: a pool whose workers all stay in requests is stuck when others wait",
          "[integration][app]") {
  Barrier barrier;
  AppOptions options;
  options.kv_faults = [&](std::string_view operation, std::string_view key) {
    if (operation == "get" && key == "held") barrier.pass();
    return ok();
  };
  TestApp app(
      [](Config& config) {
        soon(config);
        config.http.server.workers_min = 1;
        config.http.server.workers_max = 2;
      },
      options);
  barrier.close();
  const std::string bearer = "Bearer " + app.credential("admin_key");
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; i++) {
    clients.emplace_back([&] {
      (void)fetch(app.port(), "GET", "/admin/kv/config/values/held", {{"Authorization", bearer}});
    });
  }
  check_told(app, "http-workers", [&] { barrier.open(); });
  for (std::thread& client : clients) client.join();
}

TEST_CASE("watchdog: systemd is asked for time while the daemon starts, and not afterwards",
          "[e2e][app]") {
  TempDir dir;
  NotifySocket systemd(dir.file("notify"));
  const Env socket("NOTIFY_SOCKET", dir.file("notify"));
  const Env interval("WATCHDOG_USEC", "200000");
  Daemon daemon({"serve", "--data-dir", dir.file("data"), "--listen", "127.0.0.1:0"},
                dir.file("log"));
  REQUIRE(daemon.wait_until_ready() > 0);
  CHECK(systemd.is_fed());  // What came before has been read.
  const std::string said = systemd.said();
  INFO(said);
  const size_t asked = said.rfind("EXTEND_TIMEOUT_USEC=35000000"), ready = said.find("READY=1");
  REQUIRE(asked != std::string::npos);
  REQUIRE(ready != std::string::npos);
  CHECK(asked < ready);
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
}

// A sanitizer's runtime must be loaded before any other library.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

TEST_CASE("watchdog: systemd is fed until a disk holds a writer, and again when it comes back",
          "[fault][disk]") {
  TempDir dir;
  NotifySocket systemd(dir.file("notify"));
  const Env socket("NOTIFY_SOCKET", dir.file("notify"));
  const Env interval("WATCHDOG_USEC", "200000");
  FaultHouse house("/sql/ledger.db", "ops:\n  stuck_after_s: 1\n");
  CHECK(systemd.is_fed());
  house.fault().begin(FAULT_SYNC, FAULT_HANG);
  // The change itself is in the other store; its audit waits for the writer that hangs.
  CHECK(house.put_value().status == 204);
  REQUIRE(house.daemon().wait_for_log("\"watchdog.stuck\""));
  CHECK(has(house.log(), "\"threads\":\"ledger-writer\""));
  CHECK(house.lives());
  CHECK(house.put_value().status == 204);
  CHECK(has(house.health(), "\"stuck\":[\"ledger-writer\"]"));
  const int before = systemd.fed();
  CHECK_FALSE(comes_true([&] { return systemd.fed() > before; }, 500));
  house.fault().end();
  CHECK(systemd.is_fed());
  CHECK(house.daemon().wait_for_log("\"watchdog.moving\""));
  CHECK(has(house.health(), "\"stuck\":[]"));
  CHECK(house.stop() == 0);
}

#endif
