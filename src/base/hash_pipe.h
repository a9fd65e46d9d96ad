// SHA-256 of a long stream on a thread of its own: what the owner puts into a buffer is hashed
// while the owner writes it out or looks at it, so that both cost the slower of the two, not their
// sum.
//
// One thread calls, the pipe's own hashes. Memory: kBuffers buffers, allocated as they are needed.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/crypto.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs {

class HashPipe final {
 public:
  static constexpr size_t kBuffers = 8;
  // Without `threaded`, or when the system refuses a thread, submit() hashes at once: a short
  // stream is not worth one.
  HashPipe(size_t buffer_bytes, bool threaded);
  ~HashPipe();
  HashPipe(const HashPipe&) = delete;
  HashPipe& operator=(const HashPipe&) = delete;

  // A free buffer of buffer_bytes; waits for the hash. After its submit() the owner may still read
  // it, until the next acquire().
  char* acquire();
  void submit(size_t size_bytes);  // The buffer acquired last holds so many bytes.
  std::string finish_hex();        // Once, after the last submit().

 private:
  void start();
  void run();
  void stop();

  const size_t buffer_bytes_;
  bool threaded_;
  std::array<std::unique_ptr<char[]>, kBuffers> buffers_;
  Sha256 hash_;
  Mutex mutex_;
  CondVar changed_;
  std::array<size_t, kBuffers> sizes_ KVCS_GUARDED_BY(mutex_){};
  uint64_t submitted_ KVCS_GUARDED_BY(mutex_) = 0, hashed_ KVCS_GUARDED_BY(mutex_) = 0;
  bool done_ KVCS_GUARDED_BY(mutex_) = false;
  std::optional<Thread> thread_;  // Last: it uses all of the above.
};

}  // namespace kvcs
