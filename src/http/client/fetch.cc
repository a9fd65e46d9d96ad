// Fetcher: one blocking exchange at a time by libcurl's easy interface, the redirects behind it,
// and the words for what goes wrong on the way.
#include "http/client/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/loopback.h"
#include "http/client/curl_common.h"
#include "http/client/upstream_rules.h"

namespace kvcs::http {
namespace {

// With the idle timeout: an exchange that moves less than this on average over that time is given
// up.
constexpr long kLeastBytesPerSecond = 1;
constexpr long kSendBufferBytes = 512 << 10, kReceiveBufferBytes = 256 << 10;
constexpr size_t kRefusalMaxBytes = 64 << 10, kHeadMaxBytes = 64 << 10;
constexpr int kRedirectsMax = 5;

void cleanup(void* easy) {
  curl_easy_cleanup(static_cast<CURL*>(easy));
}

bool is_redirect(int status, std::string_view method) {
  if (status == 303) return method == "GET" || method == "HEAD";
  return status == 301 || status == 302 || status == 307 || status == 308;
}

bool has_header(const FetchHeaders& headers, std::string_view lower_name) {
  return std::any_of(headers.begin(), headers.end(), [&](const auto& header) {
    return equal_ignore_case(header.first, lower_name);
  });
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

// The reason of a certificate that is not trusted, and the way out of it.
std::string untrusted_words(long verify_result) {
  switch (verify_result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "its certificate has expired. The server's owner must renew it; or is this machine's "
             "clock wrong?";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "its certificate is not valid yet. Is this machine's clock wrong?";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return "its certificate is signed by an authority that is not trusted here. Name the "
             "authority's certificate: --cacert FILE, or SSL_CERT_FILE=FILE.";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "its certificate is for another name. Use the name that is in the certificate.";
    default:
      return {};
  }
}

}  // namespace

std::optional<std::string_view> FetchAnswer::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_name) return value;
  }
  return std::nullopt;
}

// One request and its answer; the callbacks below work on it.
class Fetcher::Exchange {
 public:
  Exchange(const FetchPolicy& policy, const FetchWay& way, const FetchRequest& request,
           const Take& take, CURL* curl)
      : policy_(policy), way_(way), request_(request), take_(take), curl_(curl) {}

  Result<FetchAnswer> run();

 private:
  void set_options();
  void set_method();
  void set_way();
  bool add_headers();
  bool add_header(const std::string& line);
  Status failure(CURLcode code) const;
  Status unreachable(std::string_view why, std::string_view reason) const;
  Status broken(std::string_view what, std::string_view reason) const;
  Status tls_failure(CURLcode code) const;
  Status timeout() const;
  Status proxy_failure(long status) const;
  std::string proxy() const;
  std::string shown_proxy() const;
  std::string server() const;

