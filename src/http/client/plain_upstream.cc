// The plain engine: HTTP/1.1 over TCP, for http:// hosts whose address is known. Against libcurl it
// saves two thirds of the work per exchange: one sendmsg, one wait and one recv on a pooled socket.
//
// As strict as a client can be: what two parsers could read in two ways is a failure, or at least
// ends the connection, so that no answer is ever taken for that of another request.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/descriptor_room.h"
#include "base/wait.h"
#include "http/client/connection_pool.h"
#include "http/client/upstream_engines.h"
#include "http/client/upstream_rules.h"
#include "http/wire/chunked_body.h"
#include "http/wire/socket_io.h"

namespace kvcs::http {
namespace {

constexpr int64_t kIdleMaxUs = 60'000'000;
// Each segment of a body that is at least so long does not wake a thread.
constexpr uint64_t kLongBodyBytes = 256 << 10;
constexpr size_t kBufferBytes = 8 << 10;  // Grows to head_max_bytes for a large head only.

// A socket and what was received but not used.
struct PlainConnection {
  explicit PlainConnection(int descriptor_in) : descriptor(descriptor_in), bytes(kBufferBytes) {}
  PlainConnection(const PlainConnection&) = delete;
  PlainConnection& operator=(const PlainConnection&) = delete;
  ~PlainConnection() {
    registration.reset();
    ::close(descriptor);
  }

  std::string_view unused() const { return {bytes.data() + begin, end - begin}; }
  void use(size_t n) {
    begin += n;
    if (begin == end) begin = end = 0;
  }
  // A peer that closed, or that talks without being asked, is not asked again.
  // The socket itself is asked, for the event of a close may still be on its way.
  bool fit_for_reuse() const { return is_quiet(descriptor); }

  const int descriptor;
  std::unique_ptr<Registration> registration;  // For waits in requests; null: none yet.
  std::vector<char> bytes;
  size_t begin = 0, end = 0;
};
using PlainPool = ConnectionPool<PlainConnection>;

// The state that all exchanges of the engine share; each member is thread-safe or immutable.
struct PlainShared {
  UpstreamConfig config;
  const Clock& clock;
  AddressBook& book;
  PlainPool pool;
  EngineCounters counters;
};

// One exchange, from the lease of a connection to its return; also the response once the head is
// in. Phases: connect, send while reading (exchange_heads), read the body. Used by one request.
class PlainExchange final : public UpstreamResponse {
 public:
  PlainExchange(PlainShared& shared, const UpstreamRequest& request, UpstreamUrl url)
      : shared_(shared),
        url_(std::move(url)),
        timer_(request, shared.clock),
        waiter_(current_waiter()),
        head_max_bytes_(request.head_max_bytes),
        connect_timeout_ms_(request.connect_timeout_ms) {}
  PlainExchange(const PlainExchange&) = delete;
  PlainExchange& operator=(const PlainExchange&) = delete;
  ~PlainExchange() override { leave(false); }

  Status run_to_head(const UpstreamRequest& request);
  int status() const override { return head_.status(); }
  const HeaderList& headers() const override { return head_.headers(); }
  Result<size_t> read(std::span<char> out) override;
  bool client_left() const override { return timer_.client_left(); }
  void note_client_left() override { timer_.note_client_left(); }

 private:
  Status open_to_head(const UpstreamRequest& request);
  // How the response's end is known (RFC 9112 §6.3).
  enum class Body : uint8_t { kNone, kLength, kChunked, kUntilClose };

  Status connect(bool private_allowed);
  Status finish_connect();
  Status connect_failed(int error_number);
  bool may_send_again(const UpstreamRequest& request) const;
  void write_head(const UpstreamRequest& request);
  Status exchange_heads();
  void keep_unsent();
  void send_unsent();
  Status receive_to_buffer();
  IoResult receive(std::span<char> out);
  Result<bool> parse_heads();
  Result<bool> parse_one_head();
  Status choose_body();
  Status choose_length(std::string_view text);
  Result<bool> wait(short events, int limit_ms = -1);
  Status wait_for_answer();
  Result<size_t> read_body(std::span<char> out);
  Result<size_t> read_buffered(std::span<char> out);
  Result<size_t> receive_body(std::span<char> out);
  bool unsent() const { return !write_broken_ && sent_bytes_ < to_send_bytes_; }
  bool reusable() const {
    return persistent_ && !write_broken_ && sent_bytes_ == to_send_bytes_ &&
           connection_->unused().empty();
  }
  void body_finished() { leave(reusable()); }
  void leave(bool reusable);
  Status not_http(std::string_view why) const {
    return server_failed(url_.authority, why, "not_http");
  }
  Status broken_off(int error_number) const;

