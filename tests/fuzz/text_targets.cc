// The targets whose bytes are text: JSON, HTTP, URLs, schedules.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/json.h"
#include "base/json_cursor.h"
#include "fuzz/targets.h"
#include "gateway/outbound/url_guard.h"
#include "http/client/upstream_rules.h"
#include "http/serve/head_parser.h"
#include "http/sse.h"
#include "http/wire/chunked_body.h"
#include "kvfile/format/json_scanner.h"
#include "ops/cron.h"

namespace kvcs::fuzz {
namespace {

// A number that may be beyond a double: the general parser refuses those, the scanner skips them.
bool may_overflow(std::string_view bytes) {
  size_t digits = 0;
  for (const char c : bytes) {
    if (digits > 0 && (c == 'e' || c == 'E')) return true;
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > 300) return true;
  }
  return false;
}

// What the strict scanner takes, a general parser takes as well.
void json_scanner(std::string_view bytes) {
  kvfile::JsonScanner scanner(bytes, 8, "fuzz");
  const bool taken =
      scanner.check_utf8().ok() && scanner.skip_value().ok() && scanner.finish(" \t\r\n").ok();
  if (taken && !may_overflow(bytes)) KVCS_ASSERT(parse_json(bytes).ok());
}

// What the general parser takes is JSON to the cursor too; an edited member is found as it was set,
// in text that is still JSON. The general parser alone skips a byte order mark.
void json_cursor(std::string_view bytes) {
  const bool json = is_json(bytes);
  if (parse_json(bytes).ok() && !bytes.starts_with("\xef\xbb\xbf")) KVCS_ASSERT(json);
  if (!json || JsonCursor(bytes).peek() != '{') return;
  std::string edited(bytes);
  set_json_member(edited, "m", "[1.50]");
  KVCS_ASSERT(is_json(edited));
  const auto span = find_json_member(edited, "m");
  KVCS_ASSERT(span && edited.compare(span->begin, span->end - span->begin, "[1.50]") == 0);
}

void http_head(std::string_view bytes) {
  const http::HeadLimits limits{.head_max_bytes = 1024, .uri_max_bytes = 256, .headers_max = 16};
  http::HeadProgress at_once;
  const http::HeadScan scan = http::scan_head(bytes, at_once, limits);
  // The same bytes one after the other end at the same place.
  http::HeadProgress slowly;
  http::HeadScan last;
  for (size_t n = 1; n <= bytes.size() && last.size_bytes == 0 && !last.refusal; n++) {
    last = http::scan_head(bytes.substr(0, n), slowly, limits);
  }
  http::Request request;
  http::Framing framing;
  // A line that is too long is refused before its end came; parse_head() sees the rest.
  const bool refused =
      scan.refusal || (scan.size_bytes > 0 && http::parse_head(bytes.substr(0, scan.size_bytes),
                                                               limits, request, framing));
  // All at once, an unfinished head waits for its end before its lines are looked at.
  const bool unfinished = !scan.refusal && scan.size_bytes == 0;
  if (last.refusal) KVCS_ASSERT(refused || unfinished);
  if (scan.refusal) KVCS_ASSERT(last.refusal);
  if (refused || scan.size_bytes == 0) return;
  KVCS_ASSERT(scan.size_bytes == last.size_bytes);
  KVCS_ASSERT(!(framing.chunked && framing.content_length));
  KVCS_ASSERT(request.path.find('\0') == std::string::npos);
  for (const std::string_view segment : split(request.path, '/')) KVCS_ASSERT(segment != "..");
  for (const http::Header& header : request.headers) {
    KVCS_ASSERT(header.value.find_first_of(std::string_view("\r\n\0", 3)) == header.value.npos);
  }
}

struct Decoded {
  std::string bytes;
  bool broken = false, done = false;
  size_t taken = 0;
};
Decoded decode(std::string_view in, size_t step_in, size_t step_out) {
  http::ChunkedBody body;
  Decoded decoded;
  std::array<char, 64> out;
  while (decoded.taken < in.size() && !body.done()) {
    const auto step =
        body.decode(in.substr(decoded.taken, step_in), std::span(out).first(step_out));
    if (!step.ok()) {
      decoded.broken = true;
      return decoded;
    }
    KVCS_ASSERT(step->taken > 0);
    decoded.taken += step->taken;
    decoded.bytes.append(out.data(), step->given);
  }
  decoded.done = body.done();
  return decoded;
}

void chunked_body(std::string_view bytes) {
  const Decoded wide = decode(bytes, bytes.size(), 64), narrow = decode(bytes, 1, 1);
  KVCS_ASSERT(wide.broken == narrow.broken && wide.done == narrow.done);
  if (!wide.broken) KVCS_ASSERT(wide.bytes == narrow.bytes && wide.taken == narrow.taken);
}

std::vector<std::string> events_of(std::string_view bytes, size_t step, std::string& joined) {
  http::SseParser parser(512);
  std::vector<std::string> events;
  for (size_t at = 0; at < bytes.size(); at += step) {
    const Status fed = parser.feed(bytes.substr(at, step), [&](const http::SseEvent& e) -> Status {
      joined += e.raw;
      events.push_back(std::string(e.event) + '\x01' + std::string(e.data));
      return ok();
    });
    if (!fed.ok()) return {"too large"};
  }
  joined += parser.pending();
  return events;
}

void sse(std::string_view bytes) {
  std::string wide_joined, narrow_joined;
  const auto wide = events_of(bytes, std::max<size_t>(bytes.size(), 1), wide_joined);
  const auto narrow = events_of(bytes, 1, narrow_joined);
  KVCS_ASSERT(wide == narrow);
  if (wide == std::vector<std::string>{"too large"}) return;
  // The LF of a CRLF whose CR already ended an event is not pending.
  for (const std::string& joined : {wide_joined, narrow_joined}) {
    KVCS_ASSERT(joined == bytes || (joined + "\n" == bytes && joined.ends_with('\r')));
  }
}

void upstream_head(std::string_view bytes) {
  const std::vector<std::string_view> lines = split(bytes, '\n');
  http::ResponseHead head;
  if (!head.start(lines[0])) return;
  for (size_t i = 1; i < lines.size(); i++) {
    if (!head.add(lines[i])) return;
  }
  head.finish();
  KVCS_ASSERT(head.status() >= 100 && head.status() <= 999);
  for (const auto& [name, value] : head.headers()) {
    KVCS_ASSERT(!http::is_hop_by_hop(lower_ascii(name)));
    KVCS_ASSERT(value.find_first_of(std::string_view("\r\n\0", 3)) == value.npos);
  }
}

// What was let through stays on the host, is plain ASCII and is let through again.
void url_guard(std::string_view bytes) {
  const Result<std::string> path = gateway::check_path(bytes);
  if (path.ok()) {
    KVCS_ASSERT(path->starts_with('/') && path->find("/../") == std::string::npos);
    const auto url = http::parse_upstream_url("https://api.example.com" + *path);
    KVCS_ASSERT(url.ok() && url->host == "api.example.com" && url->target == *path);
  }
  const gateway::Meta meta{{"x", std::string(bytes)}};
  const gateway::Meta nothing;
  const auto base = gateway::fill_base_url("https://{x}.example.com/base/{x}", {meta, nothing});
  if (base.ok()) {
    const auto url = http::parse_upstream_url(base->origin + base->path + "/a");
    KVCS_ASSERT(url.ok() && url->host.ends_with(".example.com") && !url->host.starts_with('.'));
  }
  const auto url = http::parse_upstream_url(bytes);
  if (!url.ok()) return;
  const auto again = http::parse_upstream_url(url->to_string());
  KVCS_ASSERT(again.ok() && again->to_string() == url->to_string());
}

void cron_expression(std::string_view bytes) {
  const auto expression = CronExpression::parse(bytes);
  if (!expression.ok()) return;
  constexpr int64_t kNow = 1'790'000'000'123, kMinute = 60'000;
  constexpr int64_t kEightYears = int64_t{8} * 366 * 24 * 60 * kMinute;
  const int64_t next = expression->next_after_ms(kNow);
  KVCS_ASSERT(next > kNow && next % kMinute == 0 && next - kNow <= kEightYears);
}

}  // namespace

std::vector<Target> text_targets() {
  return {{"json_scanner", json_scanner},
          {"json_cursor", json_cursor},
          {"http_head", http_head},
          {"chunked_body", chunked_body},
          {"sse", sse},
          {"upstream_head", upstream_head},
          {"url_guard", url_guard},
          {"cron_expression", cron_expression}};
}

}  // namespace kvcs::fuzz
