// Pieces of the libcurl engine shared by curl_upstream.cc (one exchange) and curl_engine.cc (pool,
// certificates, caches). Inside of the http module.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "http/connection_pool.h"
#include "http/upstream_engines.h"
#include "http/upstream_rules.h"

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

 private:
  void* multi_;  // CURLM
  void* easy_;   // CURL
  bool attached_ = false;
};

// What all exchanges of one engine use together. Thread-safe.
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
