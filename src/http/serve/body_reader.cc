// Request bodies: framing, limits and rates. Runs on the request's fiber, which is parked while the
// client is slow.
#include "http/serve/body_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/wait.h"

namespace kvcs::http {
namespace {

// Of a chunk's size line or a trailer line; the digits of a size.
constexpr size_t kLineMaxBytes = 256;
constexpr size_t kChunkDigitsMax = 12;
constexpr int kTrailersMax = 20;
// An unread body of at most this length is read over to keep the connection; beyond, closing is
// cheaper.
constexpr uint64_t kDiscardMaxBytes = 64 << 10;
constexpr size_t kDirectReadBytes = 4096;  // From here on bytes go to the caller without a copy.
// Chunk sizes, extensions and trailers may not outgrow the data they frame.
constexpr uint64_t kOverheadFreeBytes = 16 << 10, kOverheadPerByte = 16;
// RFC 9112 §8: an incomplete message. What the client does is no fault of ours.
constexpr const char* kCutOff = "The connection ended before the request body did.";
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

Status bad_framing(const char* why) {
  return invalid(std::string("Malformed chunked body: ") + why + ".");
}

}  // namespace

ConnectionBody::ConnectionBody(Connection& connection, ReadBuffer& input, const Framing& framing,
                               int idle_timeout_ms, Shares::Memory& memory)
    : connection_(connection),
      input_(input),
      chunked_(framing.chunked),
      left_bytes_(framing.content_length.value_or(0)),
      part_(framing.chunked   ? Part::kSize
            : left_bytes_ > 0 ? Part::kData
                              : Part::kDone),
      continue_owed_(framing.expects_continue && part_ != Part::kDone),
      pace_(idle_timeout_ms, framing.content_length),
      memory_(memory) {
  if (!chunked_) declared_ = left_bytes_;
}

std::optional<uint64_t> ConnectionBody::declared_size_bytes() const {
  return declared_;
}

Status ConnectionBody::fail(Status status) {
  broken_ = true;
  timed_out_ = status.code() == Code::kTimeout;
  return status;
}

// Until the socket is readable again. A body that trickles is as bad as one that stops: the
// average rate has a floor too.
Status ConnectionBody::wait() {
  if (!blocking_) return fail(unavailable("The rest of the body is not here yet."));
  // RFC 9110 §10.1.1: a client that expects it waits for this before it sends its body, so it is
  // said when the handler first reads, and never when it does not.
  if (continue_owed_) {
    continue_owed_ = false;
    if (connection_.send(kContinue, {}, false).io == Io::kClosed) {
      return fail(invalid(kCutOff));
    }
  }
  // A long body: its segments wake this request when it waits, and nobody while it does not.
  if (chunked_ || left_bytes_ > kDiscardMaxBytes) connection_.mute();
  const int64_t now_ms = steady_ms();
  const int64_t left_ms = pace_.left_ms(received_bytes_, now_ms);
  if (left_ms <= 0) {
    return fail(timed_out(pace_.is_silent(now_ms) ? "The request body stopped arriving."
                                                  : "The request body arrives too slowly."));
  }
  if (!connection_.wait_readable(static_cast<int>(left_ms))) {
    return fail(unavailable("The server stops."));
  }
  pace_.add_wait_ms(steady_ms() - now_ms);
  return ok();
}

// Until the buffer has a byte. It takes few, as many requests may wait for more at once, and what
// follows them goes to the caller without a copy.
Status ConnectionBody::wait_for_byte() {
  while (input_.unread().empty()) {
    used_socket_ = true;
    const std::span<char> space = input_.space();
    const IoResult got = connection_.receive(space.first(std::min(space.size(), kDirectReadBytes)));
    if (got.io == Io::kClosed) return fail(invalid(kCutOff));
    if (got.io == Io::kWouldBlock) KVCS_TRY(wait());
    if (got.io == Io::kDone) input_.commit(got.size_bytes);
  }
  return ok();
}

// Some bytes, from the buffer or the socket; at least one.
Result<size_t> ConnectionBody::take(std::span<char> out) {
  for (;;) {
    const std::string_view ready = input_.unread();
    if (!ready.empty()) {
      const size_t n = std::min(out.size(), ready.size());
      std::memcpy(out.data(), ready.data(), n);
      input_.consume(n);
      if (out.size() - n < kDirectReadBytes) return n;
      used_socket_ = true;
      const IoResult more = connection_.receive(out.subspan(n));
      return n + (more.io == Io::kDone ? more.size_bytes : 0);
    }
    used_socket_ = true;
    // Long reads go straight to the caller's memory, short ones fill the buffer.
    const bool direct = out.size() >= kDirectReadBytes;
    const IoResult got = connection_.receive(direct ? out : input_.space());
    if (got.io == Io::kClosed) return fail(invalid(kCutOff));
    if (got.io == Io::kWouldBlock) {
      KVCS_TRY(wait());
      continue;
    }
    if (direct) return got.size_bytes;
    input_.commit(got.size_bytes);
  }
}

// One framing line without its CRLF; the view lasts until the next read.
Result<std::string_view> ConnectionBody::line() {
  for (;;) {
    const std::string_view ready = input_.unread();
    const size_t end = ready.substr(0, kLineMaxBytes).find('\n');
    if (end != ready.npos) {
      if (end == 0 || ready[end - 1] != '\r') return fail(bad_framing("a line must end in CRLF"));
      overhead_bytes_ += end + 1;
      if (overhead_bytes_ > kOverheadFreeBytes + kOverheadPerByte * received_bytes_) {
        return fail(bad_framing("more framing than data"));
      }
      input_.consume(end + 1);
      return ready.substr(0, end - 1);
    }
    if (ready.size() >= kLineMaxBytes) return fail(bad_framing("a line is too long"));
    used_socket_ = true;
    const IoResult got = connection_.receive(input_.space());
    if (got.io == Io::kClosed) return fail(invalid(kCutOff));
    if (got.io == Io::kWouldBlock) KVCS_TRY(wait());
    if (got.io == Io::kDone) input_.commit(got.size_bytes);
  }
}

// RFC 9112 §7.1: hexadecimal digits, then extensions, which nobody uses and which are skipped.
Status ConnectionBody::parse_size(std::string_view text) {
  const std::string_view extension = text.substr(std::min(text.find(';'), text.size()));
  const std::string_view digits = text.substr(0, text.size() - extension.size());
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
  // from_chars takes a minus sign only for signed types, so only hex digits come through.
  if (digits.empty() || digits.size() > kChunkDigitsMax || error != std::errc() ||
      end != digits.data() + digits.size()) {
    return fail(bad_framing("not a chunk size"));
  }
  for (const char c : extension) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      return fail(bad_framing("a control character in a chunk extension"));
    }
  }
  left_bytes_ = size;
  part_ = size == 0 ? Part::kTrailer : Part::kData;
  return ok();
}

