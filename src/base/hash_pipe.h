// SHA-256 of a long stream on a thread of its own. The bytes that the owner puts into a buffer are
// hashed while the owner writes them out or looks at them, so that both together cost the slower of
// the two, not their sum.
//
// The buffers form a ring: the owner acquires and submits them in turn, and the hash follows in the
// same order, at most kBuffers behind. One thread calls; the pipe's own thread hashes. Memory:
// kBuffers buffers, allocated as they are needed.
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

  // A free buffer of buffer_bytes. Blocks the thread while the hash is kBuffers behind. The owner
  // may still read a buffer after its submit(), until the next acquire().
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
  // How many buffers were submitted and hashed since the start; their remainders by kBuffers are
  // places in the ring.
  std::array<size_t, kBuffers> sizes_ KVCS_GUARDED_BY(mutex_){};
  uint64_t submitted_ KVCS_GUARDED_BY(mutex_) = 0, hashed_ KVCS_GUARDED_BY(mutex_) = 0;
  bool done_ KVCS_GUARDED_BY(mutex_) = false;
  std::optional<Thread> thread_;  // Last: it uses all of the above.
};

}  // namespace kvcs
