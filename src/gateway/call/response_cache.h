// Answers to GET that a provider's record allows to keep: a bounded LRU in memory. The key holds
// tenant, provider and account, so that no caller sees another's data, and the authority by which
// it was answered, so that nobody sees the data of a credential that was replaced or removed.
// Callers that want the same missing answer share one fetch, a flight; those that wait for it hold
// no thread. Thread-safe.
#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/wait.h"
#include "gateway/gateway.h"
#include "gateway/outbound/outbound_auth.h"

namespace kvcs::gateway {

inline constexpr size_t kCachedBodyMaxBytes = 1u << 20;

struct CachedAnswer {
  int status = 200;
  std::string content_type;
  std::shared_ptr<const std::string> body;  // The cache and the answers being sent.
};

class ResponseCache final {
 public:
  ResponseCache(const Clock& clock, size_t max_bytes) : clock_(clock), max_bytes_(max_bytes) {}

  // Whose answer it is: AccessCredential::authority and Provider::digest.
  struct Authority {
    std::string_view credential, provider;
  };
  // Over account, authority, method, path, sorted query and headers that the caller chose.
  static std::string key(const AccountId& account, const Authority& authority,
                         const OutboundRequest& request);

  struct Found {
    std::optional<CachedAnswer> answer;
    bool fresh = false;
  };
  Found find(const std::string& key);

  // The right to fetch `key`: while it lives, other callers that want the key wait.
  class Flight final {
   public:
    Flight(ResponseCache& cache, std::string key) : cache_(cache), key_(std::move(key)) {}
    ~Flight() { cache_.land(key_); }
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;

   private:
    ResponseCache& cache_;
    const std::string key_;
  };
  // Null when another call was fetching `key`: that has ended by now, or `wait_ms` have passed.
  // Fails with client_gone() when the client left meanwhile, or the server stops.
  Result<std::unique_ptr<Flight>> begin_flight(const std::string& key, int wait_ms,
                                               bool stop_if_client_leaves);
  size_t waiting() const;  // Callers that wait for the flight of another one, now.

  // Changes with every purge(). What was fetched before one may not be kept after it.
  uint64_t generation() const;
  // Fresh for `ttl_s`, then for as long again of use when the upstream fails. Bodies over
  // kCachedBodyMaxBytes are not kept, nor what was fetched in another `generation`.
  void put(const std::string& key, const AccountId& account, CachedAnswer answer, int64_t ttl_s,
           size_t provider_entries_max, uint64_t generation);
  // Removes the entries that a write through the account may have made stale, and returns how many.
  // An empty argument stands for any tenant, provider or account.
  size_t purge(std::string_view tenant, std::string_view provider, std::string_view account);

  size_t size_bytes() const;
  size_t entries() const;

 private:
  // One answer in the LRU list, with what it counts for.
  struct Entry {
    std::string key;
    AccountId account;
    CachedAnswer answer;
    int64_t fresh_until_us = 0, stale_until_us = 0;
    size_t size_bytes = 0;
  };
  using Entries = std::list<Entry>;
  void land(const std::string& key);
  void drop(Entries::iterator it) KVCS_REQUIRES(mutex_);

  const Clock& clock_;
  const size_t max_bytes_;
  mutable Mutex mutex_;
  Entries entries_ KVCS_GUARDED_BY(mutex_);  // The one used last stands first.
  std::unordered_map<std::string, Entries::iterator> index_ KVCS_GUARDED_BY(mutex_);
  std::unordered_map<std::string, size_t> per_provider_ KVCS_GUARDED_BY(mutex_);
  size_t size_bytes_ KVCS_GUARDED_BY(mutex_) = 0;
  uint64_t generation_ KVCS_GUARDED_BY(mutex_) = 0;
  // The landing of each flight, an event that is signalled once. Owners: this table while the
  // flight lasts, those that wait for it, and the call that lands.
  std::unordered_map<std::string, std::shared_ptr<Event>> flights_ KVCS_GUARDED_BY(mutex_);
  size_t waiting_ KVCS_GUARDED_BY(mutex_) = 0;
};

// How long Cache-Control lets an answer be kept: at most `ttl_s`, 0 for no-store, no-cache and
// private.
int64_t cacheable_s(std::string_view cache_control, int64_t ttl_s);

}  // namespace kvcs::gateway
