// SHA-256 of a long stream on a thread of its own, so that hashing and writing overlap: an upload
// then costs the slower of the two, not their sum. Short streams are hashed where they are.
//
// One thread calls; the second one, "blob-hash", starts with the first full chunk of a long stream
// and ends with the object. Memory: kHashChunks chunks, allocated as they are needed.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"

namespace kvcs {

inline constexpr size_t kHashChunkBytes = 256 << 10;
inline constexpr size_t kHashChunks = 8;
// A stream shorter than this is not worth a thread.
inline constexpr uint64_t kHashThreadFromBytes = 4 << 20;

class HashPipe final {
 public:
  explicit HashPipe(uint64_t announced_bytes)
      : threaded_(announced_bytes >= kHashThreadFromBytes) {}
  ~HashPipe();
  HashPipe(const HashPipe&) = delete;
  HashPipe& operator=(const HashPipe&) = delete;

  // Copies up to the room left in the current chunk; returns how much it took.
  size_t fill(std::string_view bytes);
  bool chunk_full() const { return filled_ == kHashChunkBytes; }
  // Hands the current chunk to the hash and returns it, valid until the next fill(): the caller
  // writes it to disk meanwhile.
  std::string_view submit();
  // All of it; once.
  std::string finish_hex();

 private:
  void run();
  void stop();

  const bool threaded_;
  std::array<std::unique_ptr<char[]>, kHashChunks> chunks_;
  std::array<size_t, kHashChunks> sizes_{};
  size_t filled_ = 0;
  uint64_t submitted_ = 0;  // The caller's own count.
  Sha256 hash_;

  Mutex mutex_;
  CondVar changed_;
  uint64_t queued_ KVCS_GUARDED_BY(mutex_) = 0, hashed_ KVCS_GUARDED_BY(mutex_) = 0;
  bool stopping_ KVCS_GUARDED_BY(mutex_) = false;
  std::optional<Thread> thread_;  // Last: it uses all of the above.
};

}  // namespace kvcs
