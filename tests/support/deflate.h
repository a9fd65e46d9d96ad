// A text in the content coding "deflate", for servers and clients of tests that encode.
#pragma once
#include <zlib.h>

#include <string>
#include <string_view>

namespace kvcs::test {

inline std::string deflated(std::string_view text) {
  uLongf size = compressBound(text.size());
  std::string coded(size, '\0');
  compress(reinterpret_cast<Bytef*>(coded.data()), &size,
           reinterpret_cast<const Bytef*>(text.data()), text.size());
  coded.resize(size);
  return coded;
}

}  // namespace kvcs::test
