// Rules that both upstream engines share: which URLs, headers and addresses are allowed, how a
// response head is kept, and when waiting ends. Inside of the http module. Pure functions and
// values of one thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "http/client/upstream.h"

struct sockaddr;

namespace kvcs::http {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A URL taken apart, in the one form in which it is compared, pooled and sent.
struct UpstreamUrl {
  bool https = false;
  std::string host;       // Lower case, without brackets.
  std::string authority;  // For Host: brackets kept, port unless it is the scheme's.
  int port = 0;
  std::string target;  // "/path?query"; never empty.
  std::string to_string() const { return (https ? "https://" : "http://") + authority + target; }
};
// RFC 3986 without user info and fragment, and without anything that two parsers could read in
// two ways: backslashes, controls, spaces, escapes in the host. Invalid.
Result<UpstreamUrl> parse_upstream_url(std::string_view url);

// Method and header names are tokens (RFC 9110 §5.6.2), values carry no control but tab. Invalid.
Status check_sendable(std::string_view method, const HeaderList& headers);
// RFC 9110 §9.2.2: asking twice is meant to do no more than asking once.
bool is_idempotent(std::string_view method);
// Headers that only the engine may write: hop-by-hop, framing, Host, Expect.
bool is_engine_header(std::string_view name);
bool is_hop_by_hop(std::string_view lower_name);

// True for loopback, private, link-local, shared, multicast, reserved and cloud metadata addresses
// (IPv4, IPv6 and the forms of IPv6 that carry an IPv4 address), and for every other family.
bool is_private_address(const sockaddr* address);
Status private_address_refused(std::string_view authority);
Status no_connection_within(std::string_view authority, int timeout_ms);
// What the server did, as Upstream. Messages reach the callers of a door, who are not to learn
// which host the operator uses; the cause, for the log, begins with it.
Status server_failed(std::string_view authority, std::string_view what, std::string_view reason,
                     std::string_view detail = {});

// A response head as it comes in, line by line, without line ends.
class ResponseHead {
 public:
  // "HTTP/1.1 200 OK" or "HTTP/2 200"; drops what an interim response left. False: not HTTP.
  bool start(std::string_view line);
  bool add(std::string_view line);  // False: not a header field.
  void finish();                    // Removes hop-by-hop headers and those Connection names.
  int status() const { return status_; }
  bool interim() const { return status_ >= 100 && status_ < 200; }
  bool http_1_0() const { return http_1_0_; }
  const HeaderList& headers() const { return headers_; }

 private:
  int status_ = 0;
  bool http_1_0_ = false;
  HeaderList headers_;
};

// What may end an exchange before its own end: the deadline, the idle time, and the client that
// leaves, at once or once the time and the bytes are used up that it is then still granted.
class ExchangeTimer {
 public:
  ExchangeTimer(const UpstreamRequest& request, const Clock& clock);
  void touch() { last_us_ = clock_.mono_us(); }  // A byte moved, or waiting begins.
  void note_sent() { sent_ = true; }             // From now on the server may have something.
  bool sent() const { return sent_; }
  Status check(std::string_view authority) const { return check_at(authority, clock_.mono_us()); }
  // Both in one reading of the clock, of which an exchange on a pooled connection needs few.
  Status touch_and_check(std::string_view authority) {
    touch();
    return check_at(authority, last_us_);
  }
  int wait_ms() const { return wait_ms_at(clock_.mono_us()); }  // How long until the next check.
  // check(), then wait_ms().
  Result<int> check_and_wait_ms(std::string_view authority) const;
  int64_t started_us() const { return started_us_; }
  int64_t touched_us() const { return last_us_; }

  // False once the client has left: it cannot end a second wait.
  bool watches_client() const { return stop_if_client_leaves_ && !client_left(); }
  bool client_left() const { return left_us_ >= 0; }
  void note_client_left();
  // A wait ended as Waiter::Woken::kClientGone. ok(): the exchange goes on. A second time it is our
  // server that stops, and nothing goes on.
  Status wait_ended();
  Status count_read(size_t bytes);
  // The same failure, but as that of a client that left, if it had: the reason for the caller's
  // books. What happened then is the cause.
  Status worded(Status failure) const;

 private:
  Status check_at(std::string_view authority, int64_t now_us) const;
  int wait_ms_at(int64_t now_us) const;
  Status gone(std::string_view cause = {}) const;

  const Clock& clock_;
  int64_t started_us_, last_us_;
  int deadline_ms_, idle_timeout_ms_;
  bool sent_ = false;
  const bool stop_if_client_leaves_;
  const int after_client_left_ms_;
  size_t after_client_left_bytes_;
  int64_t left_us_ = -1;  // When the client left; -1: it has not.
};

}  // namespace kvcs::http
