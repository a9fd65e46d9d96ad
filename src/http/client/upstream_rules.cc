// The rules as code: URLs, private networks, headers, response heads, deadlines. A mistake here is
// a hole for requests to places where the caller may not reach (SSRF).
#include "http/client/upstream_rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "base/wait.h"
#include "http/header_syntax.h"

namespace kvcs::http {
namespace {

constexpr size_t kUrlMaxBytes = 16 << 10;
// Room that most response heads need, made at once.
constexpr size_t kHeadersMostly = 16;
// The longest wait without a look at the clock, so that a clock that tests move by hand is seen.
constexpr int kPollMaxMs = 500;

constexpr CharSet kHostChars("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_");
constexpr CharSet kUrlChars(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!\"$%&'()*+,-./"
    ":;<=>?@[]^_`{|}~");
constexpr CharSet kPathStarts("/?");
// The first letters of the names in is_engine_header(), in both cases.
constexpr CharSet kEngineHeaderStarts("ckptuheCKPTUHE");

Status bad_url(std::string_view url, std::string_view why) {
  // Only the part before the query: tokens travel in queries.
  return invalid("URL \"" + printable(url.substr(0, url.find('?'))) + "\" " + std::string(why));
}

struct Network4 {
  uint32_t address;
  int bits;
};
constexpr uint32_t ip4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}
// IANA's special-purpose registry (RFC 6890 and its updates), multicast, and the address at which
// Azure serves its machines.
constexpr std::array kPrivate4 = {
    Network4{ip4(0, 0, 0, 0), 8},        Network4{ip4(10, 0, 0, 0), 8},
    Network4{ip4(100, 64, 0, 0), 10},    Network4{ip4(127, 0, 0, 0), 8},
    Network4{ip4(168, 63, 129, 16), 32}, Network4{ip4(169, 254, 0, 0), 16},
    Network4{ip4(172, 16, 0, 0), 12},    Network4{ip4(192, 0, 0, 0), 24},
    Network4{ip4(192, 0, 2, 0), 24},     Network4{ip4(192, 88, 99, 0), 24},
    Network4{ip4(192, 168, 0, 0), 16},   Network4{ip4(198, 18, 0, 0), 15},
    Network4{ip4(198, 51, 100, 0), 24},  Network4{ip4(203, 0, 113, 0), 24},
    Network4{ip4(224, 0, 0, 0), 3},  // Multicast, reserved, broadcast.
};

bool is_private4(uint32_t address) {
  return std::any_of(kPrivate4.begin(), kPrivate4.end(), [&](const Network4& n) {
    return ((address ^ n.address) >> (32 - n.bits)) == 0;
  });
}

bool is_private6(const uint8_t* b) {
  // Forms of IPv6 that carry an IPv4 address are judged by that address: mapped (::ffff:a.b.c.d),
  // NAT64 (64:ff9b::/96) and 6to4 (2002::/16).
  const auto embedded = [&](int at) {
    return is_private4(ip4(b[at], b[at + 1], b[at + 2], b[at + 3]));
  };
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr uint8_t kNat64[12] = {0, 0x64, 0xff, 0x9b};
  if (std::memcmp(b, kMapped, 12) == 0 || std::memcmp(b, kNat64, 12) == 0) return embedded(12);
  // IANA allocates global unicast addresses from 2000::/3 alone (its registry "Internet Protocol
  // Version 6 Address Space"), though RFC 4291 §2.4 would allow others.
  if ((b[0] & 0xe0) != 0x20) return true;
  if (b[0] == 0x20 && b[1] == 0x02) return embedded(2);  // 6to4.
  const uint32_t top = ip4(b[0], b[1], b[2], b[3]);
  return top == 0x20010db8 || (top >> 9) == (0x20010000 >> 9);  // Documentation; 2001::/23.
}

}  // namespace

bool is_private_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    return is_private4(ntohl(in.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof in);
    return is_private6(in.sin6_addr.s6_addr);
  }
  return true;
}

Status server_failed(std::string_view authority, std::string_view what, std::string_view reason,
                     std::string_view detail) {
  std::string cause = printable(authority);
  if (!detail.empty()) cause.append(": ").append(detail);
  return upstream_failed("the other server " + std::string(what), std::move(cause))
      .with_reason(reason);
}

Status private_address_refused(std::string_view authority) {
  return forbidden(
             "the host has a private address; requests to private networks are not allowed here")
      .with_cause(printable(authority))
      .with_reason("private_address");
}

Status no_connection_within(std::string_view authority, int timeout_ms) {
  return timed_out("no connection to the other server within " + std::to_string(timeout_ms) + " ms")
      .with_cause(printable(authority))
      .with_reason("connect_timeout");
}

