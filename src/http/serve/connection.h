// One accepted socket, and the table of all of them.
//
// A connection is owned by at most one worker, or one parked task, at a time. One atomic word
// decides who owns it: generation, busy, event pending, peer closed. The socket stays registered
// edge-triggered in epoll, so that a request costs no epoll_ctl: an event that arrives while the
// connection is owned only sets the pending bit, and the owner looks again before it lets go. An
// owner that waits for the client itself, to send or to take bytes, waits for those events: each
// also sets the bit `moved`, and wakes the wait that is noted in `waiter`. Slots
// are never freed while the server lives and carry a generation, so that a late event for a closed
// connection is recognized instead of touching a new one.
#pragma once
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "http/serve/head_parser.h"
#include "http/wire/socket_io.h"

namespace kvcs::http {

class TlsSession;

// Handshake (TLS only), then heads and their requests, then the time in which an answer that ends
// the connection is still read by the client.
enum class Phase : uint8_t { kHandshake, kHead, kLinger };

class Connection final {
 public:
  Connection();
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // --- ownership; any thread ---
  // Takes a socket into a free slot; nobody else sees it before publish(), which adds it to epoll.
  // False when epoll refuses it.
  void reset(int accepted_socket, std::string_view peer);
  bool publish(int epoll);
  // An event arrived. kMine: the caller owns the connection now. kBusy: it is noted for the owner.
  enum class Claim : uint8_t { kMine, kBusy, kStale };
  Claim claim(uint32_t generation, bool peer_closed);
  // For the reaper: takes an idle connection whatever its generation.
  bool claim_idle();
  bool is_idle() const;  // At this moment: open, and nobody's.
  // Gives up ownership; false when an event arrived meanwhile: the caller still owns it.
  bool release();
  void close();  // By the owner. The slot may then be reused.
  // Ends blocked reads and writes of whoever owns it; for a server that must stop.
  void abort();

  // --- the owner only ---
  IoResult receive(std::span<char> out);
  // Sends a, then b, as far as the socket takes them. `more`: a send follows at once.
  IoResult send(std::string_view a, std::string_view b, bool more);
  // The error is kFileIsShort when the file ends before `size_bytes`, and EIO when its disk fails.
  static constexpr int kFileIsShort = ENODATA;
  IoResult send_file(int descriptor, uint64_t offset, uint64_t size_bytes);
  // What it does not take may fill more of the kernel's memory than kUnsentBytes: fewer steps.
  static constexpr int kUnsentBytes = 64 << 10, kUnsentWideBytes = 1 << 20;
  void widen();
  // Waits with the current waiter, a request without a thread, until the socket may be ready or the
  // time is up. It may end early: the caller tries again, and looks at its own clock. False when
  // the server stops.
  bool wait_readable(int timeout_ms);
  bool wait_writable(int timeout_ms);
  // --- by the owner's waiter, around one wait ---
  // `wait` is its cookie. True: something has moved since the last wait, and there is nothing to
  // wait for.
  bool begin_wait(uint64_t wait, bool for_writing);
  void end_wait();
  bool peer_closed() const;  // It sent FIN; what it sent before may still be unread.
  bool client_gone() const;  // Closed or broken; sees a FIN only behind no unread bytes.
  int socket() const { return socket_; }
  // While a worker reads a long body each segment would wake another one for nothing: no events,
  // but one for each wait, until rearm(), which also makes a new event of what is readable.
  void mute();
  void rearm();
  bool muted() const { return muted_; }

  uint32_t index = 0;  // Set once by the table.
  Phase phase = Phase::kHead;
  std::unique_ptr<TlsSession> tls;  // Null: plain.
  std::string carry;                // The start of a head, kept while parked.
  HeadProgress progress;
  bool skipped_line = false;    // One empty line before the next head was ignored.
  int64_t head_started_ms = 0;  // 0: no byte of the next head has come.
  int requests_served = 0;
  uint64_t lingered_bytes = 0, linger_max_bytes = 0;
  int64_t linger_started_ms = 0;
  std::string peer_ip;
  bool has_share = false;               // It is counted among the connections of its address.
  std::atomic<int64_t> deadline_ms{0};  // While parked; read by the reaper.
  // Since when it has waited, for a request, for the rest of a head, or for the end of its client.
  std::atomic<int64_t> idle_since_ms{0};
  // The waiting request (the cookie of its wait) that wants to know when the peer closes; 0: none.
  std::atomic<uint64_t> watcher{0};
  // The cookie of the owner's wait for this connection's bytes; 0: none.
  std::atomic<uint64_t> waiter{0};

 private:
  void modify_events(uint32_t events);

  // kBusy: somebody owns it. kPending: an event came meanwhile. kPeerClosed: a FIN or reset was
  // seen, for the generation's rest. kOpen: the slot has a socket. kMoved: an event came since the
  // owner last began to wait; unlike kPending it says nothing of what is unread at the end.
  static constexpr uint64_t kBusy = 1, kPending = 2, kPeerClosed = 4, kOpen = 8, kMoved = 16;
  std::atomic<uint64_t> state_{0};  // generation << 32 | bits
  std::atomic<int> socket_{-1};
  int epoll_ = -1;
  bool muted_ = false;
  bool watches_room_ = false;  // For writes, once one had to wait.
  bool is_wide_ = false;
};

// All slots. Thread-safe; the lock is taken on accept and close only.
class ConnectionTable final {
 public:
  explicit ConnectionTable(int connections_max);
  ~ConnectionTable();
  Connection* allocate();  // Null when full.
  void free(Connection& connection);
  Connection& at(uint32_t index) { return slots_[index]; }
  // Those that have waited without a request for the longest time, at most `max`; any may have been
  // taken since.
  std::vector<Connection*> longest_idle(size_t max);
  uint32_t used_slots() const { return high_water_.load(std::memory_order_acquire); }

 private:
  std::unique_ptr<Connection[]> slots_;
  uint32_t size_;
  Mutex mutex_;
  std::vector<uint32_t> free_ KVCS_GUARDED_BY(mutex_);
  std::atomic<uint32_t> high_water_{0};
};

// The worker's read buffer. Bytes before `floor` are the current head, whose views must stay.
class ReadBuffer final {
 public:
  explicit ReadBuffer(size_t capacity)
      : bytes_(std::make_unique_for_overwrite<char[]>(capacity)), capacity_(capacity) {}
  std::string_view unread() const { return {bytes_.get() + begin_, end_ - begin_}; }
  void consume(size_t n) { begin_ += n; }
  void pin() { floor_ = begin_; }  // What was consumed so far must not move.
  void unpin() { floor_ = 0; }
  void clear() { floor_ = begin_ = end_ = 0; }
  // Room for more; moves the unread bytes down to the floor when the end is near.
  std::span<char> space();
  void commit(size_t n) { end_ += n; }
  void assign(std::string_view text);  // Precondition: fits.

 private:
  std::unique_ptr<char[]> bytes_;
  size_t capacity_, floor_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace kvcs::http
