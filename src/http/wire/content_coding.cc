// The decoders of the content codings: zlib, libbrotli and libzstd behind one interface, and the
// rules about broken, cut, endless and overlong input that they share.
#include "http/wire/content_coding.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"

namespace kvcs::http {
namespace {

// One is usual, two come from a proxy before a server. Each further one multiplies what a byte may
// stand for.
constexpr size_t kCodingsMax = 3;
// From so much text on the ratio counts: a short one may well be all zeros.
constexpr uint64_t kRatioFreeBytes = 1 << 20;
// Some servers send padding behind the end.
constexpr uint64_t kBehindMaxBytes = 64 << 10;
// RFC 9659 §3: a window of more than 8 MiB is not for HTTP.
constexpr int kZstdWindowLogMax = 23;

std::string_view coding_name(ContentCoding coding) {
  static constexpr std::array<std::string_view, 4> kNames = {"gzip", "deflate", "br", "zstd"};
  return kNames[static_cast<size_t>(coding)];
}

}  // namespace

Result<std::vector<ContentCoding>> parse_content_codings(std::string_view header) {
  std::vector<ContentCoding> codings;
  for (const std::string_view part : split(header, ',')) {
    const std::string name = lower_ascii(trim(part));
    if (name.empty() || name == "identity") continue;
    if (codings.size() == kCodingsMax) {
      return invalid("more than " + std::to_string(kCodingsMax) + " content codings");
    }
    if (name == "gzip" || name == "x-gzip") {
      codings.push_back(ContentCoding::kGzip);
    } else if (name == "deflate") {
      codings.push_back(ContentCoding::kDeflate);
    } else if (name == "br") {
      codings.push_back(ContentCoding::kBrotli);
    } else if (name == "zstd") {
      codings.push_back(ContentCoding::kZstd);
    } else {
      return invalid("the content coding \"" + printable(name, kShownWord) + "\" is none of " +
                     std::string(kAcceptedCodings));
    }
  }
  return codings;
}

// One library's decoder.
class ContentDecoder::Engine {
 public:
  struct Step {
    size_t taken = 0, given = 0;
    bool ended = false, broken = false;
  };
  Engine() = default;
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual Step step(std::string_view in, std::span<char> out) = 0;
  // True when what comes behind the end begins another part of the same text, and the decoder is
  // ready for it.
  virtual bool begin_anew(std::string_view rest) = 0;
};

// gzip, and "deflate": RFC 9110 §8.4.1.2 means zlib's format by that, but many servers send the
// bare one. zlib's first byte ends in 8, which no first byte of the bare format does in practice.
class ContentDecoder::Zlib final : public Engine {
 public:
  explicit Zlib(bool gzip) : gzip_(gzip) {}
  ~Zlib() override {
    if (started_) inflateEnd(&stream_);
  }
  Step step(std::string_view in, std::span<char> out) override {
    if (!started_) {
      if (in.empty()) return {};
      const int format = gzip_ ? 16 + MAX_WBITS : (in[0] & 0x0f) == 8 ? MAX_WBITS : -MAX_WBITS;
      started_ = inflateInit2(&stream_, format) == Z_OK;
      if (!started_) return {.broken = true};
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(out.size(), 1 << 30));
    const uInt room = stream_.avail_out;
    const int said = inflate(&stream_, Z_SYNC_FLUSH);
    return {.taken = in.size() - stream_.avail_in,
            .given = room - stream_.avail_out,
            .ended = said == Z_STREAM_END,
            .broken = said != Z_OK && said != Z_STREAM_END && said != Z_BUF_ERROR};
  }
  // RFC 1952 §2.2: a gzip file may have several members.
  bool begin_anew(std::string_view rest) override {
    return gzip_ && rest.starts_with('\x1f') && inflateReset(&stream_) == Z_OK;
  }

 private:
  const bool gzip_;
  bool started_ = false;
  z_stream stream_{};
};

class ContentDecoder::Brotli final : public Engine {
 public:
  ~Brotli() override { BrotliDecoderDestroyInstance(state_); }
  Step step(std::string_view in, std::span<char> out) override {
    size_t in_left = in.size(), out_left = out.size();
    auto* next_in = reinterpret_cast<const uint8_t*>(in.data());
    auto* next_out = reinterpret_cast<uint8_t*>(out.data());
    const BrotliDecoderResult said =
        BrotliDecoderDecompressStream(state_, &in_left, &next_in, &out_left, &next_out, nullptr);
    return {.taken = in.size() - in_left,
            .given = out.size() - out_left,
            .ended = said == BROTLI_DECODER_RESULT_SUCCESS,
            .broken = said == BROTLI_DECODER_RESULT_ERROR};
  }
  bool begin_anew(std::string_view) override { return false; }

