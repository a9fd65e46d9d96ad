// The accept loop: one thread that takes connections off the listening sockets.
//
// The loop goes on whatever a single connection does. An error of accept(2) is of one of three
// kinds. The connection failed while it waited (ECONNABORTED, or an error of the network that Linux
// hands on): the next one is taken. The process or the machine is out of descriptors or memory: the
// listener is asked to give up idle connections, and the loop pauses when it has none, so that it
// does not spin. Anything else (EBADF, EINVAL) says that the socket itself is gone: the loop ends,
// and tells its owner, since a process that accepts nothing must not look alive.
#pragma once
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/heartbeat.h"
#include "base/status.h"
#include "base/thread.h"

namespace kvcs::http {

enum class AcceptFault : uint8_t {
  kNone,       // No connection waits.
  kPassing,    // Of one connection, or a signal: the next call may succeed.
  kResources,  // Descriptors or memory are short.
  kFatal,      // The socket accepts nothing any more.
};
AcceptFault classify_accept_error(int error_number);

// A line of a fault that may come often: the first, then at most one a minute, with a count of what
// was left out. One thread.
class RareLines final {
 public:
  // The number of faults since the last line, this one included, when a line is due; else 0.
  int64_t due(int64_t now_ms);

 private:
  std::optional<int64_t> last_ms_;
  int64_t unsaid_ = 0;
};

class Acceptor final {
 public:
  struct Callbacks {
    // On the accept thread: a non-blocking socket, which the callee owns, and its peer's address.
    std::function<void(int socket, const sockaddr_storage& peer)> on_socket;
    // On the accept thread, when descriptors are short: true when some have come free.
    std::function<bool()> make_room;
    // On the accept thread, at its end: nothing is accepted any more, and why.
    std::function<void(const Status& why)> on_fatal;
    // accept4(2), or what stands in its place: a socket, or -1 and errno.
    std::function<int(int listening, sockaddr* peer, socklen_t* size_bytes)> accept;
  };
  explicit Acceptor(Callbacks callbacks) : callbacks_(std::move(callbacks)) {}
  ~Acceptor();
  // Takes the listening sockets, which are non-blocking, and closes them at the end.
  Status start(std::vector<int> listening);
  void stop();  // Joins the thread; no callback runs afterwards.
  Pulse pulse() const { return heartbeat_.pulse(); }

 private:
  void run();
  // Takes all connections that wait at a socket. False: the loop must end.
  bool accept_all(int listening);
  // What follows an error of accept.
  enum class Then : uint8_t { kAgain, kWait, kEnd };
  Then after_error(int error_number);
  // Until a connection waits, or a stop.
  void wait_for_connection();
  // For a moment; a stop ends it.
  void pause();

  const Callbacks callbacks_;
  std::vector<int> listening_;
  int wake_event_ = -1;
  int passing_faults_ = 0;  // One after the other.
  RareLines lines_;
  Heartbeat heartbeat_;
  std::atomic<bool> stopping_{false};
  std::optional<Thread> thread_;
};

}  // namespace kvcs::http