  PlainShared& shared_;
  const UpstreamUrl url_;
  std::string key_;
  std::unique_ptr<PlainConnection> connection_;  // Null once the exchange is over.
  bool leased_ = false;
  bool closed_early_ = false;  // The peer was gone before one byte of its response.
  ExchangeTimer timer_;
  Waiter& waiter_;
  const size_t head_max_bytes_;
  const int connect_timeout_ms_;

  std::string request_head_;
  std::string_view request_body_;  // The caller's until open() returns, then of unsent_body_.
  std::string unsent_body_;
  size_t sent_bytes_ = 0, to_send_bytes_ = 0;
  bool write_broken_ = false;  // The peer reads no more; it may still have answered.
  bool wants_no_body_ = false;
  ResponseHead head_;
  size_t head_bytes_ = 0;  // Of interim heads too.
  size_t scanned_ = 0;     // In unused(): no end of head before it.
  Body body_ = Body::kNone;
  uint64_t left_ = 0;
  ChunkedBody chunked_;
  bool persistent_ = false;
  bool more_waits_ = false;  // The last recv filled its buffer: ask again before polling.
  Status failed_;
};

// The end of the lease. A connection is reusable only when the whole request was sent and the whole
// response read.
void PlainExchange::leave(bool reusable) {
  if (!leased_) return;
  leased_ = false;
  if (!reusable) connection_.reset();
  shared_.pool.release(key_, std::move(connection_), timer_.touched_us());
}

Status PlainExchange::run_to_head(const UpstreamRequest& request) {
  return timer_.worded(open_to_head(request));
}

Status PlainExchange::open_to_head(const UpstreamRequest& request) {
  key_ = url_.authority + (request.allow_private_addresses ? "+" : "-");
  connection_ = KVCS_TRY(shared_.pool.acquire(key_, timer_.started_us()));
  leased_ = true;
  if (connection_ && !connection_->fit_for_reuse()) connection_.reset();
  const bool reused = connection_ != nullptr;
  if (!reused) KVCS_TRY(connect(request.allow_private_addresses));
  write_head(request);
  Status outcome = exchange_heads();
  if (reused && may_send_again(request)) {
    connection_.reset();
    closed_early_ = write_broken_ = false;
    sent_bytes_ = 0;
    const Status connected = connect(request.allow_private_addresses);
    // What has left on the first connection has left, whatever becomes of the second.
    if (surely_not_sent(connected) && timer_.sent()) return outcome;
    KVCS_TRY(Status(connected));
    outcome = exchange_heads();
  }
  KVCS_TRY(std::move(outcome));
  if (body_ == Body::kNone || (body_ == Body::kLength && left_ == 0)) body_finished();
  keep_unsent();
  return ok();
}

// The peer closed a connection from the pool, and began no answer. If all of the request has left,
// the peer may have read it before it closed.
bool PlainExchange::may_send_again(const UpstreamRequest& request) const {
  return closed_early_ && (sent_bytes_ < to_send_bytes_ || is_idempotent(request.method));
}

Status PlainExchange::connect(bool private_allowed) {
  const auto address = shared_.book.find(url_);
  if (!address) {
    return server_failed(url_.authority, "has a name that cannot be resolved", "dns_failed");
  }
  if (!private_allowed && is_private_address(&address->any)) {
    return private_address_refused(url_.authority);
  }
  const Connecting begun = begin_connect(&address->any, address->size_bytes());
  if (begun.socket < 0) return connect_failed(begun.error_number);
  connection_ = std::make_unique<PlainConnection>(begun.socket);
  if (!leaves_room(begun.socket)) return no_descriptors_left().with_reason("upstream_busy");
  shared_.counters.opened++;
  if (!begun.ready) KVCS_TRY(finish_connect());
  timer_.touch();
  return ok();
}

// connect(2) is under way: the socket is writable once it has succeeded or failed.
Status PlainExchange::finish_connect() {
  const int64_t begun_us = shared_.clock.mono_us();
  for (;;) {
    const int64_t left_ms = connect_timeout_ms_ - (shared_.clock.mono_us() - begun_us) / 1000;
    if (left_ms <= 0) {
      shared_.book.forget(url_);
      return no_connection_within(url_.authority, connect_timeout_ms_);
    }
    if (!KVCS_TRY(wait(POLLOUT, static_cast<int>(left_ms)))) continue;
    const int error_number = connect_error(connection_->descriptor);
    return error_number == 0 ? ok() : connect_failed(error_number);
  }
}

Status PlainExchange::connect_failed(int error_number) {
  shared_.book.forget(url_);  // Next time libcurl resolves the name again.
  const char* why = error_number == ECONNREFUSED ? "refused the connection" : "is not reachable";
  return server_failed(url_.authority, why, "connect_failed", std::strerror(error_number));
}

// The head in one string; the body is sent from where it is, behind it in one sendmsg.
void PlainExchange::write_head(const UpstreamRequest& request) {
  std::string& head = request_head_;
  head.reserve(512);
  head.append(request.method).append(" ").append(url_.target);
  head.append(" HTTP/1.1\r\nHost: ").append(url_.authority).append("\r\n");
  bool has_agent = false;
  for (const auto& [name, value] : request.headers) {
    if (is_engine_header(name)) continue;
    has_agent = has_agent || (name.size() == 10 && equal_ignore_case(name, "user-agent"));
    head.append(name).append(": ").append(value).append("\r\n");
  }
  if (!has_agent) head.append("User-Agent: ").append(shared_.config.user_agent).append("\r\n");
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
      request.method == "PATCH") {
    head.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
  }
  head.append("\r\n");
  request_body_ = request.body;
  wants_no_body_ = request.method == "HEAD";
  to_send_bytes_ = head.size() + request_body_.size();
}

// Sends what fits and reads meanwhile: a peer may answer before it has read all.
Status PlainExchange::exchange_heads() {
  send_unsent();
  for (;;) {
    if (!more_waits_) KVCS_TRY(wait_for_answer());
    KVCS_TRY(receive_to_buffer());
    if (KVCS_TRY(parse_heads())) return ok();
  }
}

// The caller's body goes away when open() returns.
void PlainExchange::keep_unsent() {
  if (!leased_ || !unsent()) return;
  unsent_body_ = request_body_.substr(sent_bytes_ - request_head_.size());
  request_body_ = unsent_body_;
  request_head_.clear();
  sent_bytes_ = 0;
  to_send_bytes_ = request_body_.size();
}

void PlainExchange::send_unsent() {
  while (unsent()) {
    const size_t head_sent = std::min(sent_bytes_, request_head_.size());
    const IoResult sent =
        send_some(connection_->descriptor, std::string_view(request_head_).substr(head_sent),
                  request_body_.substr(sent_bytes_ - head_sent), false);
    if (sent.io == Io::kWouldBlock) return;
    if (sent.io == Io::kClosed) {
      write_broken_ = true;  // The reading side finds out what is left of the peer.
      return;
    }
    sent_bytes_ += sent.size_bytes;
    timer_.touch();
    timer_.note_sent();
  }
}

// A recv that fills its buffer has probably left something: the next one is tried without a wait.
IoResult PlainExchange::receive(std::span<char> out) {
  const IoResult got = receive_some(connection_->descriptor, out);
  more_waits_ = got.io == Io::kDone && got.size_bytes == out.size();
  if (got.io == Io::kDone) timer_.touch();
  return got;
}

Status PlainExchange::receive_to_buffer() {
  auto& bytes = connection_->bytes;
  if (connection_->end == bytes.size()) bytes.resize(bytes.size() * 2);
  const IoResult got = receive(std::span(bytes).subspan(connection_->end));
  if (got.io == Io::kClosed) {
    closed_early_ = head_bytes_ == 0 && connection_->unused().empty();
    return broken_off(got.error_number);
  }
  connection_->end += got.size_bytes;
  shared_.counters.saw_buffered(static_cast<int64_t>(connection_->end));
  return ok();
}

Status PlainExchange::broken_off(int error_number) const {
  const bool begun = head_.status() != 0 && !head_.interim();
  return server_failed(
      url_.authority, begun ? "broke off its response" : "closed the connection without a response",
      "truncated", error_number == 0 ? "" : std::strerror(error_number));
}

// True when the final head is in.
Result<bool> PlainExchange::parse_heads() {
  for (;;) {
    if (!KVCS_TRY(parse_one_head())) return false;
    if (head_.status() == 101) return not_http("switched to a protocol that was not asked for");
    if (head_.interim()) continue;
    KVCS_TRY(choose_body());
    head_.finish();
    return true;
  }
}

// False: the end of the head has not come. Bytes that cannot begin a status line are refused at
// once, not after head_max_bytes of them.
Result<bool> PlainExchange::parse_one_head() {
  const std::string_view bytes = connection_->unused();
  constexpr std::string_view kStart = "HTTP/";
  const size_t compared = std::min(bytes.size(), kStart.size());
  if (bytes.substr(0, compared) != kStart.substr(0, compared)) {
    return not_http("did not answer in HTTP");
  }
  const size_t end = bytes.find("\r\n\r\n", scanned_);
  const size_t head_size = end == std::string_view::npos ? bytes.size() : end + 4;
  if (head_bytes_ + head_size > head_max_bytes_) {
    return not_http("sent a response head of more than " + format_bytes(head_max_bytes_));
  }
  if (end == std::string_view::npos) {
    scanned_ = bytes.size() < 3 ? 0 : bytes.size() - 3;
    return false;
  }
  std::string_view rest = bytes.substr(0, end + 2);
  bool first = true;
  while (!rest.empty()) {
    const size_t line_end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, line_end);
    if (!(first ? head_.start(line) : head_.add(line))) {
      return not_http("sent a malformed response head");
    }
    first = false;
    rest.remove_prefix(line_end + 2);
  }
  head_bytes_ += head_size;
  scanned_ = 0;
  connection_->use(head_size);
  return true;
}

