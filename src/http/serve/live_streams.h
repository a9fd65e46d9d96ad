// The streams that a server is sending to callers with a key, so that one can be ended when its
// caller is refused from now on. Whoever changes what decides about callers calls check(); it costs
// next to nothing while no stream is concerned. Owned by App, which outlives it with the server.
// Thread-safe.
//
// A stream is ended as by a client that leaves: its connection is shut down, whatever waits for the
// client ends, and the handler does what it does then. The client sees a broken transfer.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>

#include "base/mutex.h"
#include "base/principal.h"

namespace kvcs::http {

class Connection;

class LiveStreams final {
 public:
  using Test = std::function<bool(const Principal&)>;
  // `admits` looks the caller up again; it may read the store.
  explicit LiveStreams(Test admits) : admits_(std::move(admits)) {}

  // Of one stream, as long as it is sent. By the owner of the connection.
  class Entry final {
   public:
    // `seen`: checks() before the caller was let in. A check since then had no entry to look at.
    Entry(LiveStreams& streams, const Principal& principal, Connection& connection, uint64_t seen);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class LiveStreams;
    LiveStreams& streams_;
    const std::shared_ptr<const Principal> principal_;  // A check that runs owns it too.
    Connection& connection_;
    uint64_t number_ = 0;
  };

  uint64_t checks() const { return checks_.load(std::memory_order_seq_cst); }
  // Ends the streams whose caller `concerns` and `admits` no more. On return they have been told.
  void check(const Test& concerns);

 private:
  void end(uint64_t number, const Principal& principal);

  const Test admits_;
  std::atomic<uint64_t> checks_{0};
  Mutex mutex_;
  uint64_t last_number_ KVCS_GUARDED_BY(mutex_) = 0;
  std::list<Entry*> entries_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::http
