// Server-Sent Events (WHATWG HTML §9.2), incrementally: any chunking, CR, LF or CRLF, multi-line
// data, comments, a byte order mark. Keeps bytes as they came (UTF-8 or not), so that a relay can
// pass them on unchanged. Time is linear in the bytes fed. One thread.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs::http {

// Every block that a blank line ends, so that the raw parts joined give the stream: a comment or a
// second blank line is one too, with empty data.
struct SseEvent {
  std::string_view raw;    // The bytes of the whole event including its blank line.
  std::string_view event;  // "" when no event field.
  std::string_view data;   // Lines joined by '\n'.
};

class SseParser final {
 public:
  explicit SseParser(size_t event_max_bytes) : event_max_bytes_(event_max_bytes) {}
  // Calls `on_event` for each event completed by `bytes`. TooLarge when one event passes the limit
  // (the parser is then spent). Stops at the callback's failure. A CR ends its line at once; the
  // LF that may follow it is then the first byte of the next raw.
  Status feed(std::string_view bytes, const std::function<Status(const SseEvent&)>& on_event);
  // The bytes received after the last complete event.
  std::string_view pending() const;

 private:
  Status feed_slice(const std::function<Status(const SseEvent&)>& on_event);
  void take_line(std::string_view line);
  Status too_large_event() const;

  size_t event_max_bytes_;
  std::string buffer_;     // From the start of the unfinished event.
  size_t line_begin_ = 0;  // In buffer_.
  size_t scanned_ = 0;     // No line end in buffer_[line_begin_, scanned_).
  bool after_cr_ = false;  // The byte before scanned_ was a CR that ended a line.
  bool at_start_ = true;   // No line of the stream was taken yet.
  bool has_data_ = false;
  bool spent_ = false;
  std::string data_, event_;
};

}  // namespace kvcs::http
