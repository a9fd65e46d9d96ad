// Connections and the threads that serve them.
//
// All sockets are in one edge-triggered epoll set. Workers (http/serve/worker_pool.h) wait on it;
// one that gets an event owns that connection until it parks it again, so an idle keep-alive
// connection costs no thread and no buffer. A request that waits for another server costs no thread
// either: its fiber is put aside and goes on with the event it waits for
// (http/serve/request_task.h). A monitor thread looks after the workers, ends waits whose time is
// up, and closes connections whose deadline passed: slow heads (with a 408), idle ones, lingering
// ones.
#pragma once
#include <atomic>
#include <optional>

#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"
#include "http/serve/acceptor.h"
#include "http/serve/connection.h"
#include "http/serve/request_cycle.h"
#include "http/serve/request_task.h"
#include "http/serve/server.h"
#include "http/serve/worker_pool.h"

namespace kvcs::http {

class TlsContext;

class Listener final {
 public:
  Listener(const ServerConfig& config, RequestCycle& cycle, TlsContext& tls);
  ~Listener();
  Status start();
  int port() const { return acceptor_.port(); }
  void stop(int grace_ms);
  Server::Stats stats() const;

 private:
  using Worker = WorkerPool::Worker;
  struct Owned {  // At most one of them.
    Connection* connection = nullptr;
    Serving* serving = nullptr;
  };

  void on_socket(int socket);
  void refuse_socket(int socket);
  Owned claim(uint64_t event);
  void take(uint64_t event, Worker& worker);
  void begin(Connection& connection, Worker& worker);
  void run(Serving& serving, Worker& worker);
  void serve(Connection& connection, RequestMemory& memory);
  bool step(Connection& connection, RequestMemory& memory);
  bool step_handshake(Connection& connection);
  bool step_head(Connection& connection, RequestMemory& memory);
  bool step_linger(Connection& connection, RequestMemory& memory);
  bool park_head(Connection& connection, RequestMemory& memory);
  void start_linger(Connection& connection);
  void drop(Connection& connection);
  void pass_on(uint64_t event);
  void give_back(Connection& connection);
  void monitor();
  void reap(int64_t now_ms);
  void wake_monitor();
  void close_idle();

  const ServerConfig& config_;
  RequestCycle& cycle_;
  TlsContext& tls_;
  const HeadLimits head_limits_;
  ConnectionTable table_;
  ServingTable servings_;
  WorkerPool workers_;
  int epoll_ = -1, monitor_event_ = -1;
  std::atomic<bool> stopping_{false};  // No more requests; idle connections go.
  std::atomic<bool> monitor_quit_{false};
  std::atomic<bool> monitor_asleep_{false};
  std::atomic<int64_t> connections_{0}, refused_{0};
  Mutex mutex_;
  CondVar all_closed_;  // Signalled as connections close while stopping.
  std::optional<Thread> monitor_thread_;
  bool started_ = false;
  Acceptor acceptor_;
};

}  // namespace kvcs::http
