// Heads, bodies, files and streams on their way out. Runs on the request's fiber, which is parked
// while a client takes nothing, up to the write timeout.
#include "http/serve/response_writer.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/wait.h"

namespace kvcs::http {
namespace {

// Heads and bodies up to this size leave in one TLS record.
constexpr size_t kJoinMaxBytes = 16 << 10;
// A client that has taken so much may have more room in the kernel.
constexpr uint64_t kReaderBytes = 1 << 20;

void append_number(std::string& out, uint64_t number, int base = 10) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, base).ptr;
  out.append(digits, end);
}

// A line break in a header's name or value would let a caller write headers, or a second response.
bool is_safe(std::string_view text) {
  return !has_control(text) || text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos;
}

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

// The headers that the server writes itself unless the handler has set them; true: it has.
struct Own {
  bool content_type_options = false, referrer_policy = false, frame_options = false, date = false;
};

// True: the header is ours alone and the handler's is left out.
bool is_ours(std::string_view name, Own& own) {
  switch (name.size()) {
    case 4:
      own.date |= equal_ignore_case(name, "date");
      return false;
    case 10:
      return equal_ignore_case(name, "connection") || equal_ignore_case(name, "keep-alive");
    case 12:
      return equal_ignore_case(name, "x-request-id");
    case 14:
      return equal_ignore_case(name, "content-length");
    case 15:
      own.referrer_policy |= equal_ignore_case(name, "referrer-policy");
      own.frame_options |= equal_ignore_case(name, "x-frame-options");
      return false;
    case 17:
      return equal_ignore_case(name, "transfer-encoding");
    case 22:
      own.content_type_options |= equal_ignore_case(name, "x-content-type-options");
      return false;
    default:
      return false;
  }
}

// Room for all of them is made once.
void append_headers(const std::vector<std::pair<std::string, std::string>>& headers, Own& own,
                    std::string& out) {
  const size_t before = out.size();
  size_t most = before;
  for (const auto& [name, value] : headers) most += name.size() + value.size() + 4;
  out.resize(most);
  char* at = out.data() + before;
  for (const auto& [name, value] : headers) {
    if (is_ours(name, own) || !is_safe(name) || !is_safe(value)) continue;
    at = put(put(put(put(at, name), ": "), value), "\r\n");
  }
  out.resize(static_cast<size_t>(at - out.data()));
}

}  // namespace

