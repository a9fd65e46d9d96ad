// One exchange by libcurl: options, callbacks, and the loop that lets libcurl act and then waits
// for what it awaits. Used by one request, on whatever thread it is at.
#include "http/client/curl_upstream.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/descriptor_room.h"
#include "base/file.h"
#include "base/wait.h"
#include "http/client/curl_common.h"

namespace kvcs::http {
namespace {

// With the 16 KiB that libcurl hands over at once and the part already read, below 256 KiB.
constexpr size_t kBufferPauseBytes = 96 << 10;
constexpr size_t kBufferResumeBytes = 32 << 10;
constexpr size_t kCopiedBodyMaxBytes = 64
                                       << 10;  // Small enough to leave in one piece with the head.

// One exchange; also the response once the head is in. libcurl pushes bytes into callbacks, and
// read() pulls them: the buffer in between is bounded by pausing the transfer.
class CurlExchange final : public UpstreamResponse {
 public:
  CurlExchange(CurlShared& shared, const UpstreamRequest& request, UpstreamUrl url)
      : shared_(shared),
        url_(std::move(url)),
        timer_(request, shared.clock),
        waiter_(current_waiter()),
        head_max_bytes_(request.head_max_bytes),
        connect_timeout_ms_(request.connect_timeout_ms),
        private_allowed_(request.allow_private_addresses),
        idempotent_(is_idempotent(request.method)) {}
  CurlExchange(const CurlExchange&) = delete;
  CurlExchange& operator=(const CurlExchange&) = delete;
  ~CurlExchange() override;

  Status run_to_head(const UpstreamRequest& request);

  int status() const override { return head_.status(); }
  const HeaderList& headers() const override { return head_.headers(); }
  Result<size_t> read(std::span<char> out) override;
  bool client_left() const override { return timer_.client_left(); }
  void note_client_left() override { timer_.note_client_left(); }

 private:
  Status open_to_head(const UpstreamRequest& request);
  Result<size_t> read_body(std::span<char> out);
  void set_transfer_options(const UpstreamRequest& request);
  void set_tls_options();
  void set_body(const UpstreamRequest& request);
  void set_headers(const UpstreamRequest& request);

  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  static size_t on_upload(char* out, size_t size, size_t count, void* self);
  static int on_rewind(void* self, curl_off_t offset, int origin);
  static int on_connected(void* self, char* peer_ip, char* own_ip, int peer_port, int own_port);
  static curl_socket_t on_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static CURLcode on_tls(CURL* easy, void* context, void* store);

  Status wait_until(bool (CurlExchange::*ready)() const);
  bool head_is_in() const { return head_done_; }
  bool body_is_in() const { return buffered() > 0; }
  size_t buffered() const { return buffer_.size() - consumed_; }
  bool may_send() const;
  void note_progress();
  void collect_result();
  Status wait_and_act();
  Result<int> poll_many(int timeout_ms);
  Status act(int ready_socket);
  Status finish();
  Status failure(CURLcode code) const;
  Status connection_failure(CURLcode code) const;
  Status not_connected() const;
  Status exchange_failure(CURLcode code) const;
  // Ends the transfer, whose connection goes to the pool when it can be used again.
  void leave(bool reusable);

  CURL* easy() const { return driver_->easy(); }
  template <typename Value>
  void set(CURLoption option, Value value) {
    KVCS_ASSERT(curl_easy_setopt(easy(), option, value) == CURLE_OK);
  }

  CurlShared& shared_;
  const UpstreamUrl url_;
  std::string key_;
  std::unique_ptr<CurlDriver> driver_;  // Null once the exchange is over.
  bool leased_ = false;
  curl_slist* header_list_ = nullptr;
  ExchangeTimer timer_;
  Waiter& waiter_;
  const size_t head_max_bytes_;
  const int connect_timeout_ms_;
  const bool private_allowed_;
  const bool idempotent_;
  bool address_refused_ = false, descriptors_short_ = false;

  std::string_view upload_;  // The request's until open() returns, then of owned_upload_.
  std::string owned_upload_;
  size_t uploaded_ = 0;