// RFC 9112 §6.3. What two parsers could read in two ways is refused or never reused.
Status PlainExchange::choose_body() {
  bool chunked = false, has_length = false;
  persistent_ = !head_.http_1_0();
  body_ = Body::kUntilClose;
  for (const auto& [name, value] : head_.headers()) {
    if (name == "transfer-encoding") {
      if (chunked || head_.http_1_0() || !equal_ignore_case(value, "chunked")) {
        return not_http("sent a transfer coding other than \"chunked\"");
      }
      chunked = true;
    } else if (name == "content-length") {
      const uint64_t before = left_;
      KVCS_TRY(choose_length(value));
      if (has_length && left_ != before) return not_http("sent two different lengths");
      has_length = true;
    } else if (name == "connection") {
      const std::string lower = lower_ascii(value);
      if (lower.find("close") != std::string::npos) persistent_ = false;
      if (head_.http_1_0() && lower == "keep-alive") persistent_ = true;
    }
  }
  if (wants_no_body_ || head_.status() == 204 || head_.status() == 304) {
    body_ = Body::kNone;
  } else if (chunked) {
    body_ = Body::kChunked;
    persistent_ = persistent_ && !has_length;
  } else if (has_length) {
    body_ = Body::kLength;
  }
  if (body_ == Body::kUntilClose) persistent_ = false;
  return ok();
}

