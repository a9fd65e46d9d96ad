// The chunked transfer coding (RFC 9112 §7.1), strict: CRLF only, hexadecimal sizes without sign,
// extensions and trailers skipped up to a limit. Inside of the http module. One thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"

namespace kvcs::http {

class ChunkedBody final {
 public:
  struct Step {
    size_t taken = 0, given = 0;
  };
  // Takes from `in`, gives to `out`, until one of them is used up or the body ends. Upstream: the
  // coding is broken.
  Result<Step> decode(std::string_view in, std::span<char> out);
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State : uint8_t {
    kSizeFirst,  // At least one digit must come.
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kLastLf,
    kDone
  };
  bool take_control(char c);  // False: broken.

  State state_ = State::kSizeFirst;
  uint64_t left_ = 0;  // Of the chunk's data.
  size_t skipped_ = 0;
};

}  // namespace kvcs::http