std::string_view reason_phrase(int status) {
  // Nobody parses the phrase; it is for people who read a trace.
  static constexpr std::pair<int, std::string_view> kPhrases[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {402, "Payment Required"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {423, "Locked"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {460, "Checksum Mismatch"},
      {500, "Internal Server Error"},
      {501, "Not Supported"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {507, "Insufficient Storage"},
  };
  for (const auto& [code, phrase] : kPhrases) {
    if (code == status) return phrase;
  }
  return "Status";
}

std::string_view DateText::at(int64_t unix_s) {
  if (unix_s != unix_s_) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t time = unix_s;
    tm parts{};
    gmtime_r(&time, &parts);
    const int n = std::snprintf(text_.data(), text_.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                                parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
    size_ = std::min(static_cast<size_t>(n), text_.size() - 1);
    unix_s_ = unix_s;
  }
  return {text_.data(), size_};
}

// RFC 9110 §6.4.1 and RFC 9112 §6.3: 1xx, 204 and 304 have no body and no length; a client of
// HTTP/1.0 knows no chunks, so that only closing ends its stream.
HeadPlan plan_body(const Response& response, const HeadFacts& facts) {
  const bool bodyless = response.status == 204 || response.status == 304 || response.status < 200;
  if (bodyless) return {};
  if (response.file) return {Delimiter::kLength, response.file->size_bytes};
  if (!response.static_body.empty()) return {Delimiter::kLength, response.static_body.size()};
  if (!response.stream) return {Delimiter::kLength, response.body.size()};
  if (response.stream_size_bytes) return {Delimiter::kLength, *response.stream_size_bytes};
  return {facts.http_1_1 ? Delimiter::kChunked : Delimiter::kClose, 0};
}

void format_head(const Response& response, const HeadFacts& facts, const HeadPlan& plan,
                 std::string& out) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<uint64_t>(response.status));
  (out += ' ') += reason_phrase(response.status);
  out += "\r\n";
  Own own;
  append_headers(response.headers, own, out);
  if (!own.date) ((out += "date: ") += facts.date) += "\r\n";
  if (plan.delimiter == Delimiter::kLength) {
    out += "content-length: ";
    append_number(out, plan.size_bytes);
    out += "\r\n";
  } else if (plan.delimiter == Delimiter::kChunked) {
    out += "transfer-encoding: chunked\r\n";
  }
  ((out += "x-request-id: ") += facts.request_id) += "\r\n";
  if (!own.content_type_options) out += "x-content-type-options: nosniff\r\n";
  if (!own.referrer_policy) out += "referrer-policy: no-referrer\r\n";
  if (!own.frame_options) out += "x-frame-options: DENY\r\n";
  if (!facts.keep_alive) {
    out += "connection: close\r\n";
  } else if (!facts.http_1_1) {
    out += "connection: keep-alive\r\n";
  }
  out += "\r\n";
}

// Frames what a handler streams.
class StreamWriter final : public BodyWriter {
 public:
  StreamWriter(ResponseWriter& writer, const HeadPlan& plan)
      : writer_(writer), plan_(plan), left_bytes_(plan.size_bytes) {}

  Status write(std::string_view bytes) override {
    if (!failure_.ok()) return failure_;
    if (bytes.empty()) return ok();  // An empty chunk would end the body.
    failure_ = write_framed(bytes);
    return failure_;
  }
  bool client_gone() const override { return !failure_.ok() || writer_.connection_.client_gone(); }
  // The handler is done; a short body is its failure.
  Status finish() {
    if (!failure_.ok()) return failure_;
    if (plan_.delimiter == Delimiter::kChunked) return writer_.send_all("0\r\n\r\n", {}, false);
    if (plan_.delimiter == Delimiter::kLength && left_bytes_ > 0) {
      return internal("The handler streamed less than it declared.");
    }
    return ok();
  }

 private:
  Status write_framed(std::string_view bytes) {
    if (plan_.delimiter == Delimiter::kLength) {
      if (bytes.size() > left_bytes_)
        return internal("The handler streamed more than it declared.");
      left_bytes_ -= bytes.size();
    }
    if (plan_.delimiter != Delimiter::kChunked) return writer_.send_all(bytes, {}, false);
    frame_.clear();
    append_number(frame_, bytes.size(), 16);
    frame_ += "\r\n";
    if (bytes.size() <= kJoinMaxBytes) {  // One small copy is cheaper than three segments.
      (frame_ += bytes) += "\r\n";
      return writer_.send_all(frame_, {}, false);
    }
    KVCS_TRY(writer_.send_all(frame_, bytes, true));
    return writer_.send_all("\r\n", {}, false);
  }

  ResponseWriter& writer_;
  const HeadPlan plan_;
  uint64_t left_bytes_;
  std::string frame_;
  Status failure_;
};

Status ResponseWriter::wait() {
  const int64_t now_ms = steady_ms();
  const int64_t left_ms = pace_.left_ms(sent_bytes_, now_ms);
  if (left_ms <= 0) {
    return unavailable(pace_.is_silent(now_ms) ? "The client takes no bytes."
                                               : "The client takes its bytes too slowly.");
  }
  if (sent_bytes_ >= kReaderBytes) connection_.widen();
  if (!connection_.wait_writable(static_cast<int>(left_ms)))
    return unavailable("The server stops.");
  pace_.add_wait_ms(steady_ms() - now_ms);
  return ok();
}

namespace {

// From the first wait for a client on, what it has not taken.
struct HeldBytes {
  Shares::Memory& memory;
  uint64_t bytes = 0;
  ~HeldBytes() { memory.give(bytes); }
  Status take(uint64_t left) {
    if (bytes != 0) return ok();
    KVCS_TRY(memory.take(left));
    bytes = left;
    return ok();
  }
};

}  // namespace

Status ResponseWriter::send_all(std::string_view a, std::string_view b, bool more, bool held) {
  HeldBytes waiting{memory_};
  while (!a.empty() || !b.empty()) {
    const IoResult sent = connection_.send(a, b, more);
    if (sent.io == Io::kClosed) return unavailable("The client went away.");
    if (sent.io == Io::kWouldBlock) {
      if (held) KVCS_TRY(waiting.take(a.size() + b.size()));
      KVCS_TRY(wait());
      continue;
    }
    sent_bytes_ += sent.size_bytes;
    const size_t of_a = std::min(sent.size_bytes, a.size());
    a.remove_prefix(of_a);
    b.remove_prefix(sent.size_bytes - of_a);
  }
  return ok();
}

Status ResponseWriter::send_file(const FileBody& file) {
  uint64_t offset = file.offset, left = file.size_bytes;
  while (left > 0) {
    const IoResult sent = connection_.send_file(file.descriptor, offset, left);
    if (sent.io == Io::kClosed) {
      // Of the client's leaving nobody needs to hear; of a disk that fails the operator must.
      const int error = sent.error_number;
      if (error != EIO && error != Connection::kFileIsShort) {
        return unavailable("The client went away.");
      }
      return internal(
          "The file of the answer " +
          std::string(error == EIO ? "cannot be read (EIO)" : "is shorter than it was") +
          " at byte " + std::to_string(offset) + "; the connection is cut.");
    }
    if (sent.io == Io::kWouldBlock) {
      KVCS_TRY(wait());
      continue;
    }
    sent_bytes_ += sent.size_bytes;
    offset += sent.size_bytes;
    left -= sent.size_bytes;
  }
  return ok();
}

Status ResponseWriter::send_stream(Response& response, const HeadPlan& plan) {
  StreamWriter stream(*this, plan);
  KVCS_TRY(response.stream(stream));
  return stream.finish();
}

Status ResponseWriter::write(Response& response, std::string& head, const HeadFacts& facts,
                             const HeadPlan& plan) {
  const bool has_body = plan.delimiter != Delimiter::kNone && !facts.head_only;
  if (!has_body) return send_all(head, {}, false);
  // MSG_MORE joins the head and the first bytes of the file in one segment.
  if (response.file) {
    KVCS_TRY(send_all(head, {}, response.file->size_bytes > 0));
    return send_file(*response.file);
  }
  if (!response.static_body.empty()) {
    return send_all(head, response.static_body, false, /*held=*/false);
  }
  if (response.stream) {
    KVCS_TRY(send_all(head, {}, false));
    return send_stream(response, plan);
  }
  // Two writes would be two TLS records, and most often two segments.
  if (connection_.tls && head.size() + response.body.size() <= kJoinMaxBytes) {
    head += response.body;
    return send_all(head, {}, false);
  }
  return send_all(head, response.body, false);
}

}  // namespace kvcs::http