// Several Content-Length headers are the same number or a failure.
Status PlainExchange::choose_length(std::string_view text) {
  const auto number = parse_u64(text, "Content-Length");
  if (!number.ok()) return not_http("sent a Content-Length that is no number");
  left_ = *number;
  return ok();
}

// False: time to look at the clock again.
Result<bool> PlainExchange::wait(short events, int limit_ms) {
  int wait_ms = KVCS_TRY(timer_.check_and_wait_ms(url_.authority));
  if (limit_ms >= 0) wait_ms = std::min(wait_ms, limit_ms);
  const auto woken = waiter_.wait({.descriptor = connection_->descriptor,
                                   .events = events,
                                   .timeout_ms = wait_ms,
                                   .client_too = timer_.watches_client(),
                                   .registration = &connection_->registration,
                                   .one_event = body_ == Body::kLength && left_ >= kLongBodyBytes});
  if (woken == Waiter::Woken::kClientGone) KVCS_TRY(timer_.wait_ended());
  return woken == Waiter::Woken::kReady;
}

// Until there may be something to read; sends what is still unsent meanwhile.
Status PlainExchange::wait_for_answer() {
  for (;;) {
    const bool sending = unsent();
    const bool ready = KVCS_TRY(wait(static_cast<short>(sending ? POLLIN | POLLOUT : POLLIN)));
    if (ready && sending) send_unsent();
    if (ready) return ok();
  }
}

