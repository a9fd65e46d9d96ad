// Connections and the threads that serve them.
//
// All sockets are in one edge-triggered epoll set. Workers (http/serve/worker_pool.h) wait on it; a
// worker that gets an event of a connection owns that connection until it gives it up again, so an
// idle keep-alive connection costs no thread and no buffer. A request that waits costs no thread
// either: its task is parked, and goes on with the event that it waits for
// (http/serve/request_task.h).
//
// Threads: the acceptor's takes sockets; workers run handle_event() and, on the fiber of a task,
// serve_connection() and all below it; the monitor supervises the workers, ends waits whose time is
// up, and closes connections whose deadline passed: slow heads (with a 408), idle ones, lingering
// ones. start() and stop() are called by one other thread.
#pragma once
#include <atomic>
#include <functional>
#include <optional>

#include "base/heartbeat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"
#include "http/serve/acceptor.h"
#include "http/serve/connection.h"
#include "http/serve/listening_socket.h"
#include "http/serve/request_cycle.h"
#include "http/serve/request_task.h"
#include "http/serve/server_config.h"
#include "http/serve/worker_pool.h"

namespace kvcs::http {

class TlsContext;

class Listener final {
 public:
  // `on_fatal` is told, on the accept thread, when no connection is accepted any more.
  Listener(const ServerConfig& config, RequestCycle& cycle, TlsContext& tls,
           std::function<void(const Status& why)> on_fatal);
  ~Listener();
  Status bind();   // Takes the addresses; who connects waits.
  Status start();  // After bind().
  bool is_bound() const { return !sockets_.empty(); }
  int port() const;  // Of the first address that has one.
  void stop(int grace_ms);
  ServerStats stats() const;
  void add_pulses(const AddPulse& add) const;  // Of its threads.

 private:
  using Worker = WorkerPool::Worker;
  // The object that an event makes the caller the owner of: at most one is set.
  struct Owned {
    Connection* connection = nullptr;
    RequestTask* task = nullptr;
  };

  // --- the accept thread ---
  // on_socket(), or a refusal when memory does not last for it.
  void take_socket(int socket, const sockaddr_storage& peer);
  void on_socket(int& socket, const sockaddr_storage& peer);  // May give the socket another number.
  // No place is left: a 503 in plain text connections, as far as the socket takes it at once.
  void refuse_socket(int socket, const char* why);
  // Closes connections that wait for a request, the longest idle ones first. False: there are none.
  bool give_up_idle();

  // --- workers ---
  Owned claim(uint64_t event);
  void handle_event(uint64_t event, Worker& worker);
  // Gives an owned connection a task.
  void start_task(Connection& connection, Worker& worker);
  // A connection's turn where there is no memory for a task: a request is answered 503.
  void serve_without_task(Connection& connection);
  // Until the task is parked or idle; an idle one is kept as the worker's spare.
  void run_task(RequestTask& task, Worker& worker);

  // --- a connection's turn, on a task's fiber ---
  // Until the connection is idle, or gone.
  void serve_connection(Connection& connection, RequestMemory& memory);
  // step(), whose request is answered 503 when memory does not last for it.
  bool step_or_refuse(Connection& connection, RequestMemory& memory);
  // Each phase: true when the connection stays open for its next event, false to close it.
  bool step(Connection& connection, RequestMemory& memory);
  bool step_handshake(Connection& connection);  // True when the handshake is done.
  bool step_head(Connection& connection, RequestMemory& memory);
  bool step_linger(Connection& connection);
  // Keeps what has come of the next head and sets the deadline of the silence; false to close.
  bool park_head(Connection& connection, RequestMemory& memory);
  void start_linger(Connection& connection, uint64_t max_bytes);
  void drop(Connection& connection);  // By its owner: closes it and frees the slot.

  // --- the monitor's thread ---
  void monitor();
  // Closes the connections whose deadline has passed.
  void reap(int64_t now_ms);
  // Brings an event to some worker, which the caller is none of.
  void requeue(uint64_t event);
  void give_back(Connection& connection);

  void wake_monitor();  // Any thread.
  void close_idle();

  const ServerConfig& config_;
  RequestCycle& cycle_;
  TlsContext& tls_;
  const HeadLimits head_limits_;
  ConnectionTable table_;
  TaskTable tasks_;
  WorkerPool workers_;
  int epoll_ = -1, monitor_event_ = -1;
  std::atomic<bool> stopping_{false};  // No more requests; idle connections go.
  std::atomic<bool> monitor_quit_{false};
  // Set before the monitor computes how long it sleeps; the one thread that clears it wakes it.
  std::atomic<bool> monitor_asleep_{false};
  std::atomic<int64_t> connections_{0}, refused_{0}, given_up_{0};
  Mutex mutex_;
  Heartbeat monitor_heartbeat_;
  CondVar all_closed_;  // Signalled as connections close while stopping.
  std::optional<Thread> monitor_thread_;
  bool started_ = false;
  std::vector<ListeningSocket> sockets_;
  Acceptor acceptor_;
};

}  // namespace kvcs::http