  static size_t on_read(char* out, size_t size, size_t count, void* self);
  static int on_seek(void* self, curl_off_t offset, int origin);
  static size_t on_head(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  bool take_line(std::string_view line);
  Status take_body(std::string_view bytes);

  const FetchPolicy& policy_;
  const FetchWay& way_;
  const FetchRequest& request_;
  const Take& take_;
  CURL* const curl_;
  curl_slist* list_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> words_{};
  uint64_t sent_bytes_ = 0;
  int read_error_ = 0;
  size_t head_bytes_ = 0;
  bool head_done_ = false;
  ResponseHead head_;
  FetchAnswer answer_;
  Status taken_;  // What taking the body failed with.
};

size_t Fetcher::Exchange::on_read(char* out, size_t size, size_t count, void* self_pointer) {
  auto& self = *static_cast<Exchange*>(self_pointer);
  const FetchRequest& request = self.request_;
  const size_t want = std::min<uint64_t>(size * count, request.size_bytes - self.sent_bytes_);
  ssize_t n = 0;
  do {
    n = ::pread(request.descriptor, out, want,
                static_cast<off_t>(request.offset + self.sent_bytes_));
  } while (n < 0 && errno == EINTR);
  if (n < 0 || (n == 0 && want > 0)) {
    self.read_error_ = n < 0 ? errno : EIO;
    return CURL_READFUNC_ABORT;
  }
  self.sent_bytes_ += static_cast<uint64_t>(n);
  return static_cast<size_t>(n);
}

// libcurl sends again from the start when a kept connection turns out to be closed.
int Fetcher::Exchange::on_seek(void* self, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Exchange*>(self)->sent_bytes_ = static_cast<uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

size_t Fetcher::Exchange::on_head(char* data, size_t size, size_t count, void* self_pointer) {
  auto& self = *static_cast<Exchange*>(self_pointer);
  const size_t n = size * count;
  self.head_bytes_ += n;
  if (self.head_bytes_ > kHeadMaxBytes) return 0;
  std::string_view line(data, n);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  return self.take_line(line) ? n : 0;
}

// An empty line ends a head; that of an interim answer is followed by another. Behind a chunked
// body there may be trailers, which nobody asks for.
bool Fetcher::Exchange::take_line(std::string_view line) {
  if (head_done_) return true;
  if (line.starts_with("HTTP/")) return head_.start(line);
  if (!line.empty()) return head_.add(line);
  if (head_.interim()) return true;
  head_.finish();
  answer_.status = head_.status();
  answer_.headers = head_.headers();
  head_done_ = true;
  return true;
}

size_t Fetcher::Exchange::on_body(char* data, size_t size, size_t count, void* self_pointer) {
  auto& self = *static_cast<Exchange*>(self_pointer);
  self.taken_ = self.take_body(std::string_view(data, size * count));
  return self.taken_.ok() ? size * count : 0;
}

Status Fetcher::Exchange::take_body(std::string_view bytes) {
  if (answer_.ok()) return take_(answer_, bytes);
  const size_t room = kRefusalMaxBytes - std::min(answer_.body.size(), kRefusalMaxBytes);
  answer_.body.append(bytes.substr(0, room));
  return kvcs::ok();
}

int Fetcher::Exchange::on_progress(void* self_pointer, curl_off_t, curl_off_t, curl_off_t,
                                   curl_off_t) {
  const auto& self = *static_cast<Exchange*>(self_pointer);
  if (self.request_.sent) self.request_.sent(self.sent_bytes_);
  const bool is_stopped = self.policy_.stopped && self.policy_.stopped();
  return is_stopped && !self.request_.ignores_stop ? 1 : 0;
}

bool Fetcher::Exchange::add_header(const std::string& line) {
  curl_slist* const longer = curl_slist_append(list_, line.c_str());
  if (longer == nullptr) return false;
  list_ = longer;
  return true;
}

// What libcurl would add by itself is left out: a form's media type, and the wait for the server's
// leave to send, which costs a round trip; a server refuses by an answer and by closing.
bool Fetcher::Exchange::add_headers() {
  bool added = add_header("Expect:");
  if (!has_header(request_.headers, "accept")) added = added && add_header("Accept:");
  if (!has_header(request_.headers, "content-type")) added = added && add_header("Content-Type:");
  for (const auto& [name, value] : request_.headers) {
    if (is_engine_header(name)) continue;
    // libcurl leaves a header without a value out, unless a semicolon stands for the colon.
    added = added && add_header(value.empty() ? name + ";" : name + ": " + value);
  }
  return added;
}

void Fetcher::Exchange::set_method() {
  const std::string& method = request_.method;
  if (request_.descriptor >= 0) {
    curl_easy_setopt(curl_, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl_, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request_.size_bytes));
    curl_easy_setopt(curl_, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl_, CURLOPT_READDATA, this);
    curl_easy_setopt(curl_, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(curl_, CURLOPT_SEEKDATA, this);
  } else if (!request_.body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
    curl_easy_setopt(curl_, CURLOPT_POST, 1L);
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, request_.body.c_str());
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
  } else if (method == "HEAD") {
    curl_easy_setopt(curl_, CURLOPT_NOBODY, 1L);
  } else {
    curl_easy_setopt(curl_, CURLOPT_HTTPGET, 1L);
  }
  if (method != "HEAD") curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, method.c_str());
  if (!request_.is_repeatable && !is_idempotent(method)) {
    curl_easy_setopt(curl_, CURLOPT_FRESH_CONNECT, 1L);
  }
}

