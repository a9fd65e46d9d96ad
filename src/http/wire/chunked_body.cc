// The chunked coding as a state machine over bytes, for responses of other servers; what it takes
// out of step is the framing. ConnectionBody reads our own clients' bodies by lines.
#include "http/wire/chunked_body.h"

#include <algorithm>
#include <cstring>

namespace kvcs::http {
namespace {

constexpr size_t kSkippedMaxBytes = 16 << 10;  // Extensions and trailers of one body.
// Far beyond any body, far below where left_ * 16 would overflow.
constexpr uint64_t kChunkMaxBytes = uint64_t{1} << 56;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<ChunkedBody::Step> ChunkedBody::decode(std::string_view in, std::span<char> out) {
  Step step;
  while (step.taken < in.size() && state_ != State::kDone) {
    if (state_ != State::kData) {
      if (!take_control(in[step.taken++])) {
        return upstream_failed("the response's chunked coding is broken").with_reason("truncated");
      }
      continue;
    }
    const uint64_t n =
        std::min({left_, uint64_t{in.size() - step.taken}, uint64_t{out.size() - step.given}});
    if (n == 0) break;  // `out` is full.
    std::memcpy(out.data() + step.given, in.data() + step.taken, n);
    step.taken += n;
    step.given += n;
    left_ -= n;
    if (left_ == 0) state_ = State::kDataCr;
  }
  return step;
}

// One byte of framing: the next state, or false when no such byte may come here. Every CR must be
// followed by its LF, and every LF must have had its CR.
bool ChunkedBody::take_control(char c) {
  const auto expect = [&](char wanted, State next) {
    state_ = next;
    return c == wanted;
  };
  const auto skip = [&](State behind_cr) {
    if (c == '\r') state_ = behind_cr;
    return c != '\n' && c != '\0' && ++skipped_ <= kSkippedMaxBytes;
  };
  switch (state_) {
    case State::kSizeFirst:
    case State::kSize:
      if (const int digit = hex_digit(c); digit >= 0) {
        state_ = State::kSize;
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        return left_ < kChunkMaxBytes;
      }
      if (state_ == State::kSizeFirst) return false;
      if (c == '\r') return expect('\r', State::kSizeLf);
      state_ = State::kExtension;
      return c == ';' || c == ' ' || c == '\t';
    case State::kExtension:
      return skip(State::kSizeLf);
    case State::kSizeLf:
      return expect('\n', left_ > 0 ? State::kData : State::kTrailerStart);
    case State::kDataCr:
      return expect('\r', State::kDataLf);
    case State::kDataLf:
      return expect('\n', State::kSizeFirst);
    case State::kTrailerStart:
      if (c == '\r') return expect('\r', State::kLastLf);
      state_ = State::kTrailer;
      return skip(State::kTrailerLf);
    case State::kTrailer:
      return skip(State::kTrailerLf);
    case State::kTrailerLf:
      return expect('\n', State::kTrailerStart);
    case State::kLastLf:
      return expect('\n', State::kDone);
    case State::kData:
    case State::kDone:
      break;
  }
  return false;
}

}  // namespace kvcs::http
