// Connections and the threads that serve them.
//
// All sockets are in one edge-triggered epoll set. Workers wait on it; one that gets an event owns
// that connection until it parks it again, so an idle keep-alive connection costs no thread and no
// buffer. While requests are short a worker takes several events at once, and no more workers wait
// for events than there are processors: the others stay in reserve, as waking one thread more costs
// more than such a request. Should a request turn out to be long, the monitor hands the rest of its
// batch back and calls the reserve, within some milliseconds. The pool is elastic: a monitor thread
// keeps `workers_min` workers that are not held by a slow request, up to `workers_max` in all. The
// same thread closes connections whose deadline passed: slow heads (with a 408), idle ones,
// lingering ones.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"
#include "http/acceptor.h"
#include "http/connection.h"
#include "http/request_cycle.h"
#include "http/server.h"

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
  struct Worker;

  void on_socket(int socket);
  void refuse_socket(int socket);
  void work(Worker& worker);
  void serve(Connection& connection, Worker& worker);
  bool step(Connection& connection, Worker& worker);
  bool step_handshake(Connection& connection);
  bool step_head(Connection& connection, Worker& worker);
  bool step_linger(Connection& connection, Worker& worker);
  bool park_head(Connection& connection, Worker& worker);
  void start_linger(Connection& connection);
  void drop(Connection& connection);
  void take(uint64_t cookie, bool peer_closed, Worker& worker);
  bool worker_may_leave(Worker& worker);
  bool wait_in_reserve();
  void call_reserve();
  void look_at_batch(Worker& worker, bool held);
  void give_back(Connection& connection);
  void monitor();
  void reap(int64_t now_ms);
  void grow();
  bool events_wait() const;
  bool spawn_worker();
  void join_finished();
  void wake_monitor();
  void close_idle();

  const ServerConfig& config_;
  RequestCycle& cycle_;
  TlsContext& tls_;
  const HeadLimits head_limits_;
  ConnectionTable table_;
  int epoll_ = -1, stop_event_ = -1, monitor_event_ = -1;
  std::atomic<bool> stopping_{false};  // No more requests; idle connections go.
  std::atomic<bool> workers_quit_{false};
  std::atomic<bool> monitor_quit_{false};
  std::atomic<bool> monitor_asleep_{false};
  std::atomic<bool> batched_{false};  // A worker took several events since the monitor looked.
  std::atomic<int> idle_workers_{0}, worker_count_{0}, finished_workers_{0};
  std::atomic<int64_t> connections_{0}, refused_{0};
  uint64_t served_before_ = 0;  // The monitor's own.
  const int processors_;
  Mutex reserve_mutex_;
  CondVar reserve_called_;
  uint64_t reserve_calls_ KVCS_GUARDED_BY(reserve_mutex_) = 0;
  std::atomic<int> in_reserve_{0};
  Mutex mutex_;
  CondVar all_closed_;  // Signalled as connections close while stopping.
  std::vector<std::unique_ptr<Worker>> workers_ KVCS_GUARDED_BY(mutex_);
  std::optional<Thread> monitor_thread_;
  bool started_ = false;
  Acceptor acceptor_;
};

}  // namespace kvcs::http