Result<size_t> PlainExchange::read(std::span<char> out) {
  KVCS_TRY(Status(failed_));
  if (!leased_ || out.empty()) return size_t{0};
  Result<size_t> got = read_body(out);
  failed_ = got.ok() ? timer_.count_read(*got) : timer_.worded(std::move(got).status());
  if (failed_.ok()) return got;
  leave(false);
  return failed_;
}

Result<size_t> PlainExchange::read_body(std::span<char> out) {
  KVCS_TRY(timer_.touch_and_check(url_.authority));
  for (;;) {
    if (!connection_->unused().empty()) {
      const size_t n = KVCS_TRY(read_buffered(out));
      if (n > 0 || !leased_) return n;
    }
    if (!more_waits_) KVCS_TRY(wait_for_answer());
    if (body_ == Body::kChunked) {
      KVCS_TRY(receive_to_buffer());
      continue;
    }
    const size_t n = KVCS_TRY(receive_body(out));
    if (n > 0 || !leased_) return n;
  }
}

// From what came with the head, or with the framing of a chunk.
Result<size_t> PlainExchange::read_buffered(std::span<char> out) {
  const std::string_view bytes = connection_->unused();
  if (body_ == Body::kChunked) {
    const auto step = chunked_.decode(bytes, out);
    if (!step.ok()) return step.status().with_cause(printable(url_.authority));
    connection_->use(step->taken);
    if (chunked_.done()) body_finished();
    return step->given;
  }
  size_t n = std::min(out.size(), bytes.size());
  if (body_ == Body::kLength) n = static_cast<size_t>(std::min<uint64_t>(n, left_));
  std::memcpy(out.data(), bytes.data(), n);
  connection_->use(n);
  left_ -= body_ == Body::kLength ? n : 0;
  if (body_ == Body::kLength && left_ == 0) body_finished();
  return n;
}

// Straight into the caller's memory. 0 with the lease kept: nothing there yet.
Result<size_t> PlainExchange::receive_body(std::span<char> out) {
  if (body_ == Body::kLength && left_ < out.size()) out = out.first(static_cast<size_t>(left_));
  const IoResult got = receive(out);
  if (got.io == Io::kClosed) {
    if (body_ != Body::kUntilClose || got.error_number != 0) return broken_off(got.error_number);
    leave(false);
  }
  if (body_ == Body::kLength && got.size_bytes > 0) {
    left_ -= got.size_bytes;
    if (left_ == 0) body_finished();
  }
  return got.size_bytes;
}

class PlainEngine final : public UpstreamEngine {
 public:
  PlainEngine(const UpstreamConfig& config, const Clock& clock, AddressBook& book)
      : shared_{config,
                clock,
                book,
                PlainPool(config.connections_per_host_max, config.connections_idle_max, kIdleMaxUs),
                {}} {}
  const EngineCounters& counters() const override { return shared_.counters; }

 private:
  Result<std::unique_ptr<UpstreamResponse>> open_checked(const UpstreamRequest& request,
                                                         UpstreamUrl url) override {
    auto exchange = std::make_unique<PlainExchange>(shared_, request, std::move(url));
    KVCS_TRY(exchange->run_to_head(request));
    return std::unique_ptr<UpstreamResponse>(std::move(exchange));
  }

  PlainShared shared_;
};

}  // namespace

std::unique_ptr<UpstreamEngine> make_plain_engine(const UpstreamConfig& config, const Clock& clock,
                                                  AddressBook& book) {
  return std::make_unique<PlainEngine>(config, clock, book);
}

}  // namespace kvcs::http
