// Digests of streams by the name of their algorithm, as protocols name them. One thread at a time.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace kvcs {

class Checksum final {
 public:
  // Nothing for an algorithm that is none of kChecksumAlgorithms.
  static std::unique_ptr<Checksum> make(std::string_view algorithm);
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;
  void update(std::string_view bytes);
  std::string finish();  // Raw bytes. Once; then the object is spent.

 private:
  explicit Checksum(void* context) : context_(context) {}
  void* const context_;  // EVP_MD_CTX
};

inline constexpr std::string_view kChecksumAlgorithms = "sha1,sha256,sha512,md5";

}  // namespace kvcs
