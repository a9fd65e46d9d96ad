// TLS by OpenSSL: sessions that never block, and the context that a reload replaces under those
// that come later. OpenSSL's queue of errors is per thread, so it is emptied around each call.
#include "http/serve/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <time.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <ctime>

#include "base/private_file.h"

namespace kvcs::http {
namespace {

constexpr unsigned char kAlpn[] = "\x08http/1.1";

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown OpenSSL error";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

// A client that offers ALPN without http/1.1 still gets HTTP/1.1, as one that offers none.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kAlpn, sizeof kAlpn - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

TlsSession::~TlsSession() {
  if (!broken_ && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
  SSL_free(ssl_);
  ERR_clear_error();
}

IoResult TlsSession::outcome(int result) {
  wants_read_ = wants_write_ = false;
  if (result > 0) return {Io::kDone, static_cast<size_t>(result)};
  // Either direction may need the other one: a read may have to write first, after a key update.
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      wants_read_ = true;
      return {Io::kWouldBlock};
    case SSL_ERROR_WANT_WRITE:
      wants_write_ = true;
      return {Io::kWouldBlock};
    case SSL_ERROR_ZERO_RETURN:
      return {Io::kClosed};
    default:
      broken_ = true;  // After a protocol or socket error nothing more may be called on it.
      ERR_clear_error();
      return {Io::kClosed};
  }
}

IoResult TlsSession::handshake() {
  if (broken_) return {Io::kClosed};
  ERR_clear_error();
  const int result = SSL_accept(ssl_);
  met_http_ = result <= 0 && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST;
  return outcome(result);
}

IoResult TlsSession::receive(std::span<char> out) {
  if (broken_) return {Io::kClosed};
  ERR_clear_error();
  return outcome(
      SSL_read(ssl_, out.data(), static_cast<int>(std::min<size_t>(out.size(), INT_MAX))));
}

IoResult TlsSession::send(std::string_view bytes) {
  if (broken_) return {Io::kClosed};
  ERR_clear_error();
  return outcome(
      SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX))));
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

Status TlsContext::load(const TlsConfig& config) {
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> fresh(SSL_CTX_new(TLS_server_method()),
                                                     SSL_CTX_free);
  if (!fresh) return internal("SSL_CTX_new: " + openssl_error());
  SSL_CTX* context = fresh.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A write that is repeated may come with another buffer address (the writer joins and moves), and
  // idle sessions give their buffers back.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");  // TLS 1.2; 1.3 has its own.
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context, config.certificate_path.c_str()) != 1) {
    return Status(Code::kInvalid,
                  "Cannot read the TLS certificate " + config.certificate_path + ".")
        .with_cause(openssl_error());
  }
  if (SSL_CTX_use_PrivateKey_file(context, config.key_path.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return Status(Code::kInvalid, "The TLS key " + config.key_path +
                                      " cannot be read or does not belong to the certificate " +
                                      config.certificate_path + ".")
        .with_cause(openssl_error());
  }
  warn_if_others_can_read(config.key_path);
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context)), &end) == 1) {
    expires_s_ = ::timegm(&end);
  }
  MutexLock lock(mutex_);
  SSL_CTX_free(context_);  // Sessions hold their own reference.
  context_ = fresh.release();
  return ok();
}

std::unique_ptr<TlsSession> TlsContext::accept(int socket) {
  MutexLock lock(mutex_);
  SSL* ssl = SSL_new(context_);
  if (ssl == nullptr) return nullptr;
  if (SSL_set_fd(ssl, socket) != 1) {
    SSL_free(ssl);
    return nullptr;
  }
  SSL_set_accept_state(ssl);
  return std::make_unique<TlsSession>(ssl);
}

}  // namespace kvcs::http
