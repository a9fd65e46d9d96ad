// The head of a request: found in a growing buffer, then parsed and validated (RFC 9112 §2–§7,
// RFC 9110 §5). Pure functions; no allocation besides the decoded path.
//
// Strict where leniency has been a hole: line ends are CRLF, no folded lines, no space before a
// colon, one Host, one Content-Length or one "chunked", never both. What is refused closes the
// connection, because the end of such a message cannot be known.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http/http.h"

namespace kvcs::http {

struct HeadLimits {
  size_t head_max_bytes = 32 << 10, uri_max_bytes = 8000;
  int headers_max = 100;
};

// An HTTP status and the reason in words; status 0: not refused.
struct Refusal {
  int status = 0;
  const char* why = "";
  explicit operator bool() const { return status != 0; }
};

// How far a head that is still arriving was scanned, so that no byte is looked at twice.
struct HeadProgress {
  size_t line_start = 0, scanned = 0;
  int lines = 0;
};
struct HeadScan {
  size_t size_bytes = 0;  // With its blank line; 0: not complete.
  Refusal refusal;        // Already known to be too long or malformed.
};
HeadScan scan_head(std::string_view bytes, HeadProgress& progress, const HeadLimits& limits);

// Facts of a head that the connection layer needs and a handler does not.
struct Framing {
  bool http_1_1 = true;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  bool asterisk = false;                   // OPTIONS *
  std::optional<uint64_t> content_length;  // Nothing and not chunked: no body.
  std::string_view raw_path;               // As sent, for the router.
};

// `head` is one complete head. Fills method, target, path, query and headers of `request`; views
// point into `head`. Header names with '_' are dropped: CGI-style consumers cannot tell them from
// '-'.
Refusal parse_head(std::string_view head, const HeadLimits& limits, Request& request,
                   Framing& framing);

}  // namespace kvcs::http
