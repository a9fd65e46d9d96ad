// A real TCP server on loopback whose behaviour is a function per connection: whatever a broken or
// hostile HTTP server does, the function does. One thread per connection, joined by the destructor,
// which first shuts every connection down so that blocked calls return.
#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs::test {

// One accepted connection, used by its own thread.
class LoopbackPeer {
 public:
  virtual ~LoopbackPeer() = default;
  struct Request {
    std::string head, body;  // The head without its blank line.
    std::string_view line() const { return std::string_view(head).substr(0, head.find('\r')); }
  };
  // The next request; nothing when the client closed or the server stops.
  virtual std::optional<Request> read_request() = 0;
  // What comes before `mark`, for protocols that are not HTTP.
  virtual std::optional<std::string> read_until(std::string_view mark) = 0;
  virtual bool send(std::string_view bytes) = 0;  // False once the client has gone.
  virtual void reset() = 0;                       // RST instead of FIN at the end.
  virtual bool wait_closed() = 0;  // True when the client closed, false when the server stops.
  virtual int number() const = 0;  // 0 for the first connection accepted.

  bool answer(std::string_view body, std::string_view status = "200 OK");
  bool send_chunk(std::string_view bytes);
};

class LoopbackServer final {
 public:
  using Behaviour = std::function<void(LoopbackPeer&)>;
  // With a certificate and key (PEM files) it speaks TLS.
  explicit LoopbackServer(Behaviour behaviour, std::string certificate_path = {},
                          std::string key_path = {});
  ~LoopbackServer();
  int port() const { return port_; }
  std::string url(std::string_view path = "/") const;
  int accepted_count() const;
  // Waits until that many connections were seen closed by the client; false after five seconds.
  bool wait_client_closed_count(int count);

 private:
  class Peer;
  void accept_loop();
  void serve(Peer& peer);

  Behaviour behaviour_;
  void* tls_ = nullptr;  // SSL_CTX
  int listener_ = -1, port_ = 0, wake_[2] = {-1, -1};
  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ KVCS_GUARDED_BY(mutex_) = false;
  int accepted_ KVCS_GUARDED_BY(mutex_) = 0, client_closed_ KVCS_GUARDED_BY(mutex_) = 0;
  std::list<std::unique_ptr<Peer>> peers_ KVCS_GUARDED_BY(mutex_);
  std::list<Thread> threads_;  // The acceptor's, until it is joined.
  std::optional<Thread> acceptor_;
};

// Answers every request on every connection with the same body.
LoopbackServer::Behaviour answer_always(std::string body);
// A key and a self-signed certificate for "localhost" alone, as PEM files.
void make_self_signed(const std::string& certificate_path, const std::string& key_path);

}  // namespace kvcs::test
