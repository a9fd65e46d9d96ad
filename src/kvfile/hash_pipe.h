// SHA-256 in a second thread: what the owner reads is hashed while the owner works on it.
// The owner fills buffers of a small ring in order; one thread fills, the pipe's own hashes.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs::kvfile {

class HashPipe final {
 public:
  static constexpr size_t kBuffers = 4;
  // Without `threaded`, submit() hashes at once: small files are not worth a thread.
  HashPipe(size_t buffer_bytes, bool threaded);
  ~HashPipe();
  HashPipe(const HashPipe&) = delete;
  HashPipe& operator=(const HashPipe&) = delete;

  // A free buffer of buffer_bytes; waits for the hasher. It belongs to the owner until the third
  // acquire() after its submit(): the owner may go on reading what it submitted.
  char* acquire();
  void submit(size_t size_bytes);  // The buffer acquired last holds so many bytes.
  std::string finish_hex();        // Once, after the last submit().

 private:
  void run();

  const size_t buffer_bytes_;
  std::vector<char> buffers_;
  Sha256 hash_;
  Mutex mutex_;
  CondVar changed_;
  std::array<size_t, kBuffers> sizes_ KVCS_GUARDED_BY(mutex_){};
  uint64_t submitted_ KVCS_GUARDED_BY(mutex_) = 0;
  uint64_t hashed_ KVCS_GUARDED_BY(mutex_) = 0;
  bool done_ KVCS_GUARDED_BY(mutex_) = false;
  const bool threaded_;
  std::optional<Thread> thread_;
};

}  // namespace kvcs::kvfile
