// The parser of event streams: lines are found in one pass over a buffer that holds the unfinished
// event, whole events are given out as views into it.
#include "http/sse.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/chars.h"

namespace kvcs::http {
namespace {

// Bounds what one feed() copies before the limit is looked at.
constexpr size_t kSliceBytes = 16 << 10;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

Status SseParser::feed(std::string_view bytes,
                       const std::function<Status(const SseEvent&)>& on_event) {
  if (spent_) return too_large_event();
  while (!bytes.empty()) {
    const std::string_view slice = bytes.substr(0, kSliceBytes);
    bytes.remove_prefix(slice.size());
    buffer_.append(slice);
    Status fed = feed_slice(on_event);
    if (!fed.ok()) return fed;
  }
  return ok();
}

Status SseParser::feed_slice(const std::function<Status(const SseEvent&)>& on_event) {
  // Everything before event_begin has been given out, and is erased once at the end.
  size_t event_begin = 0;
  Status outcome;
  while (outcome.ok()) {
    if (!after_cr_) scanned_ += line_prefix(std::string_view(buffer_).substr(scanned_));
    if (scanned_ == buffer_.size()) break;
    const char c = buffer_[scanned_++];
    // An LF behind a CR that has ended its line already belongs to that line end. It is passed
    // over, and stays in front of the raw bytes of the next event.
    const bool second_half = after_cr_ && c == '\n';
    after_cr_ = false;
    if (second_half) {
      line_begin_ = scanned_;
      continue;
    }
    if (c != '\n' && c != '\r') continue;
    const std::string_view line(buffer_.data() + line_begin_, scanned_ - 1 - line_begin_);
    // A CRLF that is here whole belongs to this line; else the CR ends it alone, without waiting.
    if (c == '\r' && scanned_ < buffer_.size() && buffer_[scanned_] == '\n') {
      scanned_++;
    } else {
      after_cr_ = c == '\r';
    }
    line_begin_ = scanned_;
    if (scanned_ - event_begin > event_max_bytes_) break;
    take_line(line);
    if (!line.empty()) continue;
    if (has_data_) data_.pop_back();  // The last '\n'.
    outcome = on_event(
        {std::string_view(buffer_.data() + event_begin, scanned_ - event_begin), event_, data_});
    event_begin = scanned_;
    has_data_ = false;
    data_.clear();
    event_.clear();
  }
  // Once per slice, so that many small events do not move the rest again and again.
  buffer_.erase(0, event_begin);
  scanned_ -= event_begin;
  line_begin_ -= event_begin;
  if (outcome.ok() && buffer_.size() > event_max_bytes_) {
    spent_ = true;
    return too_large_event();
  }
  return outcome;
}

// WHATWG HTML §9.2.6: a line without a colon is a field without a value, one space behind the colon
// is not part of the value, and a line that begins with a colon is a comment. The fields "id" and
// "retry" pass unread in the raw bytes.
void SseParser::take_line(std::string_view line) {
  if (at_start_ && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  at_start_ = false;
  const size_t colon = line.find(':');
  if (line.empty() || colon == 0) return;
  const std::string_view name = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    has_data_ = true;
    data_.append(value).push_back('\n');
  } else if (name == "event") {
    event_ = value;
  }
}

Status SseParser::too_large_event() const {
  return too_large("one event of the stream is larger than the limit of " +
                   format_bytes(event_max_bytes_));
}

std::string_view SseParser::pending() const {
  std::string_view rest = buffer_;
  if (rest == "\n" && line_begin_ == 1) return {};  // Only the LF of a CRLF already delivered.
  return rest;
}

}  // namespace kvcs::http
