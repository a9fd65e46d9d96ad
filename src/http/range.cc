// Preconditions (RFC 9110 §13) and single ranges (§14). Several ranges in one header are answered
// with the whole representation, as the RFC allows: overlapping parts are an amplification.
#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "http/header_list.h"
#include "http/http.h"

namespace kvcs::http {
namespace {

std::string quoted(std::string_view etag) {
  if (etag.empty() || etag.front() == '"') return std::string(etag);
  return '"' + std::string(etag) + '"';
}

// Tells whether a list of entity tags holds `etag` (RFC 9110 §13.1.1). The weak comparison ignores
// a "W/" prefix. "*" matches whatever there is.
bool list_matches(std::string_view list, std::string_view etag, bool weak) {
  if (trim(list) == "*") return true;
  for (const std::string_view part : split(list, ',')) {
    std::string_view candidate = trim(part);
    if (weak && candidate.starts_with("W/")) candidate.remove_prefix(2);
    if (!etag.empty() && candidate == etag) return true;
  }
  return false;
}

std::optional<uint64_t> parse_position(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  // More digits than fit is a position beyond any file, not an error.
  return error == std::errc() ? value : ~uint64_t{0};
}

// The bytes that one range asks for.
struct Range {
  uint64_t offset, size_bytes;  // size 0: not satisfiable
};

// Nothing for what is not one range of bytes: the header is then ignored.
std::optional<Range> parse_range(std::string_view header, uint64_t size_bytes) {
  constexpr std::string_view kUnit = "bytes=";
  if (!equal_ignore_case(header.substr(0, kUnit.size()), kUnit)) return std::nullopt;
  const std::string_view spec = trim(header.substr(kUnit.size()));
  const size_t dash = spec.find('-');
  if (dash == spec.npos || spec.find(',') != spec.npos) return std::nullopt;
  const auto last = parse_position(spec.substr(dash + 1));
  // "-500": the last 500 bytes, or all of them when there are fewer.
  if (dash == 0) {
    if (!last) return std::nullopt;
    const uint64_t n = std::min(*last, size_bytes);
    return Range{size_bytes - n, n};
  }
  const auto first = parse_position(spec.substr(0, dash));
  const bool open_ended = dash + 1 == spec.size();
  if (!first || (!open_ended && (!last || *last < *first))) return std::nullopt;
  if (*first >= size_bytes) return Range{0, 0};
  const uint64_t end = open_ended ? size_bytes - 1 : std::min(*last, size_bytes - 1);
  return Range{*first, end - *first + 1};
}

RangeDecision decide(const Request& request, uint64_t size_bytes, const std::string& etag,
                     Response& response) {
  // The order is that of RFC 9110 §13.2.2: If-Match, then If-None-Match, then If-Range with Range.
  const auto if_match = header_list(request, "if-match");
  if (if_match && !list_matches(*if_match, etag, false)) return {412, 0, 0};
  const bool reads = request.method == Method::kGet || request.method == Method::kHead;
  const auto if_none_match = header_list(request, "if-none-match");
  if (if_none_match && list_matches(*if_none_match, etag, true)) {
    return {reads ? 304 : 412, 0, 0};
  }
  const auto header = request.header("range");
  const auto if_range = request.header("if-range");
  // A date in If-Range never matches: we keep no modification times.
  if (!header || request.method != Method::kGet || (if_range && *if_range != etag)) {
    return {200, 0, size_bytes};
  }
  const auto range = parse_range(*header, size_bytes);
  if (!range) return {200, 0, size_bytes};
  const std::string total = std::to_string(size_bytes);
  if (range->size_bytes == 0) {
    response.set("content-range", "bytes */" + total);
    return {416, 0, 0};
  }
  response.set("content-range", "bytes " + std::to_string(range->offset) + "-" +
                                    std::to_string(range->offset + range->size_bytes - 1) + "/" +
                                    total);
  return {206, range->offset, range->size_bytes};
}

}  // namespace

RangeDecision decide_range(const Request& request, uint64_t size_bytes, std::string_view etag,
                           Response& response) {
  const std::string tag = quoted(etag);
  response.set("accept-ranges", "bytes");
  if (!tag.empty()) response.set("etag", tag);
  const RangeDecision decision = decide(request, size_bytes, tag, response);
  response.status = decision.status;
  return decision;
}

}  // namespace kvcs::http