  ResponseHead head_;
  size_t head_bytes_ = 0;
  bool head_done_ = false, head_too_large_ = false, head_malformed_ = false;
  std::string buffer_;
  size_t consumed_ = 0;
  bool paused_ = false;
  curl_off_t moved_bytes_ = 0;
  bool over_ = false;
  CURLcode outcome_ = CURLE_OK;
  Status failed_;
  char error_text_[CURL_ERROR_SIZE] = {};
};

CurlExchange::~CurlExchange() {
  leave(false);
  curl_slist_free_all(header_list_);
}

// Gives the connection back, or closes it: the only way to tell an HTTP/1.1 peer to stop.
void CurlExchange::leave(bool reusable) {
  if (!leased_) return;
  leased_ = false;
  if (driver_) driver_->detach_transfer();
  if (!reusable) driver_.reset();
  shared_.pool.release(key_, std::move(driver_), shared_.clock.mono_us());
}

Status CurlExchange::run_to_head(const UpstreamRequest& request) {
  return timer_.worded(open_to_head(request));
}

Status CurlExchange::open_to_head(const UpstreamRequest& request) {
  // A connection that was opened to a private address is never used for a request that may not
  // reach one: the rule is part of the key.
  key_ = (url_.https ? "s" : "p") + std::string(private_allowed_ ? "+" : "-") + url_.host + ":" +
         std::to_string(url_.port);
  driver_ = KVCS_TRY(shared_.pool.acquire(key_, shared_.clock.mono_us()));
  leased_ = true;
  if (!driver_) {
    driver_ = std::make_unique<CurlDriver>();
  } else {
    curl_easy_reset(easy());
  }
  set_transfer_options(request);
  if (url_.https) {
    void* store = KVCS_TRY(shared_.certificates());
    set(CURLOPT_SSL_CTX_DATA, store);
    set_tls_options();
  }
  set_body(request);
  set_headers(request);
  driver_->attach();
  Status waited = wait_until(&CurlExchange::head_is_in);
  if (!waited.ok()) {
    leave(false);
    return waited;
  }
  if (shared_.book != nullptr && !url_.https && driver_) {
    // The plain engine may use the address that libcurl found next time.
    const char* address = nullptr;
    curl_easy_getinfo(easy(), CURLINFO_PRIMARY_IP, &address);
    if (address != nullptr) shared_.book->remember(url_, address);
  }
  if (driver_ && over_ && outcome_ == CURLE_OK) leave(true);
  if (driver_ && uploaded_ < upload_.size()) {
    // The answer came before the request was read; the caller's body goes away now.
    owned_upload_ = upload_.substr(uploaded_);
    upload_ = owned_upload_;
    uploaded_ = 0;
  }
  return ok();
}

void CurlExchange::set_transfer_options(const UpstreamRequest& request) {
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(error_text_));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_SHARE, static_cast<CURLSH*>(shared_.share));
  set(CURLOPT_URL, url_.to_string().c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  // The URL is sent as it was checked: libcurl neither tidies the path nor follows a redirect.
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");  // The environment's proxies are not ours.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_DNS_CACHE_TIMEOUT, static_cast<long>(shared_.config.dns_cache_s));
  set(CURLOPT_QUICK_EXIT, 1L);  // A hanging name server must not hold up a cancellation.
  int connect_ms = std::max(1, connect_timeout_ms_);
  if (request.deadline_ms > 0) connect_ms = std::min(connect_ms, request.deadline_ms);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect_ms));
  set(CURLOPT_HEADERFUNCTION, &CurlExchange::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &CurlExchange::on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_OPENSOCKETFUNCTION, &CurlExchange::on_socket);
  set(CURLOPT_OPENSOCKETDATA, this);
  set(CURLOPT_PREREQFUNCTION, &CurlExchange::on_connected);
  set(CURLOPT_PREREQDATA, this);
}

void CurlExchange::set_tls_options() {
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_CAINFO, static_cast<char*>(nullptr));  // on_tls brings the certificates.
  set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  set(CURLOPT_SSL_CTX_FUNCTION, &CurlExchange::on_tls);
}

