// Server-Sent Events (WHATWG HTML §9.2), incrementally: any chunking, CR, LF or CRLF, multi-line
// data, comments. Keeps bytes as they came, so that a relay can pass them on unchanged. One thread.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs::http {

struct SseEvent {
  std::string_view raw;    // The bytes of the whole event including its blank line.
  std::string_view event;  // "" when no event field.
  std::string_view data;   // Lines joined by '\n'.
};

class SseParser final {
 public:
  explicit SseParser(size_t event_max_bytes) : event_max_bytes_(event_max_bytes) {}
  // Calls `on_event` for each event completed by `bytes`. TooLarge when one event passes the limit
  // (the parser is then spent). Stops at the callback's failure.
  Status feed(std::string_view bytes, const std::function<Status(const SseEvent&)>& on_event);
  // What was received after the last complete event.
  std::string_view pending() const { return buffer_; }

 private:
  size_t event_max_bytes_;
  std::string buffer_;
  size_t scanned_ = 0;
  std::string data_, event_;
};

}  // namespace kvcs::http
