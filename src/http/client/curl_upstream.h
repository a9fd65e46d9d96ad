// Pieces of the libcurl engine shared by curl_upstream.cc (one exchange) and curl_engine.cc (pool,
// certificates, caches). Inside of the http module.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "http/client/connection_pool.h"
#include "http/client/upstream_engines.h"
#include "http/client/upstream_rules.h"

namespace kvcs::http {

// A multi handle with one transfer at a time. Its connection cache only ever holds connections to
// one host, port and address rule, so nothing opened under a laxer rule is used under a stricter.
class CurlDriver final {
 public:
  CurlDriver();
  CurlDriver(const CurlDriver&) = delete;
  CurlDriver& operator=(const CurlDriver&) = delete;
  ~CurlDriver();  // Closes its connection, finished or not.
  void* multi() const { return multi_; }
  void* easy() const { return easy_; }
  void attach();
  void detach_transfer();

  // A socket that the transfer waits for, after attach() and each act(): most often one socket.
  struct Awaited {
    int socket;
    short events;  // poll's
  };
  const std::vector<Awaited>& awaited() const { return awaited_; }
  int timer_ms() const;  // Until libcurl wants to act anyway; 0: now. -1: never.
  // Goes on with a socket that is ready, or because time has passed (-1). A CURLMcode.
  int act(int ready_socket);

 private:
  static int on_socket(void* easy, int socket, int what, void* self, void* ours);
  static int on_timer(void* multi, long timeout_ms, void* self);

  void* multi_;  // CURLM
  void* easy_;   // CURL
  bool attached_ = false;
  std::vector<Awaited> awaited_;
  std::optional<std::chrono::steady_clock::time_point> timer_;  // libcurl knows real time only.
};

// The state that all exchanges of one engine share. Thread-safe.
class CurlShared final {
 public:
  CurlShared(const UpstreamConfig& config, const Clock& clock, AddressBook* book);
  CurlShared(const CurlShared&) = delete;
  CurlShared& operator=(const CurlShared&) = delete;
  ~CurlShared();

  // The trusted certificates, read once: an X509_STORE*. Upstream when they cannot be read.
  Result<void*> certificates();

  const UpstreamConfig config;
  const Clock& clock;
  AddressBook* const book;
  ConnectionPool<CurlDriver> pool;
  EngineCounters counters;
  void* share = nullptr;  // CURLSH: names and TLS sessions.

 private:
  static constexpr int kLocks = 16;  // More than libcurl has kinds of shared data.
  static void lock_share(void* handle, int data, int access, void* user);
  static void unlock_share(void* handle, int data, void* user);
  Mutex share_locks_[kLocks];
  Mutex certificates_mutex_;
  void* certificates_ KVCS_GUARDED_BY(certificates_mutex_) = nullptr;
};

Result<std::unique_ptr<UpstreamResponse>> open_with_curl(CurlShared& shared,
                                                         const UpstreamRequest& request,
                                                         UpstreamUrl url);

}  // namespace kvcs::http
