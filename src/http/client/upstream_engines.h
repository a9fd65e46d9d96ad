// The two engines behind make_http_upstream, and what they tell each other. Inside of the http
// module, for http/client/upstream.cc, the contract tests and the benchmark.
#pragma once
#include <netinet/in.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "http/client/upstream.h"

namespace kvcs::http {

struct UpstreamUrl;

// An address as the socket calls take it, of either family.
union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  socklen_t size_bytes() const { return any.sa_family == AF_INET ? sizeof v4 : sizeof v6; }
};
std::optional<SocketAddress> parse_address(std::string_view literal, int port);

// Addresses at which http:// hosts answered. They are learnt from libcurl, whose resolver can be
// waited for and given up, so that the plain engine need not resolve names. Thread-safe.
class AddressBook final {
 public:
  AddressBook(int ttl_s, const Clock& clock) : ttl_us_(ttl_s * 1'000'000LL), clock_(clock) {}
  std::optional<SocketAddress> find(const UpstreamUrl& url);
  void remember(const UpstreamUrl& url, const char* address);
  void forget(const UpstreamUrl& url);

 private:
  struct Entry {
    SocketAddress address;
    int64_t learnt_us;
  };
  static constexpr size_t kEntriesMax = 4096;
  const int64_t ttl_us_;
  const Clock& clock_;
  SharedMutex mutex_;
  std::unordered_map<std::string, Entry> entries_ KVCS_GUARDED_BY(mutex_);
};

// Counts of an engine's work since it was made.
struct EngineCounters {
  std::atomic<int64_t> opened{0};              // Connections.
  std::atomic<int64_t> buffered_max_bytes{0};  // The most that one response held in memory.
  void saw_buffered(int64_t bytes) {
    int64_t seen = buffered_max_bytes.load(std::memory_order_relaxed);
    while (bytes > seen && !buffered_max_bytes.compare_exchange_weak(seen, bytes)) {
    }
  }
};

// open() checks what open_checked() may then rely on. Contract tests run over both engines by this.
class UpstreamEngine : public HttpUpstream {
 public:
  Result<std::unique_ptr<UpstreamResponse>> open(const UpstreamRequest& request) final;
  virtual const EngineCounters& counters() const = 0;
  // Precondition: `request` passed check_sendable and `url` is what parse_upstream_url made of it.
  virtual Result<std::unique_ptr<UpstreamResponse>> open_checked(const UpstreamRequest& request,
                                                                 UpstreamUrl url) = 0;
};

// `book` may be null. All references and `book` outlive the engine.
std::unique_ptr<UpstreamEngine> make_curl_engine(const UpstreamConfig& config, const Clock& clock,
                                                 AddressBook* book);
// http:// only, and only hosts that `book` knows (else Upstream, "dns_failed").
std::unique_ptr<UpstreamEngine> make_plain_engine(const UpstreamConfig& config, const Clock& clock,
                                                  AddressBook& book);

}  // namespace kvcs::http
