// The common part of the two engines behind the face: the choice between them, the addresses that
// are known, and reading a response whole.
#include "http/client/upstream.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "http/client/upstream_engines.h"
#include "http/client/upstream_rules.h"
#include "http/header_syntax.h"

namespace kvcs::http {

std::optional<std::string_view> UpstreamResponse::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers()) {
    if (name == lower_name) return value;
  }
  return std::nullopt;
}

std::optional<std::string> UpstreamResponse::header_list(std::string_view lower_name) const {
  std::optional<std::string> list;
  for (const auto& [name, value] : headers()) {
    if (name == lower_name) append_to_list(list, value);
  }
  return list;
}

Result<std::string> UpstreamResponse::read_all(size_t max_bytes) {
  // Neither the compiler nor a string that is resized zeroes so much for each short answer.
  __attribute__((uninitialized)) char step[16 << 10];
  std::string body;
  for (;;) {
    const size_t n = KVCS_TRY(read(step));
    if (n == 0) return body;
    body.append(step, n);
    if (body.size() > max_bytes) {
      return too_large("the response is larger than the limit of " + format_bytes(max_bytes));
    }
  }
}

bool is_unsent_reason(std::string_view reason) {
  static constexpr std::array<std::string_view, 7> kReasons = {
      "dns_failed",      "connect_failed", "connect_timeout",   "tls_failed",
      "private_address", "upstream_busy",  "client_gone_unsent"};
  return std::find(kReasons.begin(), kReasons.end(), reason) != kReasons.end();
}

// Invalid is the failure of a request that no engine would send.
bool surely_not_sent(const Status& failure) {
  return failure.code() == Code::kInvalid || is_unsent_reason(failure.reason());
}

bool client_left(const Status& failure) {
  return failure.reason() == "client_gone" || failure.reason() == "client_gone_unsent";
}

std::optional<SocketAddress> parse_address(std::string_view literal, int port) {
  const std::string text(literal);
  SocketAddress address;
  std::memset(&address, 0, sizeof address);
  if (inet_pton(AF_INET, text.c_str(), &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), &address.v6.sin6_addr) == 1) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(static_cast<uint16_t>(port));
    return address;
  }
  return std::nullopt;
}

std::optional<SocketAddress> AddressBook::find(const UpstreamUrl& url) {
  if (auto literal = parse_address(url.host, url.port)) return literal;
  ReadLock lock(mutex_);
  const auto found = entries_.find(url.authority);
  if (found == entries_.end()) return std::nullopt;
  if (clock_.mono_us() - found->second.learnt_us > ttl_us_) return std::nullopt;
  return found->second.address;
}

void AddressBook::remember(const UpstreamUrl& url, const char* address) {
  const auto parsed = parse_address(address, url.port);
  if (!parsed) return;
  WriteLock lock(mutex_);
  // The book is a cache: when it is full it begins anew, and libcurl resolves each name once more.
  if (entries_.size() >= kEntriesMax) entries_.clear();
  entries_.insert_or_assign(url.authority, Entry{*parsed, clock_.mono_us()});
}

void AddressBook::forget(const UpstreamUrl& url) {
  WriteLock lock(mutex_);
  entries_.erase(url.authority);
}

Result<std::unique_ptr<UpstreamResponse>> UpstreamEngine::open(const UpstreamRequest& request) {
  KVCS_TRY(check_sendable(request.method, request.headers));
  UpstreamUrl url = KVCS_TRY(parse_upstream_url(request.url));
  return open_checked(request, std::move(url));
}

namespace {

// https, HTTP/2 and names that are not known yet go to libcurl; what is left, most often a provider
// in the same network, to the plain engine.
class TwoEngines final : public HttpUpstream {
 public:
  TwoEngines(const UpstreamConfig& config, const Clock& clock)
      : book_(config.dns_cache_s, clock),
        curl_(make_curl_engine(config, clock, &book_)),
        plain_(make_plain_engine(config, clock, book_)) {}

  Result<std::unique_ptr<UpstreamResponse>> open(const UpstreamRequest& request) override {
    KVCS_TRY(check_sendable(request.method, request.headers));
    UpstreamUrl url = KVCS_TRY(parse_upstream_url(request.url));
    UpstreamEngine& engine = !url.https && book_.find(url) ? *plain_ : *curl_;
    return engine.open_checked(request, std::move(url));
  }

 private:
  AddressBook book_;
  std::unique_ptr<UpstreamEngine> curl_, plain_;
};

}  // namespace

std::unique_ptr<HttpUpstream> make_http_upstream(const UpstreamConfig& config, const Clock& clock) {
  return std::make_unique<TwoEngines>(config, clock);
}

}  // namespace kvcs::http
