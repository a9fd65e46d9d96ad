// Variables of the environment. Read by one thread: nothing here changes them.
#pragma once
#include <cstdlib>
#include <string>

namespace kvcs {

// "" when it is not set: an empty variable counts as none.
inline std::string environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

}  // namespace kvcs