void CurlExchange::set_body(const UpstreamRequest& request) {
  // RFC 9110 §8.6: methods that usually have a body say so with a length of 0.
  const bool has_body = !request.body.empty() || request.method == "POST" ||
                        request.method == "PUT" || request.method == "PATCH";
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (!has_body) {
    set(CURLOPT_HTTPGET, 1L);
  } else {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    if (request.body.size() <= kCopiedBodyMaxBytes) {
      set(CURLOPT_COPYPOSTFIELDS, request.body.c_str());
    } else {
      upload_ = request.body;
      set(CURLOPT_READFUNCTION, &CurlExchange::on_upload);
      set(CURLOPT_READDATA, this);
      set(CURLOPT_SEEKFUNCTION, &CurlExchange::on_rewind);
      set(CURLOPT_SEEKDATA, this);
      set(CURLOPT_UPLOAD_BUFFERSIZE, 64L << 10);
    }
  }
  if (request.method != "HEAD") set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void CurlExchange::set_headers(const UpstreamRequest& request) {
  bool has_agent = false, has_accept = false, has_type = false;
  std::string line;
  const auto append = [&](std::string_view text) {
    header_list_ = curl_slist_append(header_list_, std::string(text).c_str());
    KVCS_ASSERT(header_list_ != nullptr);
  };
  for (const auto& [name, value] : request.headers) {
    if (is_engine_header(name)) continue;
    has_agent = has_agent || equal_ignore_case(name, "user-agent");
    has_accept = has_accept || equal_ignore_case(name, "accept");
    has_type = has_type || equal_ignore_case(name, "content-type");
    // libcurl takes "Name:" as a wish to leave the header out, and "Name;" as one without a value.
    const bool blank = trim(value).empty();
    line.assign(name).append(blank ? ";" : ": ").append(blank ? "" : value);
    append(line);
  }
  // A name with nothing behind its colon keeps libcurl from adding that header.
  append("Expect:");
  if (!has_accept) append("Accept:");
  if (!has_type) append("Content-Type:");
  if (!has_agent) set(CURLOPT_USERAGENT, shared_.config.user_agent.c_str());
  set(CURLOPT_HTTPHEADER, header_list_);
}

// Called for each line of a head: those of interim responses, which start() forgets again, and of
// trailers, which are dropped.
size_t CurlExchange::on_header(char* data, size_t size, size_t count, void* self_pointer) {
  auto& self = *static_cast<CurlExchange*>(self_pointer);
  const size_t bytes = size * count;
  self.timer_.touch();
  self.head_bytes_ += bytes;
  if (self.head_bytes_ > self.head_max_bytes_) {
    self.head_too_large_ = true;
    return 0;
  }
  if (self.head_done_) return bytes;  // Trailers.
  std::string_view line(data, bytes);
  if (!line.ends_with('\n')) return bytes;  // Cut off; libcurl ends the transfer next.
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  bool good = true;
  if (line.empty()) {
    good = self.head_.status() != 101 && self.head_.status() != 0;
    self.head_done_ = !self.head_.interim();
    if (self.head_done_) self.head_.finish();
  } else if (line.starts_with("HTTP/")) {
    good = self.head_.start(line);
  } else {
    good = self.head_.status() != 0 && self.head_.add(line);
  }
  self.head_malformed_ = !good;
  return good ? bytes : 0;
}

size_t CurlExchange::on_body(char* data, size_t size, size_t count, void* self_pointer) {
  auto& self = *static_cast<CurlExchange*>(self_pointer);
  if (self.buffered() >= kBufferPauseBytes) {
    self.paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  // Moves the rest down only when it is the smaller half, so that each byte is moved once on
  // average.
  if (self.consumed_ > self.buffer_.size() / 2) {
    self.buffer_.erase(0, self.consumed_);
    self.consumed_ = 0;
  }
  self.buffer_.append(data, size * count);
  self.shared_.counters.saw_buffered(static_cast<int64_t>(self.buffer_.size()));
  return size * count;
}

size_t CurlExchange::on_upload(char* out, size_t size, size_t count, void* self_pointer) {
  auto& self = *static_cast<CurlExchange*>(self_pointer);
  const size_t n = std::min(size * count, self.upload_.size() - self.uploaded_);
  std::memcpy(out, self.upload_.data() + self.uploaded_, n);
  self.uploaded_ += n;
  return n;
}

int CurlExchange::on_rewind(void* self_pointer, curl_off_t offset, int origin) {
  auto& self = *static_cast<CurlExchange*>(self_pointer);
  if (origin != SEEK_SET || offset < 0 || !self.owned_upload_.empty()) return CURL_SEEKFUNC_FAIL;
  self.uploaded_ = std::min(static_cast<size_t>(offset), self.upload_.size());
  return CURL_SEEKFUNC_OK;
}

// By itself libcurl repeats any request, a POST too, whose connection came from the pool and ended
// before the first byte of a response. What must not be repeated is refused by the two callbacks
// below: when it opens the new socket, and when it is about to send.
bool CurlExchange::may_send() const {
  if (!timer_.sent() || idempotent_ || uploaded_ < upload_.size()) return true;
  long sent_bytes = 0;  // Of all tries, with the bodies that left together with their heads.
  curl_easy_getinfo(easy(), CURLINFO_REQUEST_SIZE, &sent_bytes);
  return sent_bytes == 0;
}

// The connection stands, and libcurl sends next.
int CurlExchange::on_connected(void* self_pointer, char*, char*, int, int) {
  auto& self = *static_cast<CurlExchange*>(self_pointer);
  if (!self.may_send()) return CURL_PREREQFUNC_ABORT;
  self.timer_.note_sent();
  return CURL_PREREQFUNC_OK;
}

// The address that is really connected to: a name that resolves differently the second time does
// not get past this.
curl_socket_t CurlExchange::on_socket(void* self_pointer, curlsocktype, curl_sockaddr* address) {
  auto& self = *static_cast<CurlExchange*>(self_pointer);
  if (!self.may_send()) return CURL_SOCKET_BAD;
  if (!self.private_allowed_ && is_private_address(&address->addr)) {
    self.address_refused_ = true;
    return CURL_SOCKET_BAD;
  }
  Descriptor socket(::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol));
  if (socket.valid() && !leaves_room(socket.get())) {
    self.descriptors_short_ = true;
    return CURL_SOCKET_BAD;
  }
  self.shared_.counters.opened++;
  return socket.release();
}

CURLcode CurlExchange::on_tls(CURL*, void* context, void* store) {
  SSL_CTX_set1_cert_store(static_cast<SSL_CTX*>(context), static_cast<X509_STORE*>(store));
  return CURLE_OK;
}

Status CurlExchange::wait_until(bool (CurlExchange::*ready)() const) {
  timer_.touch();
  KVCS_TRY(act(-1));
  // Each turn: what has ended, whether the caller's wish is fulfilled, the deadlines, a wait.
  for (;;) {
    collect_result();
    if ((this->*ready)()) return ok();
    if (over_) return finish();
    note_progress();
    KVCS_TRY(timer_.check(url_.authority));
    KVCS_TRY(wait_and_act());
  }
}

Status CurlExchange::act(int ready_socket) {
  const auto acted = static_cast<CURLMcode>(driver_->act(ready_socket));
  if (acted == CURLM_OK) return ok();
  return server_failed(url_.authority, "could not be asked", "truncated",
                       curl_multi_strerror(acted));
}

Status CurlExchange::wait_and_act() {
  int wait_ms = timer_.wait_ms();
  if (const int timer_ms = driver_->timer_ms(); timer_ms >= 0)
    wait_ms = std::min(wait_ms, timer_ms);
  if (driver_->awaited().size() != 1) return act(KVCS_TRY(poll_many(wait_ms)));
  const auto [socket, events] = driver_->awaited().front();
  const auto woken = waiter_.wait({socket, events, wait_ms, timer_.watches_client()});
  if (woken == Waiter::Woken::kClientGone) KVCS_TRY(timer_.wait_ended());
  return act(woken == Waiter::Woken::kReady ? socket : -1);
}

// While two addresses are tried side by side, or libcurl wants to act again in a moment and has no
// socket yet. This blocks the thread: a waiter takes one descriptor, both states are short, and the
// clock of parked requests is too coarse for the second. -1: none is ready.
Result<int> CurlExchange::poll_many(int timeout_ms) {
  std::vector<pollfd> entries;
  for (const auto& [socket, events] : driver_->awaited()) entries.push_back({socket, events, 0});
  if (timer_.watches_client() && waiter_.client_fd() >= 0) {
    entries.push_back({waiter_.client_fd(), POLLRDHUP, 0});
  }
  if (::poll(entries.data(), entries.size(), timeout_ms) <= 0) return -1;
  if (entries.size() > driver_->awaited().size() && entries.back().revents != 0) {
    KVCS_TRY(timer_.wait_ended());
  }
  for (size_t i = 0; i < driver_->awaited().size(); i++) {
    if (entries[i].revents != 0) return entries[i].fd;
  }
  return -1;
}

// Bytes of the request count as life too: a large upload may take longer than the idle time.
void CurlExchange::note_progress() {
  curl_off_t up = 0, down = 0;
  curl_easy_getinfo(easy(), CURLINFO_SIZE_UPLOAD_T, &up);
  curl_easy_getinfo(easy(), CURLINFO_SIZE_DOWNLOAD_T, &down);
  if (up + down != moved_bytes_) timer_.touch();
  moved_bytes_ = up + down;
}

void CurlExchange::collect_result() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(driver_->multi(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    over_ = true;
    outcome_ = message->data.result;
  }
}

// The transfer is over: the connection goes back to the pool at once, the buffer stays.
Status CurlExchange::finish() {
  if (outcome_ == CURLE_OK && head_done_) {
    leave(true);
    return ok();
  }
  Status failed = failure(outcome_);
  leave(false);
  return failed;
}

Result<size_t> CurlExchange::read(std::span<char> out) {
  KVCS_TRY(Status(failed_));
  Result<size_t> got = read_body(out);
  failed_ = got.ok() ? timer_.count_read(*got) : timer_.worded(std::move(got).status());
  if (failed_.ok()) return got;
  leave(false);
  return failed_;
}

Result<size_t> CurlExchange::read_body(std::span<char> out) {
  timer_.touch();
  if (driver_) KVCS_TRY(timer_.check(url_.authority));
  if (buffered() == 0 && driver_) {
    KVCS_TRY(wait_until(&CurlExchange::body_is_in));
    if (driver_ && over_ && outcome_ == CURLE_OK) leave(true);
  }
  const size_t n = std::min(out.size(), buffered());
  std::memcpy(out.data(), buffer_.data() + consumed_, n);
  consumed_ += n;
  if (buffered() == 0) {
    buffer_.clear();
    consumed_ = 0;
  }
  if (paused_ && driver_ && buffered() <= kBufferResumeBytes) {
    paused_ = false;
    curl_easy_pause(easy(), CURLPAUSE_CONT);
  }
  return n;
}

// libcurl's words for the log (the cause), ours for the caller, and a reason for code. Once the
// request has begun to leave, a connection that cannot be opened is one for its repeat.
Status CurlExchange::failure(CURLcode code) const {
  Status failed = timer_.sent() ? ok() : connection_failure(code);
  return failed.ok() ? exchange_failure(code) : failed;
}

// ok(): `code` is not about opening a connection.
Status CurlExchange::connection_failure(CURLcode code) const {
  if (is_tls_failure(code)) {
    return server_failed(url_.authority, "gave no trusted TLS connection", "tls_failed",
                         error_text_);
  }
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return server_failed(url_.authority, "has a name that cannot be resolved", "dns_failed",
                           error_text_);
    case CURLE_COULDNT_CONNECT:
      return not_connected();
    case CURLE_OPERATION_TIMEDOUT:
      return no_connection_within(url_.authority, connect_timeout_ms_);
    default:
      return ok();
  }
}

