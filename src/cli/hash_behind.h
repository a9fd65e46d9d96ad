// The SHA-256 of a file that grows, taken of what stands in the file, on a thread that follows the
// writer: behind the last byte little is left to be read. Where the system refuses a thread, all is
// read at the end. One owner, which writes and calls; the descriptor outlives it.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/crypto.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"

namespace kvcs::cli {

class HashBehind final {
 public:
  HashBehind(int descriptor, std::string path);
  ~HashBehind();
  HashBehind(const HashBehind&) = delete;
  HashBehind& operator=(const HashBehind&) = delete;

  // The file has its first `bytes` bytes, never fewer than before.
  void note_written(uint64_t bytes);
  // Once: the digest of all that was written, in hex. `hashed` hears how far it is.
  Result<std::string> finish(const std::function<void(uint64_t bytes)>& hashed);

 private:
  void run();
  bool wait_for_bytes(uint64_t& from, uint64_t& to);
  Status read_on(uint64_t from, uint64_t to);

  const int descriptor_;
  const std::string path_;
  Sha256 hash_;
  Mutex mutex_;
  CondVar changed_;
  uint64_t written_ KVCS_GUARDED_BY(mutex_) = 0, hashed_ KVCS_GUARDED_BY(mutex_) = 0;
  bool is_all_ KVCS_GUARDED_BY(mutex_) = false;     // No more is written.
  bool is_over_ KVCS_GUARDED_BY(mutex_) = false;    // Nobody wants the digest.
  bool has_ended_ KVCS_GUARDED_BY(mutex_) = false;  // run() has.
  Status failure_ KVCS_GUARDED_BY(mutex_);
  std::optional<Thread> thread_;  // Last: it uses all of the above.
};

}  // namespace kvcs::cli
