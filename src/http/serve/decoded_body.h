// The body of a request whose client encoded it (RFC 9110 §8.4), as its handler reads it: the text,
// within the limit of the route. One thread.
#pragma once
#include <vector>

#include "http/http.h"
#include "http/wire/content_coding.h"

namespace kvcs::http {

class DecodedBody final : public BodyReader {
 public:
  // `body` outlives this object, and bounds the encoded bytes by itself.
  DecodedBody(BodyReader& body, const std::vector<ContentCoding>& codings, uint64_t max_bytes)
      : body_(body), decoders_(codings), max_bytes_(max_bytes) {}
  Result<size_t> read(std::span<char> out) override;
  std::optional<uint64_t> declared_size_bytes() const override { return std::nullopt; }
  Status keep(uint64_t bytes) override { return body_.keep(bytes); }

 private:
  BodyReader& body_;
  ContentDecoders decoders_;
  const uint64_t max_bytes_;
  uint64_t given_bytes_ = 0;
};

}  // namespace kvcs::http
