// Answers to GET that a provider's record allows to keep: a bounded LRU in memory. The key holds
// tenant, provider and account, so that no caller sees another's data. Thread-safe.
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
#include "gateway/gateway.h"
#include "gateway/outbound_auth.h"

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

  // Over account, method, path, sorted query and headers that the caller chose.
  static std::string key(const AccountId& account, const OutboundRequest& request);

  struct Found {
    std::optional<CachedAnswer> answer;
    bool fresh = false;
  };
  Found find(const std::string& key);
  // Fresh for `ttl_s`, then for as long again of use when the upstream fails. Bodies over
  // kCachedBodyMaxBytes are not kept.
  void put(const std::string& key, const AccountId& account, CachedAnswer answer, int64_t ttl_s,
           size_t provider_entries_max);
  // What was read may have changed: a write went through the account. "" = any; how many.
  size_t purge(std::string_view tenant, std::string_view provider, std::string_view account);

  size_t size_bytes() const;
  size_t entries() const;

 private:
  struct Entry {
    std::string key;
    AccountId account;
    CachedAnswer answer;
    int64_t fresh_until_us = 0, stale_until_us = 0;
    size_t size_bytes = 0;
  };
  using Entries = std::list<Entry>;
  void drop(Entries::iterator it) KVCS_REQUIRES(mutex_);

  const Clock& clock_;
  const size_t max_bytes_;
  mutable Mutex mutex_;
  Entries entries_ KVCS_GUARDED_BY(mutex_);  // The one used last stands first.
  std::unordered_map<std::string, Entries::iterator> index_ KVCS_GUARDED_BY(mutex_);
  std::unordered_map<std::string, size_t> per_provider_ KVCS_GUARDED_BY(mutex_);
  size_t size_bytes_ KVCS_GUARDED_BY(mutex_) = 0;
};

// How long Cache-Control lets an answer be kept: at most `ttl_s`, 0 for no-store, no-cache and
// private.
int64_t cacheable_s(std::string_view cache_control, int64_t ttl_s);

}  // namespace kvcs::gateway
