// The libcurl engine's shared half: a driver (multi and easy handle) per connection, the pool of
// drivers, and what all transfers share: names, TLS sessions, certificates.
#include <curl/curl.h>
#include <openssl/x509.h>
#include <poll.h>

#include <algorithm>

#include "base/bytes.h"
#include "http/client/curl_common.h"
#include "http/client/curl_upstream.h"

namespace kvcs::http {
namespace {

// libcurl itself drops connections unused for longer.
constexpr int64_t kIdleMaxUs = 60'000'000;

class CurlEngine final : public UpstreamEngine {
 public:
  CurlEngine(const UpstreamConfig& config, const Clock& clock, AddressBook* book)
      : shared_(config, clock, book) {}
  const EngineCounters& counters() const override { return shared_.counters; }
  Result<std::unique_ptr<UpstreamResponse>> open_checked(const UpstreamRequest& request,
                                                         UpstreamUrl url) override {
    return open_with_curl(shared_, request, std::move(url));
  }

 private:
  CurlShared shared_;
};

}  // namespace

CurlDriver::CurlDriver() : multi_(curl_multi_init()), easy_(curl_easy_init()) {
  KVCS_ASSERT(multi_ != nullptr && easy_ != nullptr);
  // libcurl says by two callbacks what it waits for: which sockets, and until when. The exchange
  // waits for these itself, so that a request may be parked meanwhile.
  const curl_socket_callback socket_changed = [](CURL* easy, curl_socket_t socket, int what,
                                                 void* self, void* ours) {
    return on_socket(easy, socket, what, self, ours);
  };
  const curl_multi_timer_callback timer_changed = [](CURLM* multi, long timeout_ms, void* self) {
    return on_timer(multi, timeout_ms, self);
  };
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, socket_changed);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, timer_changed);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

CurlDriver::~CurlDriver() {
  detach_transfer();
  curl_easy_cleanup(easy_);
  curl_multi_cleanup(multi_);
}

void CurlDriver::attach() {
  KVCS_ASSERT(curl_multi_add_handle(multi_, easy_) == CURLM_OK);
  attached_ = true;
}

void CurlDriver::detach_transfer() {
  if (attached_) curl_multi_remove_handle(multi_, easy_);
  attached_ = false;
}

int CurlDriver::on_socket(void*, int socket, int what, void* self_pointer, void*) {
  auto& self = *static_cast<CurlDriver*>(self_pointer);
  // Called again for a socket whose wishes change: the old entry goes first.
  std::erase_if(self.awaited_, [&](const Awaited& one) { return one.socket == socket; });
  if (what == CURL_POLL_REMOVE) return 0;
  const int events =
      ((what & CURL_POLL_IN) != 0 ? POLLIN : 0) | ((what & CURL_POLL_OUT) != 0 ? POLLOUT : 0);
  self.awaited_.push_back({socket, static_cast<short>(events)});
  return 0;
}

int CurlDriver::on_timer(void*, long timeout_ms, void* self_pointer) {
  auto& self = *static_cast<CurlDriver*>(self_pointer);
  self.timer_.reset();
  if (timeout_ms >= 0) {
    self.timer_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  }
  return 0;
}

int CurlDriver::timer_ms() const {
  if (!timer_) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*timer_ - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

int CurlDriver::act(int ready_socket) {
  int running = 0;
  // 0: libcurl looks itself what the socket is ready for.
  return curl_multi_socket_action(multi_, ready_socket >= 0 ? ready_socket : CURL_SOCKET_TIMEOUT, 0,
                                  &running);
}

CurlShared::CurlShared(const UpstreamConfig& config_in, const Clock& clock_in, AddressBook* book_in)
    : config(config_in),
      clock(clock_in),
      book(book_in),
      pool(config.connections_per_host_max, config.connections_idle_max, kIdleMaxUs) {
  init_curl_once();
  CURLSH* handle = curl_share_init();
  KVCS_ASSERT(handle != nullptr);
  const curl_lock_function lock = [](CURL* easy, curl_lock_data data, curl_lock_access access,
                                     void* user) { lock_share(easy, data, access, user); };
  const curl_unlock_function unlock = [](CURL* easy, curl_lock_data data, void* user) {
    unlock_share(easy, data, user);
  };
  curl_share_setopt(handle, CURLSHOPT_LOCKFUNC, lock);
  curl_share_setopt(handle, CURLSHOPT_UNLOCKFUNC, unlock);
  curl_share_setopt(handle, CURLSHOPT_USERDATA, this);
  // Not shared: connections, which belong to one driver and its rule about private addresses.
  curl_share_setopt(handle, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
  curl_share_setopt(handle, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  share = handle;
}

CurlShared::~CurlShared() {
  pool.clear();  // Its handles use the share.
  curl_share_cleanup(share);
  MutexLock lock(certificates_mutex_);
  X509_STORE_free(static_cast<X509_STORE*>(certificates_));
}

// Locked here and unlocked in the next call of libcurl: no scope that the analysis could follow.
void CurlShared::lock_share(void*, int data, int, void* user) KVCS_TSA(no_thread_safety_analysis) {
  static_cast<CurlShared*>(user)->share_locks_[data % kLocks].lock();
}

void CurlShared::unlock_share(void*, int data, void* user) KVCS_TSA(no_thread_safety_analysis) {
  static_cast<CurlShared*>(user)->share_locks_[data % kLocks].unlock();
}

// One store for all connections: a copy per connection costs megabytes and milliseconds.
Result<void*> CurlShared::certificates() {
  MutexLock lock(certificates_mutex_);
  if (certificates_ != nullptr) return certificates_;
  X509_STORE* store = X509_STORE_new();
  const bool read = config.ca_file.empty()
                        ? X509_STORE_set_default_paths(store) == 1
                        : X509_STORE_load_file(store, config.ca_file.c_str()) == 1;
  if (!read) {
    X509_STORE_free(store);
    return upstream_failed("the trusted certificates cannot be read",
                           config.ca_file.empty() ? "the system's" : printable(config.ca_file))
        .with_reason("tls_failed");
  }
  certificates_ = store;
  return certificates_;
}

std::unique_ptr<UpstreamEngine> make_curl_engine(const UpstreamConfig& config, const Clock& clock,
                                                 AddressBook* book) {
  return std::make_unique<CurlEngine>(config, clock, book);
}

}  // namespace kvcs::http
