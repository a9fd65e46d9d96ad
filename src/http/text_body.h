// A request body that is in memory already, because it was read before or made here. For handlers
// that must look at the whole body and then hand it to code that reads a stream. One thread.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>

#include "http/http.h"

namespace kvcs::http {

class TextBody final : public BodyReader {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}
  Result<size_t> read(std::span<char> out) override {
    const size_t n = std::min(out.size(), text_.size() - at_);
    std::memcpy(out.data(), text_.data() + at_, n);
    at_ += n;
    return n;
  }
  std::optional<uint64_t> declared_size_bytes() const override { return text_.size(); }
  const std::string& text() const { return text_; }

 private:
  const std::string text_;
  size_t at_ = 0;
};

}  // namespace kvcs::http
