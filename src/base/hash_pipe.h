// SHA-256 of a long stream on a thread of its own. The bytes that the owner puts into a buffer are
// hashed while the owner writes them out or looks at them, so that both together cost the slower of
// the two, not their sum.
//
// The buffers form a ring: the owner acquires and submits them in turn, and the hash follows in the
// same order, at most kBuffers behind. One thread calls; the pipe's own thread hashes. Memory:
// kBuffers buffers, allocated as they are needed.
//
// A pipe whose owner rests, because nothing comes, gives up its thread and its buffers soon, and
// takes them again with the next bytes.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs {

// How many pipes may have a thread at once: more than there are processors gain nothing.
// Thread-safe; outlives the pipes.
class HashThreads final {
 public:
  HashThreads();  // As many as there are processors.
  explicit HashThreads(int max) : left_(max) {}
  bool take();
  void give() { left_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<int> left_;
};

class HashPipe final {
 public:
  static constexpr size_t kBuffers = 8;
  static constexpr int kRestMs = 100;
  HashPipe(size_t buffer_bytes, HashThreads& threads);
  ~HashPipe();
  HashPipe(const HashPipe&) = delete;
  HashPipe& operator=(const HashPipe&) = delete;

  // Begins the thread, unless there is one, and ends the owner's rest. False when all are taken or
  // the system refuses one: submit() then hashes at once.
  bool start();
  bool has_thread();
  // A free buffer of buffer_bytes. Blocks the thread while the hash is kBuffers behind. The owner
  // may still read a buffer after its submit(), until the next acquire() or rest().
  char* acquire();
  void submit(size_t size_bytes);  // The buffer acquired last holds so many bytes.
  // The owner uses no buffer until the next acquire() or start(), which may be soon or late.
  void rest();
  // Hashes bytes of the owner's at once. While there is no thread.
  void update(std::string_view bytes) { hash_.update(bytes.data(), bytes.size()); }
  std::string finish_hex();  // Once, after the last submit() or update().

 private:
  void free_buffers();
  bool wait_for_buffer(uint64_t next);
  void run();
  void stop();

  const size_t buffer_bytes_;
  HashThreads& threads_;
  std::array<std::unique_ptr<char[]>, kBuffers> buffers_;
  Sha256 hash_;
  Mutex mutex_;
  CondVar changed_;
  // How many buffers were submitted and hashed since the start; their remainders by kBuffers are
  // places in the ring.
  std::array<size_t, kBuffers> sizes_ KVCS_GUARDED_BY(mutex_){};
  uint64_t submitted_ KVCS_GUARDED_BY(mutex_) = 0, hashed_ KVCS_GUARDED_BY(mutex_) = 0;
  bool running_ KVCS_GUARDED_BY(mutex_) = false;  // Until the thread's last act.
  bool rests_ KVCS_GUARDED_BY(mutex_) = true, done_ KVCS_GUARDED_BY(mutex_) = false;
  std::optional<Thread> thread_;  // Last: it uses all of the above.
};

}  // namespace kvcs
