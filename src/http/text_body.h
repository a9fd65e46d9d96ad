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
  // With `before`, the body that the text was read from and that outlives it, what is kept counts
  // as that body's.
  explicit TextBody(std::string text, BodyReader* before = nullptr)
      : text_(std::move(text)), before_(before) {}
  Result<size_t> read(std::span<char> out) override {
    const size_t n = std::min(out.size(), text_.size() - at_);
    std::memcpy(out.data(), text_.data() + at_, n);
    at_ += n;
    return n;
  }
  std::optional<uint64_t> declared_size_bytes() const override { return text_.size(); }
  Status keep(uint64_t bytes) override { return before_ == nullptr ? ok() : before_->keep(bytes); }
  const std::string& text() const { return text_; }

 private:
  const std::string text_;
  BodyReader* const before_;
  size_t at_ = 0;
};

}  // namespace kvcs::http