Status CurlExchange::not_connected() const {
  if (address_refused_) return private_address_refused(url_.authority);
  if (descriptors_short_) return no_descriptors_left().with_reason("upstream_busy");
  long system_error = 0;
  curl_easy_getinfo(easy(), CURLINFO_OS_ERRNO, &system_error);
  const char* why = system_error == ECONNREFUSED ? "refused the connection" : "is not reachable";
  return server_failed(url_.authority, why, "connect_failed", error_text_);
}

Status CurlExchange::exchange_failure(CURLcode code) const {
  if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
    return server_failed(url_.authority, "did not answer in HTTP", "not_http", error_text_);
  }
  if (head_too_large_) {
    return server_failed(url_.authority,
                         "sent a response head of more than " + format_bytes(head_max_bytes_),
                         "not_http");
  }
  if (head_malformed_) {
    return server_failed(url_.authority, "sent a malformed response head", "not_http");
  }
  return server_failed(
      url_.authority,
      head_done_ ? "broke off its response" : "closed the connection without a response",
      "truncated", error_text_);
}

}  // namespace

Result<std::unique_ptr<UpstreamResponse>> open_with_curl(CurlShared& shared,
                                                         const UpstreamRequest& request,
                                                         UpstreamUrl url) {
  auto exchange = std::make_unique<CurlExchange>(shared, request, std::move(url));
  KVCS_TRY(exchange->run_to_head(request));
  return std::unique_ptr<UpstreamResponse>(std::move(exchange));
}

}  // namespace kvcs::http
