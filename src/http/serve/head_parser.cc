// The strict parser of request heads: where the head ends, the request line, the target, and the
// headers that frame the body. Every refusal is a literal that says what was wrong.
#include "http/serve/head_parser.h"

#include <array>
#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "http/header_syntax.h"

namespace kvcs::http {
namespace {

// A client that was told https:// would else wait until its head is late.
constexpr Refusal kTlsHello = {
    400,
    "This is a TLS handshake, and this port speaks plain HTTP: use http:// instead of https://."};
constexpr Refusal kBadRequestLine = {400, "Malformed request line."};
constexpr Refusal kBadTarget = {400, "Malformed request target."};
constexpr Refusal kBadHeader = {400, "Malformed header line."};
constexpr Refusal kUriTooLong = {414, "The request target is too long."};
constexpr Refusal kHeadTooLarge = {431, "The request head is too large."};
constexpr Refusal kTooManyHeaders = {431, "Too many header lines."};

// RFC 3986 §3.2.2, its brackets and escapes too.
constexpr CharSet kHostChars(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~:[]%!$&'()*+,;=");

bool is_host(std::string_view text) {
  return kHostChars.has_all(text);
}

std::optional<Method> parse_method(std::string_view name) {
  for (const Method method : {Method::kGet, Method::kPost, Method::kPut, Method::kHead,
                              Method::kDelete, Method::kPatch, Method::kOptions}) {
    if (method_name(method) == name) return method;
  }
  return std::nullopt;
}

bool is_dot_segment(std::string_view segment) {
  return segment == "." || segment == "..";
}

// A segment may hold an escaped slash; then each of its parts counts.
bool has_dot_part(std::string_view segment) {
  if (segment.find('/') == segment.npos) return is_dot_segment(segment);
  for (const std::string_view part : split(segment, '/')) {
    if (is_dot_segment(part)) return true;
  }
  return false;
}

// Decodes and normalizes: no empty segments, no dot segments, no controls.
bool decode_path(std::string_view raw, std::string& path) {
  path.clear();
  std::string decoded;
  for (size_t from = 0; from < raw.size();) {
    const size_t slash = std::min(raw.find('/', from), raw.size());
    std::string_view segment = raw.substr(from, slash - from);
    from = slash + 1;
    if (segment.empty()) continue;
    if (segment.find('%') != segment.npos) {
      auto text = percent_decode(segment, false);
      if (!text.ok()) return false;
      decoded = std::move(text).value();
      if (!is_field_value(decoded)) return false;
      segment = decoded;
    }
    if (has_dot_part(segment)) return false;
    (path += '/') += segment;
  }
  if (path.empty()) path = "/";
  return true;
}

// Escapes are whole, and none of them is a NUL.
bool is_query(std::string_view query) {
  for (size_t i = query.find('%'); i != query.npos; i = query.find('%', i + 3)) {
    const std::string_view digits = query.substr(i + 1, 2);
    if (!is_hex(digits, 2) || digits == "00") return false;
  }
  return true;
}

Refusal parse_target(std::string_view target, Request& request, Framing& framing) {
  // RFC 9112 §3.2 forbids white space; what is beyond ASCII must be escaped.
  for (const char c : target) {
    if (c <= 0x20 || c >= 0x7f || c == '#') return kBadTarget;  // `char` is signed: ≥ 0x80 too.
  }
  request.target = target;
  if (target == "*") {
    if (request.method != Method::kOptions) return kBadTarget;
    framing.asterisk = true;
    request.path = "*";
    return {};
  }
  if (target.front() != '/') {
    // Absolute form (RFC 9112 §3.2.2): the scheme and host were for a proxy.
    const size_t scheme = target.find("://");
    if (scheme == target.npos || !(equal_ignore_case(target.substr(0, scheme), "http") ||
                                   equal_ignore_case(target.substr(0, scheme), "https"))) {
      return kBadTarget;
    }
    target.remove_prefix(scheme + 3);
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    if (end == 0 || !is_host(target.substr(0, end))) return kBadTarget;
    target.remove_prefix(end);
  }
  const size_t question = target.find('?');
  framing.raw_path = target.substr(0, question);
  if (question != target.npos) request.query = target.substr(question + 1);
  if (!decode_path(framing.raw_path, request.path) || !is_query(request.query)) return kBadTarget;
  return {};
}

Refusal parse_request_line(std::string_view line, Request& request, Framing& framing) {
  // Method, target and version with one space between them. A space inside of the target makes the
  // target invalid, so that no second reading of the line exists.
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == line.npos || last == first) return kBadRequestLine;
  const std::string_view name = line.substr(0, first), version = line.substr(last + 1);
  if (!is_token(name)) return kBadRequestLine;
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.' ||
      !isdigit(version[5]) || !isdigit(version[7])) {
    return kBadRequestLine;
  }
  if (version[5] != '1') return {505, "Only HTTP/1.1 and HTTP/1.0 are spoken."};
  // RFC 9110 §2.5: a higher minor version of the same major one is taken as the highest known.
  framing.http_1_1 = version[7] != '0';
  framing.keep_alive = framing.http_1_1;
  const auto method = parse_method(name);
  if (!method) return {501, "The method is unknown."};
  request.method = *method;
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.empty()) return kBadRequestLine;
  return parse_target(target, request, framing);
}