Result<UpstreamUrl> parse_upstream_url(std::string_view url) {
  if (url.size() > kUrlMaxBytes) {
    return bad_url(url.substr(0, 60), "is longer than " + std::to_string(kUrlMaxBytes) + " bytes");
  }
  if (!kUrlChars.has_all(url)) {
    for (const unsigned char c : url) {
      if (c <= 0x20 || c >= 0x7f) return bad_url(url, "has characters that must be escaped");
      if (c == '\\') return bad_url(url, "has a backslash");
      if (c == '#') return bad_url(url, "has a fragment");
    }
  }
  UpstreamUrl parsed;
  const size_t scheme_end = url.find("://");
  const std::string scheme = lower_ascii(url.substr(0, std::min(scheme_end, url.size())));
  if (scheme_end == url.npos || (scheme != "http" && scheme != "https")) {
    return bad_url(url, "is not http:// or https://");
  }
  parsed.https = scheme == "https";
  std::string_view rest = url.substr(scheme.size() + 3);
  const size_t path_at = kPathStarts.find_in(rest);
  std::string_view authority = rest.substr(0, path_at);
  parsed.target = rest.substr(path_at);
  if (parsed.target.empty() || parsed.target[0] == '?') parsed.target.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) {
    return invalid("the URL carries a user name or password; send credentials in a header");
  }

  std::string_view host = authority, port;
  // RFC 3986 §3.2.2: only an IPv6 address stands in brackets, and only there is a colon not the
  // port's.
  const bool bracketed = authority.starts_with('[');
  if (bracketed) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return bad_url(url, "has an unclosed '['");
    host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    in6_addr ignored;
    if (inet_pton(AF_INET6, std::string(host).c_str(), &ignored) != 1) {
      return bad_url(url, "has no valid IPv6 address between its brackets");
    }
  } else {
    host = authority.substr(0, authority.find(':'));
    port = authority.substr(host.size());
    if (host.empty() || host.size() > 253 || !kHostChars.has_all(host))
      return bad_url(url, "has no valid host");
  }
  parsed.port = parsed.https ? 443 : 80;
  if (!port.empty()) {
    auto number = parse_u64(port.substr(1), "port");
    if (port[0] != ':' || !number.ok() || *number < 1 || *number > 65535) {
      return bad_url(url, "has no valid port");
    }
    parsed.port = static_cast<int>(*number);
  }
  parsed.host = lower_ascii(host);
  parsed.authority = bracketed ? "[" + parsed.host + "]" : parsed.host;
  if (parsed.port != (parsed.https ? 443 : 80)) {
    parsed.authority += ":" + std::to_string(parsed.port);
  }
  return parsed;
}

Status check_upstream_url(std::string_view url) {
  KVCS_TRY(parse_upstream_url(url));
  return ok();
}

Status check_sendable(std::string_view method, const HeaderList& headers) {
  if (!is_token(method) || method.size() > 32 || method == "CONNECT") {
    return invalid("method \"" + printable(method, kShownWord) + "\" cannot be sent");
  }
  for (const auto& [name, value] : headers) {
    if (!is_token(name))
      return invalid("header name \"" + printable(name, kShownName) + "\" is not a token");
    if (!is_field_value(value)) {
      return invalid("header " + name + " has a line break or control character in its value");
    }
  }
  return ok();
}

// RFC 9110 §7.6.1, with the names that RFC 2616 §13.5.1 listed and the two that proxies in the wild
// still send.
bool is_hop_by_hop(std::string_view lower_name) {
  static constexpr std::array<std::string_view, 10> kNames = {"connection",
                                                              "keep-alive",
                                                              "proxy-authenticate",
                                                              "proxy-authorization",
                                                              "proxy-connection",
                                                              "te",
                                                              "trailer",
                                                              "transfer-encoding",
                                                              "upgrade",
                                                              "proxy-authentication-info"};
  return std::find(kNames.begin(), kNames.end(), lower_name) != kNames.end();
}