std::string Fetcher::Exchange::proxy() const {
  if (is_loopback_url(request_.url)) return {};
  const bool is_tls = lower_ascii(request_.url.substr(0, 8)) == "https://";
  return is_tls ? way_.https_proxy : way_.http_proxy;
}

// A file or folder of authorities stands in place of the system's: libcurl's own folder would
// otherwise go on counting beside a file.
void Fetcher::Exchange::set_way() {
  curl_easy_setopt(curl_, CURLOPT_PROXY, proxy().c_str());
  curl_easy_setopt(curl_, CURLOPT_NOPROXY, way_.no_proxy.c_str());
  curl_easy_setopt(curl_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (way_.ca_file.empty() && way_.ca_folder.empty()) return;
  const char* const file = way_.ca_file.empty() ? nullptr : way_.ca_file.c_str();
  const char* const folder = way_.ca_folder.empty() ? nullptr : way_.ca_folder.c_str();
  curl_easy_setopt(curl_, CURLOPT_CAINFO, file);
  curl_easy_setopt(curl_, CURLOPT_CAPATH, folder);
  curl_easy_setopt(curl_, CURLOPT_PROXY_CAINFO, file);
  curl_easy_setopt(curl_, CURLOPT_PROXY_CAPATH, folder);
}

void Fetcher::Exchange::set_options() {
  curl_easy_setopt(curl_, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl_, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, list_);
  curl_easy_setopt(curl_, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  curl_easy_setopt(curl_, CURLOPT_USERAGENT, policy_.user_agent.c_str());
  curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, words_.data());
  curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, on_head);
  curl_easy_setopt(curl_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl_, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl_, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(curl_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl_, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl_, CURLOPT_UPLOAD_BUFFERSIZE, kSendBufferBytes);
  curl_easy_setopt(curl_, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(policy_.connect_timeout_ms));
  curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, static_cast<long>(request_.deadline_ms));
  if (request_.idle_timeout_ms > 0) {
    curl_easy_setopt(curl_, CURLOPT_LOW_SPEED_LIMIT, kLeastBytesPerSecond);
    curl_easy_setopt(curl_, CURLOPT_LOW_SPEED_TIME,
                     static_cast<long>((request_.idle_timeout_ms + 999) / 1000));
  }
  set_method();
  set_way();
}

Result<FetchAnswer> Fetcher::Exchange::run() {
  const bool added = add_headers();
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> list(list_, curl_slist_free_all);
  if (!added) return internal("libcurl has no memory.");
  set_options();
  const CURLcode code = curl_easy_perform(curl_);
  // An answer that came before the body was sent is still the answer.
  const bool is_answered = head_done_ && (code == CURLE_OK || answer_.status >= 400);
  const Status failed = is_answered ? kvcs::ok() : failure(code);
  const char* url = nullptr;
  curl_easy_getinfo(curl_, CURLINFO_REDIRECT_URL, &url);
  if (url != nullptr) answer_.moved_to = url;
  // The handle must not point at what goes with this call.
  curl_easy_reset(curl_);
  KVCS_TRY(Status(failed));
  return std::move(answer_);
}

// libcurl's words are the cause, for nobody but who looks for a fault in here.
Status Fetcher::Exchange::unreachable(std::string_view why, std::string_view reason) const {
  return upstream_failed(server() + " cannot be reached: " + std::string(why), words_.data())
      .with_reason(reason);
}