// Advances over framing until there is data or the end.
Status ConnectionBody::next_part() {
  while (part_ != Part::kData && part_ != Part::kDone) {
    const std::string_view text = KVCS_TRY(line());
    if (part_ == Part::kSize) {
      KVCS_TRY(parse_size(text));
    } else if (part_ == Part::kDataEnd) {
      if (!text.empty()) return fail(bad_framing("a chunk is longer than its size"));
      part_ = Part::kSize;
    } else if (text.empty()) {
      part_ = Part::kDone;
    } else if (++trailers_ > kTrailersMax || text.find(':') == text.npos || text.front() == ' ') {
      return fail(bad_framing("a malformed trailer"));
    }
  }
  return ok();
}

Status ConnectionBody::complete() {
  return on_complete_ ? std::exchange(on_complete_, nullptr)() : ok();
}

Result<size_t> ConnectionBody::read(std::span<char> out) {
  if (broken_) return unavailable("The request body is broken.");
  KVCS_TRY(next_part());
  if (part_ == Part::kDone) {
    KVCS_TRY(complete());
    return size_t{0};
  }
  if (received_bytes_ >= max_bytes_) {
    return fail(too_large("The request body is over the limit of " + std::to_string(max_bytes_) +
                          " bytes."));
  }
  if (out.empty()) {
    KVCS_TRY(wait_for_byte());
    return size_t{0};
  }
  // Never beyond this body: the bytes behind it are the next request.
  const uint64_t room =
      std::min({static_cast<uint64_t>(out.size()), left_bytes_, max_bytes_ - received_bytes_});
  const size_t n = KVCS_TRY(take(out.first(static_cast<size_t>(room))));
  received_bytes_ += n;
  left_bytes_ -= n;
  if (left_bytes_ == 0) part_ = chunked_ ? Part::kDataEnd : Part::kDone;
  if (part_ == Part::kDone) KVCS_TRY(complete());
  return n;
}

bool ConnectionBody::discard_rest() {
  if (part_ == Part::kDone) return true;
  // A client that still waits for "100 Continue" may or may not send the body now: nobody can tell
  // where the next request would start.
  if (broken_ || continue_owed_ || left_bytes_ > kDiscardMaxBytes) return false;
  blocking_ = false;
  on_complete_ = nullptr;  // The handler has ended: nothing begins.
  max_bytes_ = received_bytes_ + kDiscardMaxBytes;
  char waste[4096];
  for (;;) {
    const auto n = read(waste);
    if (!n.ok()) return false;
    if (*n == 0) return true;
  }
}

}  // namespace kvcs::http
