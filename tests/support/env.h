// An environment variable for one test; what it was comes back at its end. Only while no other
// thread reads the environment.
#pragma once
#include <cstdlib>
#include <optional>
#include <string>

namespace kvcs::test {

class Env final {
 public:
  // Nothing: the variable is unset.
  Env(const char* name, const std::optional<std::string>& value) : name_(name) {
    const char* const before = std::getenv(name);
    if (before != nullptr) before_ = before;
    put(value);
  }
  ~Env() { put(before_); }
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

 private:
  void put(const std::optional<std::string>& value) const {
    if (value) {
      ::setenv(name_, value->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace kvcs::test