 private:
  BrotliDecoderState* const state_ = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
};

class ContentDecoder::Zstd final : public Engine {
 public:
  Zstd() { ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kZstdWindowLogMax); }
  ~Zstd() override { ZSTD_freeDCtx(context_); }
  Step step(std::string_view in, std::span<char> out) override {
    ZSTD_inBuffer from = {in.data(), in.size(), 0};
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    const size_t said = ZSTD_decompressStream(context_, &to, &from);
    return {
        .taken = from.pos, .given = to.pos, .ended = said == 0, .broken = ZSTD_isError(said) != 0};
  }
  // RFC 8878 §3: frames follow one another; the first byte of a magic number tells one.
  bool begin_anew(std::string_view rest) override {
    const auto first = static_cast<unsigned char>(rest[0]);
    return first == 0x28 || (first & 0xf0) == 0x50;
  }

 private:
  ZSTD_DCtx* const context_ = ZSTD_createDCtx();
};

ContentDecoder::ContentDecoder(ContentCoding coding)
    : coding_(coding), buffer_(std::make_unique_for_overwrite<char[]>(kInputBytes)) {
  switch (coding) {
    case ContentCoding::kGzip:
    case ContentCoding::kDeflate:
      engine_ = std::make_unique<Zlib>(coding == ContentCoding::kGzip);
      break;
    case ContentCoding::kBrotli:
      engine_ = std::make_unique<Brotli>();
      break;
    case ContentCoding::kZstd:
      engine_ = std::make_unique<Zstd>();
      break;
  }
}

ContentDecoder::~ContentDecoder() = default;

Status ContentDecoder::broken(std::string_view how) const {
  return invalid("the " + std::string(coding_name(coding_)) + " coding of the body " +
                 std::string(how));
}

Result<size_t> ContentDecoder::read(const Source& source, std::span<char> out) {
  KVCS_TRY(Status(failed_));
  if (out.empty()) return size_t{0};
  for (;;) {
    Result<size_t> given = decode(out);
    if (!given.ok()) return failed_ = given.status();
    if (*given > 0) return given;
    const Result<size_t> got = source({buffer_.get(), kInputBytes});
    if (!got.ok()) return failed_ = got.status();
    input_ = {buffer_.get(), *got};
    if (*got > 0) continue;
    // A body without a byte, of an answer to HEAD or of status 204, is no cut one.
    if (ended_ || taken_bytes_ == 0) return size_t{0};
    return failed_ = broken("ends early");
  }
}

// From what is there. 0: the source must give more.
Result<size_t> ContentDecoder::decode(std::span<char> out) {
  while (!input_.empty() || more_waits_) {
    if (ended_) KVCS_TRY(pass_end());
    if (ended_) return size_t{0};
    const Engine::Step step = engine_->step(input_, out);
    if (step.broken) return broken("is broken");
    more_waits_ = step.given == out.size();
    ended_ = step.ended;
    input_.remove_prefix(step.taken);
    taken_bytes_ += step.taken;
    given_bytes_ += step.given;
    if (given_bytes_ > kRatioFreeBytes && given_bytes_ / kRatioMax > taken_bytes_) {
      return broken("stands for a text of more than " + std::to_string(kRatioMax) +
                    " times its length");
    }
    if (step.given > 0) return step.given;
    if (step.taken == 0 && !ended_ && !input_.empty()) return broken("is broken");
  }
  return size_t{0};
}

// What follows the end of the text: another part of it, or bytes that nobody asked for.
Status ContentDecoder::pass_end() {
  more_waits_ = false;
  if (input_.empty()) return ok();
  if (behind_bytes_ == 0 && engine_->begin_anew(input_)) {
    ended_ = false;
    return ok();
  }
  behind_bytes_ += input_.size();
  input_ = {};
  return behind_bytes_ <= kBehindMaxBytes ? ok() : broken("has bytes behind its end");
}

ContentDecoders::ContentDecoders(const std::vector<ContentCoding>& codings) {
  for (const ContentCoding coding : codings) {
    layers_.push_back(std::make_unique<ContentDecoder>(coding));
  }
}

Result<size_t> ContentDecoders::read(const ContentDecoder::Source& source, std::span<char> out) {
  return read_layer(0, source, out);
}

// The first layer is the text; each one reads what the coding that was applied behind it gives.
Result<size_t> ContentDecoders::read_layer(size_t layer, const ContentDecoder::Source& source,
                                           std::span<char> out) {
  if (layer == layers_.size()) return source(out);
  return layers_[layer]->read(
      [&](std::span<char> room) { return read_layer(layer + 1, source, room); }, out);
}

}  // namespace kvcs::http
