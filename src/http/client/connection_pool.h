// Idle connections by key, last in first out, and a bound on how many are in use per key. Both
// engines have one each: a key names a host, its port, and whether private addresses are allowed.
//
// The connection that was used last goes first, so that a host that needs fewer connections than
// before lets the others grow old and be closed. Inside of the http module. Thread-safe;
// connections are closed outside of the lock, since a TLS connection says goodbye on the wire.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/status.h"

namespace kvcs::http {

template <typename Connection>
class ConnectionPool final {
 public:
  // `idle_max_us`: a connection unused for longer is closed at the pool's next use.
  ConnectionPool(int per_key_max, int idle_max, int64_t idle_max_us)
      : per_key_max_(per_key_max), idle_max_(idle_max), idle_max_us_(idle_max_us) {}

  // A pooled connection, or null when a new one must be made; either way release() must follow.
  // Unavailable ("upstream_busy") when the key has its maximum in use.
  Result<std::unique_ptr<Connection>> acquire(const std::string& key, int64_t now_us) {
    // Declared before the lock, so destroyed after it: this is what closes the connections outside.
    std::list<Entry> expired;
    std::unique_ptr<Connection> found;
    MutexLock lock(mutex_);
    drop_expired(now_us, expired);
    Host& host = hosts_[key];
    if (host.in_use >= per_key_max_) {
      return unavailable("too many requests to one server at once; its limit is " +
                         std::to_string(per_key_max_))
          .with_reason("upstream_busy")
          .with_retry_after_s(1);
    }
    host.in_use++;
    if (!host.idle.empty()) {
      found = std::move(host.idle.back()->connection);
      idle_.erase(host.idle.back());
      host.idle.pop_back();
    }
    return found;
  }

  // Gives the place back, and the connection too unless it is null. One for which memory does not
  // last is closed: destructors call this.
  void release(const std::string& key, std::unique_ptr<Connection> connection, int64_t now_us) {
    std::list<Entry> expired;
    MutexLock lock(mutex_);
    Host& host = hosts_[key];
    host.in_use--;
    if (connection) {
      std::list<Entry> kept;
      const bool has_memory = if_memory_lasts([&] {
        kept.push_back({key, now_us, std::move(connection)});
        host.idle.push_back(kept.begin());
      });
      if (has_memory) idle_.splice(idle_.end(), kept);
    } else if (host.in_use == 0 && host.idle.empty()) {
      hosts_.erase(key);
    }
    drop_expired(now_us, expired);
    while (idle_.size() > static_cast<size_t>(idle_max_)) drop_oldest(expired);
  }

  void clear() {  // Closes what is idle.
    std::list<Entry> closed;
    MutexLock lock(mutex_);
    while (!idle_.empty()) drop_oldest(closed);
  }

 private:
  struct Entry {
    std::string key;
    int64_t since_us;
    std::unique_ptr<Connection> connection;
  };
  // The pool's knowledge of a key; forgotten once it has neither a user nor an idle connection.
  struct Host {
    int in_use = 0;
    std::vector<typename std::list<Entry>::iterator> idle;  // Oldest first.
  };

  void drop_expired(int64_t now_us, std::list<Entry>& out) KVCS_REQUIRES(mutex_) {
    while (!idle_.empty() && now_us - idle_.front().since_us > idle_max_us_) drop_oldest(out);
  }
  void drop_oldest(std::list<Entry>& out) KVCS_REQUIRES(mutex_) {
    const auto host = hosts_.find(idle_.front().key);
    // The oldest of all is the oldest of its key.
    host->second.idle.erase(host->second.idle.begin());
    if (host->second.in_use == 0 && host->second.idle.empty()) hosts_.erase(host);
    out.splice(out.end(), idle_, idle_.begin());
  }

  const int per_key_max_, idle_max_;
  const int64_t idle_max_us_;
  Mutex mutex_;
  std::list<Entry> idle_ KVCS_GUARDED_BY(mutex_);  // Oldest first.
  std::unordered_map<std::string, Host> hosts_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::http