Status Fetcher::Exchange::broken(std::string_view what, std::string_view reason) const {
  return upstream_failed(server() + " " + std::string(what), words_.data()).with_reason(reason);
}

Status Fetcher::Exchange::failure(CURLcode code) const {
  if (!taken_.ok()) return taken_;
  if (read_error_ != 0) return io_error("read", request_.path, read_error_);
  long refused_errno = 0, proxy_status = 0;
  curl_easy_getinfo(curl_, CURLINFO_OS_ERRNO, &refused_errno);
  curl_easy_getinfo(curl_, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
  if (proxy_status != 0 && proxy_status / 100 != 2) return proxy_failure(proxy_status);
  if (is_tls_failure(code)) return tls_failure(code);
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return unavailable("Interrupted.").with_reason("stopped");
    case CURLE_COULDNT_RESOLVE_HOST:
      return unreachable("its name cannot be resolved.", "dns_failed");
    case CURLE_COULDNT_RESOLVE_PROXY:
      return unreachable("the name of the proxy " + shown_proxy() + " cannot be resolved.",
                         "proxy_failed");
    case CURLE_COULDNT_CONNECT: {
      const std::string who = proxy().empty() ? "it" : "the proxy " + shown_proxy();
      const bool is_refused = refused_errno == ECONNREFUSED;
      return unreachable(who + (is_refused ? " refused the connection." : " is not reachable."),
                         proxy().empty() ? "connect_failed" : "proxy_failed");
    }
    case CURLE_OPERATION_TIMEDOUT:
      return timeout();
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return broken("did not answer in HTTP.", "not_http");
    case CURLE_WRITE_ERROR:
      return broken("sent a malformed head of an answer.", "not_http");
    default:
      return broken(
          head_done_ ? "broke off its answer." : "closed the connection without an answer.",
          "truncated");
  }
}

Status Fetcher::Exchange::tls_failure(CURLcode code) const {
  if (code == CURLE_SSL_CACERT_BADFILE) {
    return invalid("The trusted certificates cannot be read: " +
                   printable(way_.ca_file.empty() ? way_.ca_folder : way_.ca_file, kShownText) +
                   " must hold certificates in PEM.")
        .with_cause(words_.data())
        .with_reason("tls_failed");
  }
  const std::string_view words = words_.data();
  // A port that speaks plain HTTP answers our greeting with what is no record of TLS.
  for (const char* const no_record : {"wrong version number", "packet length too long",
                                      "record layer failure", "unexpected message"}) {
    if (contains(words, no_record)) {
      return unreachable("it does not speak TLS there; is it http:// instead of https://?",
                         "tls_failed");
    }
  }
  long result = 0;
  curl_easy_getinfo(curl_, CURLINFO_SSL_VERIFYRESULT, &result);
  if (result == X509_V_OK) curl_easy_getinfo(curl_, CURLINFO_PROXY_SSL_VERIFYRESULT, &result);
  if (contains(words, "subject name")) result = X509_V_ERR_HOSTNAME_MISMATCH;
  const std::string why = untrusted_words(result);
  return unreachable(
      why.empty() ? "no trusted TLS connection: " + printable(words, kShownText) + "." : why,
      "tls_failed");
}

Status Fetcher::Exchange::timeout() const {
  curl_off_t before_sending_us = 0;
  curl_easy_getinfo(curl_, CURLINFO_PRETRANSFER_TIME_T, &before_sending_us);
  if (before_sending_us == 0) {
    return timed_out(server() + " cannot be reached: no connection within " +
                     std::to_string(policy_.connect_timeout_ms / 1000) + " s.")
        .with_reason("connect_timeout");
  }
  const bool is_idle = contains(words_.data(), "too slow");
  return timed_out(
             server() + (is_idle ? " moved nothing for " : " did not finish its answer within ") +
             std::to_string((is_idle ? request_.idle_timeout_ms : request_.deadline_ms) / 1000) +
             " s.")
      .with_reason(is_idle ? "idle" : "deadline");
}

