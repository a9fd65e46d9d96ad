// Text that must never be printed: a key, a token, a password. Wiped on destruction.
#pragma once
#include <string>
#include <string_view>

namespace kvcs {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  Secret(Secret&&) noexcept = default;
  Secret& operator=(Secret&&) noexcept = default;
  ~Secret() { explicit_bzero(value_.data(), value_.size()); }
  // The one way to the text; grep for it to see every use.
  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }
  bool operator==(const Secret&) const = default;

 private:
  static void explicit_bzero(void* p, size_t n) {
    volatile char* bytes = static_cast<char*>(p);
    for (size_t i = 0; i < n; i++) bytes[i] = 0;
  }
  std::string value_;
};

}  // namespace kvcs
