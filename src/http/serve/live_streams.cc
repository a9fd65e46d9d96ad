// The list of live streams. Callers are looked at and looked up without the lock, since that may
// read the store; the number tells whether a stream is still there then.
#include "http/serve/live_streams.h"

#include <utility>
#include <vector>

#include "base/log.h"
#include "http/serve/connection.h"

namespace kvcs::http {

// The entry is in the list before the count is read, and check() counts before it reads the list:
// one of the two sees the other.
LiveStreams::Entry::Entry(LiveStreams& streams, const Principal& principal, Connection& connection,
                          uint64_t seen)
    : streams_(streams),
      principal_(std::make_shared<const Principal>(principal)),
      connection_(connection) {
  {
    const MutexLock lock(streams_.mutex_);
    number_ = ++streams_.last_number_;
    streams_.entries_.push_back(this);
  }
  if (streams_.checks() != seen && !streams_.admits_(*principal_)) {
    streams_.end(number_, *principal_);
  }
}

LiveStreams::Entry::~Entry() {
  const MutexLock lock(streams_.mutex_);
  streams_.entries_.remove(this);
}

void LiveStreams::check(const Test& concerns) {
  checks_.fetch_add(1, std::memory_order_seq_cst);
  std::vector<std::pair<uint64_t, std::shared_ptr<const Principal>>> live;
  {
    const MutexLock lock(mutex_);
    live.reserve(entries_.size());
    for (const Entry* entry : entries_) live.emplace_back(entry->number_, entry->principal_);
  }
  for (const auto& [number, principal] : live) {
    if (concerns(*principal) && !admits_(*principal)) end(number, *principal);
  }
}

void LiveStreams::end(uint64_t number, const Principal& principal) {
  {
    const MutexLock lock(mutex_);
    for (Entry* entry : entries_) {
      if (entry->number_ == number) entry->connection_.abort();
    }
  }
  log::info("http.stream_ended",
            {{"key_id", principal.key_id}, {"reason", "whom its key acts for is refused now"}});
}

}  // namespace kvcs::http