Status Fetcher::Exchange::proxy_failure(long status) const {
  std::string why = "the proxy " + shown_proxy() + " answered " + std::to_string(status) + ".";
  if (status == 407)
    why += " It wants a name and a password, as in http://NAME:PASSWORD@HOST:PORT.";
  return unreachable(why, "proxy_failed");
}

std::string Fetcher::Exchange::server() const {
  return printable(origin_of(request_.url), kShownValue);
}

std::string Fetcher::Exchange::shown_proxy() const {
  return printable(without_password(proxy()), kShownValue);
}

Fetcher::Fetcher(FetchPolicy policy) : policy_(std::move(policy)), easy_(nullptr, cleanup) {
  init_curl_once();
  easy_.reset(curl_easy_init());
}

const FetchWay& Fetcher::way_to(const std::string& url) const {
  const auto own = policy_.ways_of.find(origin_of(url));
  return own == policy_.ways_of.end() ? policy_.way : own->second;
}

Result<FetchAnswer> Fetcher::exchange(const FetchRequest& request, const Take& take) {
  KVCS_TRY(check_fetch_url(request.url));
  KVCS_TRY(check_sendable(request.method, request.headers));
  if (!easy_) return internal("libcurl has no memory.");
  return Exchange(policy_, way_to(request.url), request, take, easy_.get()).run();
}

// The credential in a request's headers is for one origin alone.
Result<FetchAnswer> Fetcher::receive(const FetchRequest& request, const Take& take) {
  const bool has_credential = has_header(request.headers, "authorization");
  FetchRequest next = request;
  for (int redirects = 0;; redirects++) {
    FetchAnswer answer = KVCS_TRY(exchange(next, take));
    if (!is_redirect(answer.status, next.method) || answer.moved_to.empty()) {
      answer.moved_to.clear();
      return answer;
    }
    const std::string there = origin_of(answer.moved_to);
    const bool leaves = there != origin_of(next.url);
    const bool loses_tls = origin_of(next.url).starts_with("https:") && there.starts_with("http:");
    if (there.empty() || (leaves && has_credential) || loses_tls) return answer;
    if (redirects == kRedirectsMax) {
      return upstream_failed(printable(origin_of(request.url), kShownValue) +
                             " redirects more than " + std::to_string(kRedirectsMax) + " times.")
          .with_reason("not_http");
    }
    next.url = answer.moved_to;
  }
}

Result<FetchAnswer> Fetcher::ask(const FetchRequest& request, size_t body_max_bytes) {
  std::string body;
  const auto keep = [&](const FetchAnswer&, std::string_view bytes) {
    if (bytes.size() > body_max_bytes - body.size()) {
      return too_large("The answer has more than " + format_bytes(body_max_bytes) + ".");
    }
    body.append(bytes);
    return kvcs::ok();
  };
  FetchAnswer answer = KVCS_TRY(receive(request, keep));
  if (answer.ok()) answer.body = std::move(body);
  return answer;
}

std::string origin_of(std::string_view url) {
  const auto parsed = parse_upstream_url(url);
  return parsed.ok() ? (parsed->https ? "https://" : "http://") + parsed->authority : std::string();
}

Status check_fetch_url(std::string_view url) {
  return check_upstream_url(url);
}

std::string without_password(std::string_view url) {
  const size_t at = url.rfind('@');
  if (at == url.npos) return std::string(url);
  const size_t scheme_end = url.find("://");
  const size_t begin = scheme_end == url.npos || scheme_end > at ? 0 : scheme_end + 3;
  return std::string(url.substr(0, begin)) + "***" + std::string(url.substr(at));
}

}  // namespace kvcs::http
