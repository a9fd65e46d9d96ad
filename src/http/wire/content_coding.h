// Content codings (RFC 9110 §8.4.1) undone as the bytes come: gzip, deflate, br and zstd. What has
// arrived is given out at once, so that an event of a stream is not kept back. Inside of the http
// module. An object is used by one thread at a time.
//
// A few bytes may stand for a gigabyte. The reader bounds what it takes, and a text of more than a
// mebibyte that is kRatioMax times as long as its coding is refused.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs::http {

enum class ContentCoding : uint8_t { kGzip, kDeflate, kBrotli, kZstd };
inline constexpr std::string_view kAcceptedCodings = "gzip, deflate, br, zstd";
inline constexpr int kRatioMax = 400;

// The codings of a Content-Encoding header in the order in which they were applied; "identity" is
// none. Names are of any case. Invalid: an unknown one, or more than a few.
Result<std::vector<ContentCoding>> parse_content_codings(std::string_view header);

// Undoes one coding of what `source` gives.
class ContentDecoder final {
 public:
  // At most so many bytes; 0 at the end.
  using Source = std::function<Result<size_t>(std::span<char> out)>;

  explicit ContentDecoder(ContentCoding coding);
  ~ContentDecoder();
  ContentDecoder(const ContentDecoder&) = delete;
  ContentDecoder& operator=(const ContentDecoder&) = delete;
  // Waits for the source only when nothing can be given without it. 0 at the end of the source,
  // which is read to its end. Invalid: the coding is broken or ends early, or has too much behind
  // its end, or too long a text. Failures of the source pass. A failure is final.
  Result<size_t> read(const Source& source, std::span<char> out);

 private:
  class Engine;
  class Zlib;
  class Brotli;
  class Zstd;
  static constexpr size_t kInputBytes = 16 << 10;

  Result<size_t> decode(std::span<char> out);
  Status pass_end();
  Status broken(std::string_view how) const;

  const ContentCoding coding_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<char[]> buffer_;
  std::string_view input_;  // Of the buffer: not decoded yet.
  uint64_t taken_bytes_ = 0, given_bytes_ = 0, behind_bytes_ = 0;
  bool ended_ = false;       // The coding is complete; more of the same may follow.
  bool more_waits_ = false;  // The last step filled its output.
  Status failed_;
};

// Undoes several codings, one upon the other.
class ContentDecoders final {
 public:
  // In the order in which they were applied.
  explicit ContentDecoders(const std::vector<ContentCoding>& codings);
  // As ContentDecoder's.
  Result<size_t> read(const ContentDecoder::Source& source, std::span<char> out);

 private:
  Result<size_t> read_layer(size_t layer, const ContentDecoder::Source& source,
                            std::span<char> out);

  std::vector<std::unique_ptr<ContentDecoder>> layers_;
};

}  // namespace kvcs::http
