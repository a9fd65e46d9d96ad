#include "support/loopback_server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"

namespace kvcs::test {

class LoopbackServer::Peer final : public LoopbackPeer {
 public:
  Peer(int descriptor, int number, void* tls_context) : descriptor_(descriptor), number_(number) {
    if (tls_context == nullptr) return;
    tls_ = SSL_new(static_cast<SSL_CTX*>(tls_context));
    SSL_set_fd(tls_, descriptor_);
  }
  ~Peer() override {
    SSL_free(tls_);
    if (reset_) {
      const linger now = {1, 0};
      ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  bool handshake() { return tls_ == nullptr || SSL_accept(tls_) == 1; }

  std::optional<std::string> read_until(std::string_view mark) override {
    size_t end;
    while ((end = input_.find(mark)) == std::string::npos) {
      if (!receive()) return std::nullopt;
    }
    std::string text = input_.substr(0, end);
    input_.erase(0, end + mark.size());
    return text;
  }
  std::optional<Request> read_request() override {
    std::optional<std::string> head = read_until("\r\n\r\n");
    if (!head) return std::nullopt;
    Request request{std::move(*head), {}};
    const std::string lower = lower_ascii(request.head);
    const size_t at = lower.find("\r\ncontent-length: ");
    size_t left = at == std::string::npos ? 0 : std::strtoull(lower.c_str() + at + 18, nullptr, 10);
    while (input_.size() < left) {
      if (!receive()) return std::nullopt;
    }
    request.body = input_.substr(0, left);
    input_.erase(0, left);
    return request;
  }
  bool send(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = tls_ != nullptr
                            ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                            : ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void reset() override { reset_ = true; }
  bool wait_closed() override {
    while (receive()) {
    }
    return !stopped_;
  }
  int number() const override { return number_; }
  void stop() {
    stopped_ = true;
    ::shutdown(descriptor_, SHUT_RDWR);
  }
  bool stopped() const { return stopped_; }
  bool client_closed() const { return client_closed_; }
  void finish() {  // The client sees the end now; the descriptor stays ours until destruction.
    if (tls_ != nullptr) SSL_shutdown(tls_);
    if (!reset_) ::shutdown(descriptor_, SHUT_RDWR);
    if (reset_) {
      const linger now = {1, 0};
      ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
  }

 private:
  bool receive() {
    char block[16 << 10];
    const ssize_t n = tls_ != nullptr ? SSL_read(tls_, block, sizeof block)
                                      : ::recv(descriptor_, block, sizeof block, 0);
    if (n <= 0) {
      client_closed_ = !stopped_;
      return false;
    }
    input_.append(block, static_cast<size_t>(n));
    return true;
  }

  int descriptor_;
  const int number_;
  SSL* tls_ = nullptr;
  std::string input_;
  bool reset_ = false;
  std::atomic<bool> stopped_{false}, client_closed_{false};
};

bool LoopbackPeer::answer(std::string_view body, std::string_view status) {
  return send("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
}

bool LoopbackPeer::send_chunk(std::string_view bytes) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return send(size + std::string(bytes) + "\r\n");
}

LoopbackServer::LoopbackServer(Behaviour behaviour, std::string certificate_path,
                               std::string key_path)
    : behaviour_(std::move(behaviour)) {
  ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL.
  if (!certificate_path.empty()) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, certificate_path.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key_path.c_str(), SSL_FILETYPE_PEM) != 1) {
      std::abort();
    }
    tls_ = context;
  }
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, any, size) != 0 || ::listen(listener_, 1024) != 0 ||
      ::getsockname(listener_, any, &size) != 0 || ::pipe(wake_) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_.emplace("test-accept", [this] { accept_loop(); });
}

LoopbackServer::~LoopbackServer() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (auto& peer : peers_) peer->stop();
  }
  [[maybe_unused]] const ssize_t woken = ::write(wake_[1], "x", 1);
  acceptor_->join();
  threads_.clear();
  peers_.clear();
  for (const int descriptor : {listener_, wake_[0], wake_[1]}) ::close(descriptor);
  SSL_CTX_free(static_cast<SSL_CTX*>(tls_));
}

void LoopbackServer::accept_loop() {
  for (;;) {
    pollfd watched[2] = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    ::poll(watched, 2, -1);
    if (watched[1].revents != 0) return;
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) continue;
    const int one = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Peer* peer = nullptr;
    {
      MutexLock lock(mutex_);
      peers_.push_back(std::make_unique<Peer>(descriptor, accepted_++, tls_));
      peer = peers_.back().get();
      if (stopping_) peer->stop();
      changed_.notify_all();
    }
    threads_.emplace_back("test-peer", [this, peer] { serve(*peer); });
  }
}

void LoopbackServer::serve(Peer& peer) {
  if (peer.handshake()) behaviour_(peer);
  peer.finish();
  MutexLock lock(mutex_);
  if (peer.client_closed()) client_closed_++;
  changed_.notify_all();
  peers_.remove_if([&](const auto& each) { return each.get() == &peer; });
}

std::string LoopbackServer::url(std::string_view path) const {
  return (tls_ != nullptr ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(port_) +
         std::string(path);
}

int LoopbackServer::accepted_count() const {
  MutexLock lock(mutex_);
  return accepted_;
}

bool LoopbackServer::wait_client_closed_count(int count) {
  constexpr int64_t kPatienceMs = 5'000;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  MutexLock lock(mutex_);
  while (client_closed_ < count) {
    if (std::chrono::steady_clock::now() >= until) return false;
    changed_.wait_for_ms(mutex_, kPatienceMs);
  }
  return true;
}

LoopbackServer::Behaviour answer_always(std::string body) {
  return [body = std::move(body)](LoopbackPeer& peer) {
    while (peer.read_request() && peer.answer(body)) {
    }
  };
}

void make_self_signed(const std::string& certificate_path, const std::string& key_path) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  for (const auto& [id, value] : {std::pair{NID_subject_alt_name, "DNS:localhost"},
                                  std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  FILE* out = std::fopen(certificate_path.c_str(), "w");
  PEM_write_X509(out, certificate);
  std::fclose(out);
  out = std::fopen(key_path.c_str(), "w");
  PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

}  // namespace kvcs::test