// Facts of the headers read so far, for rules that span several of them.
struct Seen {
  int hosts = 0;
  bool transfer_encoding = false, close = false;
};

void parse_connection(std::string_view value, Framing& framing, Seen& seen) {
  for (const std::string_view option : split(value, ',')) {
    seen.close = seen.close || equal_ignore_case(trim(option), "close");
    framing.keep_alive = framing.keep_alive || equal_ignore_case(trim(option), "keep-alive");
  }
}

// RFC 9112 §6.3: one number without a sign. Two are refused even when they are equal.
Refusal parse_length(std::string_view value, Framing& framing) {
  if (framing.content_length) return {400, "More than one Content-Length."};
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (value.empty() || end != value.data() + value.size()) {
    return {400, "Content-Length is not a number."};
  }
  if (error != std::errc()) return {413, "Content-Length is beyond any limit."};
  framing.content_length = length;
  return {};
}

// The few headers that decide how the message is framed. Dispatched by length first: most headers
// are none of these.
Refusal note_header(std::string_view name, std::string_view value, Framing& framing, Seen& seen) {
  switch (name.size()) {
    case 4:
      if (equal_ignore_case(name, "host")) {
        if (++seen.hosts > 1 || !is_host(value)) return {400, "One valid Host header is needed."};
      }
      return {};
    case 6:
      if (equal_ignore_case(name, "expect")) {
        if (!equal_ignore_case(value, "100-continue")) return {417, "Unknown expectation."};
        framing.expects_continue = framing.http_1_1;
      }
      return {};
    case 10:
      if (equal_ignore_case(name, "connection")) parse_connection(value, framing, seen);
      return {};
    case 14:
      return equal_ignore_case(name, "content-length") ? parse_length(value, framing) : Refusal{};
    case 17:
      if (!equal_ignore_case(name, "transfer-encoding")) return {};
      if (seen.transfer_encoding) return {400, "More than one Transfer-Encoding."};
      seen.transfer_encoding = true;
      if (!framing.http_1_1) return {400, "HTTP/1.0 has no Transfer-Encoding."};
      if (!equal_ignore_case(value, "chunked")) {
        return {501, "The only transfer coding is 'chunked'."};
      }
      framing.chunked = true;
      return {};
    default:
      return {};
  }
}

}  // namespace

// Looks for the blank line, and for what makes waiting for it useless: a bare LF, a line or a head
// that is already too long. Called again as bytes come, it goes on where it stopped.
HeadScan scan_head(std::string_view bytes, HeadProgress& progress, const HeadLimits& limits) {
  if (progress.lines == 0 && bytes.starts_with("\x16\x03")) return {0, kTlsHello};
  while (progress.scanned < bytes.size()) {
    const void* hit =
        std::memchr(bytes.data() + progress.scanned, '\n', bytes.size() - progress.scanned);
    if (hit == nullptr) {
      progress.scanned = bytes.size();
      break;
    }
    const auto end = static_cast<size_t>(static_cast<const char*>(hit) - bytes.data());
    if (end == 0 || bytes[end - 1] != '\r') return {0, {400, "A line must end in CRLF."}};
    const size_t length = end - 1 - progress.line_start;
    if (length == 0) {
      if (end + 1 > limits.head_max_bytes) return {0, kHeadTooLarge};
      if (progress.lines == 0) return {0, {400, "The request line is empty."}};
      return {end + 1, {}};
    }
    if (progress.lines == 0 && length > limits.uri_max_bytes + 32) return {0, kUriTooLong};
    if (progress.lines++ > limits.headers_max) return {0, kTooManyHeaders};
    progress.scanned = progress.line_start = end + 1;
  }
  if (bytes.size() >= limits.head_max_bytes) return {0, kHeadTooLarge};
  if (progress.lines == 0 && bytes.size() > limits.uri_max_bytes + 32) return {0, kUriTooLong};
  return {};
}

Refusal parse_head(std::string_view head, const HeadLimits& limits, Request& request,
                   Framing& framing) {
  framing = Framing{};
  request.query = {};
  request.headers.clear();
  size_t end = head.find("\r\n");
  if (const Refusal r = parse_request_line(head.substr(0, end), request, framing)) return r;
  if (request.target.size() > limits.uri_max_bytes) return kUriTooLong;
  Seen seen;
  int lines = 0;
  for (size_t from = end + 2; from + 2 < head.size(); from = end + 2) {
    end = head.find("\r\n", from);
    if (end == head.npos) return kBadHeader;
    const std::string_view line = head.substr(from, end - from);
    if (++lines > limits.headers_max) return kTooManyHeaders;
    const size_t colon = line.find(':');
    if (colon == line.npos) return kBadHeader;
    const std::string_view name = line.substr(0, colon);
    if (!is_token(name)) return kBadHeader;  // Also a folded line and a space before the colon.
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
      value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    if (!is_field_value(value)) return kBadHeader;
    if (name.find('_') != name.npos) continue;
    if (const Refusal r = note_header(name, value, framing, seen)) return r;
    request.headers.push_back({name, value});
  }
  // "close" wins, whatever else Connection said (RFC 9112 §9.3).
  if (seen.close) framing.keep_alive = false;
  if (seen.hosts == 0 && framing.http_1_1) return {400, "A Host header is needed."};
  if (framing.chunked && framing.content_length) {
    return {400, "Content-Length and Transfer-Encoding exclude each other."};
  }
  return {};
}

}  // namespace kvcs::http
