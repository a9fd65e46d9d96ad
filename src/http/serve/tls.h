// TLS on the same connection (OpenSSL): server side, TLS 1.2 and up, HTTP/1.1 by ALPN, no
// renegotiation. TlsContext is thread-safe; a TlsSession belongs to its connection's owner.
#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/status.h"
#include "http/serve/connection.h"
#include "http/serve/server_config.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace kvcs::http {

class TlsSession final {
 public:
  explicit TlsSession(SSL* ssl) : ssl_(ssl) {}
  ~TlsSession();  // Says goodbye if the socket takes it at once.
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  IoResult handshake();  // kDone when complete.
  // After a handshake that ended it: the client had begun with HTTP.
  bool met_http() const { return met_http_; }
  IoResult receive(std::span<char> out);
  IoResult send(std::string_view bytes);
  // The readiness of the socket that the last kWouldBlock waits for.
  bool wants_write() const { return wants_write_; }
  bool wants_read() const { return wants_read_; }

 private:
  IoResult outcome(int result);

  SSL* ssl_;
  bool wants_write_ = false, wants_read_ = false, broken_ = false, met_http_ = false;
};

class TlsContext final {
 public:
  TlsContext() = default;
  ~TlsContext();
  // Reads certificate chain and key; what was loaded before stays on failure. Invalid: unreadable,
  // or the key does not belong to the certificate.
  Status load(const TlsConfig& config);
  // The end of the certificate, in Unix seconds; 0 before it is loaded.
  int64_t expires_s() const { return expires_s_.load(std::memory_order_relaxed); }
  std::unique_ptr<TlsSession> accept(int socket);  // Null when OpenSSL is out of memory.

 private:
  std::atomic<int64_t> expires_s_ = 0;
  Mutex mutex_;
  SSL_CTX* context_ KVCS_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace kvcs::http