bool is_idempotent(std::string_view method) {
  static constexpr std::array<std::string_view, 6> kMethods = {"GET",    "HEAD",    "PUT",
                                                               "DELETE", "OPTIONS", "TRACE"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

bool is_engine_header(std::string_view name) {
  // Only names that start like one of the table are lowered: this runs for every header sent.
  if (name.empty() || !kEngineHeaderStarts.has(name[0])) return false;
  const std::string lower = lower_ascii(name);
  return is_hop_by_hop(lower) || lower == "host" || lower == "content-length" || lower == "expect";
}

// Three digits must be followed by a space or by nothing: the reason phrase may be empty (RFC 9112
// §4).
bool ResponseHead::start(std::string_view line) {
  headers_.clear();
  headers_.reserve(kHeadersMostly);
  status_ = 0;
  if (!line.starts_with("HTTP/") || line.size() < 9 || !is_field_value(line)) return false;
  const size_t space = line.find(' ');
  const std::string_view version = line.substr(5, space == std::string_view::npos ? 0 : space - 5);
  if (version != "1.1" && version != "1.0" && version != "2") return false;
  const std::string_view code = line.substr(space + 1, 3);
  if (code.size() != 3) return false;
  for (const char c : code) {
    if (c < '0' || c > '9') return false;
    status_ = status_ * 10 + (c - '0');
  }
  const std::string_view behind = line.substr(space + 4);
  http_1_0_ = version == "1.0";
  return status_ >= 100 && status_ <= 599 && (behind.empty() || behind[0] == ' ');
}

bool ResponseHead::add(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  if (!is_field_value(value)) return false;
  headers_.emplace_back(lower_ascii(line.substr(0, colon)), value);
  return true;
}

void ResponseHead::finish() {
  std::vector<std::string> named;
  for (const auto& [name, value] : headers_) {
    if (name != "connection") continue;
    for (const auto part : split(value, ',')) named.push_back(lower_ascii(trim(part)));
  }
  std::erase_if(headers_, [&](const auto& header) {
    return is_hop_by_hop(header.first) ||
           std::find(named.begin(), named.end(), header.first) != named.end();
  });
}

ExchangeTimer::ExchangeTimer(const UpstreamRequest& request, const Clock& clock)
    : clock_(clock),
      started_us_(clock.mono_us()),
      last_us_(started_us_),
      deadline_ms_(request.deadline_ms),
      idle_timeout_ms_(request.idle_timeout_ms),
      stop_if_client_leaves_(request.stop_if_client_leaves),
      after_client_left_ms_(request.after_client_left_ms),
      after_client_left_bytes_(request.after_client_left_bytes) {}

Result<int> ExchangeTimer::check_and_wait_ms(std::string_view authority) const {
  const int64_t now_us = clock_.mono_us();
  KVCS_TRY(check_at(authority, now_us));
  return wait_ms_at(now_us);
}

Status ExchangeTimer::check_at(std::string_view authority, int64_t now_us) const {
  const bool late = deadline_ms_ > 0 && now_us - started_us_ >= int64_t{deadline_ms_} * 1000;
  const bool idle = idle_timeout_ms_ > 0 && now_us - last_us_ >= int64_t{idle_timeout_ms_} * 1000;
  if (client_left() && now_us - left_us_ >= int64_t{after_client_left_ms_} * 1000) {
    return gone("not done " + std::to_string(after_client_left_ms_) + " ms after the client left");
  }
  if (!late && !idle) return ok();
  if (!sent_) return no_connection_within(authority, late ? deadline_ms_ : idle_timeout_ms_);
  if (late) {
    return timed_out("the other server did not finish its response within " +
                     std::to_string(deadline_ms_) + " ms")
        .with_cause(printable(authority))
        .with_reason("deadline");
  }
  return timed_out("the other server sent nothing for " + std::to_string(idle_timeout_ms_) + " ms")
      .with_cause(printable(authority))
      .with_reason("idle");
}

Status ExchangeTimer::gone(std::string_view cause) const {
  Status gone = client_gone().with_cause(cause);
  return sent_ ? std::move(gone) : std::move(gone).with_reason("client_gone_unsent");
}

void ExchangeTimer::note_client_left() {
  if (!client_left()) left_us_ = clock_.mono_us();
}

Status ExchangeTimer::wait_ended() {
  if (!watches_client() || !sent_ || after_client_left_ms_ <= 0) return gone();
  note_client_left();
  return ok();
}

Status ExchangeTimer::count_read(size_t bytes) {
  if (!client_left()) return ok();
  if (bytes > after_client_left_bytes_) return gone("too much came after the client left");
  after_client_left_bytes_ -= bytes;
  return ok();
}

Status ExchangeTimer::worded(Status failure) const {
  if (failure.ok() || !client_left() || http::client_left(failure)) return failure;
  return gone(failure.to_string());
}

int ExchangeTimer::wait_ms_at(int64_t now_us) const {
  int64_t left_us = int64_t{kPollMaxMs} * 1000;
  // Whichever comes first; rounded up, so that a wait of less than a millisecond does not become
  // none.
  if (deadline_ms_ > 0)
    left_us = std::min(left_us, started_us_ + int64_t{deadline_ms_} * 1000 - now_us);
  if (idle_timeout_ms_ > 0)
    left_us = std::min(left_us, last_us_ + int64_t{idle_timeout_ms_} * 1000 - now_us);
  if (client_left())
    left_us = std::min(left_us, left_us_ + int64_t{after_client_left_ms_} * 1000 - now_us);
  return static_cast<int>((std::max<int64_t>(left_us, 0) + 999) / 1000);
}

}  // namespace kvcs::http
