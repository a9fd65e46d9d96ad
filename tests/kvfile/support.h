// Small .kv files for tests: seeded values, written by the module's own writer.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "kvfile/format/layout.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
inline std::string data_path(const std::string& name) {
  const char* root = std::getenv("KVCS_SOURCE_DIR");
  return (root == nullptr ? std::string(".") : std::string(root)) + "/tests/data/" + name;
}
// Files whose name begins so, to see that nothing was left behind.
inline size_t count_files(const std::string& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) count++;
  return count;
}

// A linear congruential generator: the same values everywhere.
class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed * 2654435761U + 1) {}
  uint32_t next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<uint32_t>(state_ >> 33);
  }
  // About normal, by the sum of four.
  float value() {
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += static_cast<float>(next() % 65536) / 65536.0F - 0.5F;
    return sum * 1.7F;
  }

 private:
  uint64_t state_;
};

// Slow and plain, for comparison; ties to even by the default rounding mode.
inline uint16_t to_half(float value) {
  const double size = std::fabs(static_cast<double>(value));
  const int sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  if (size >= 65520) return static_cast<uint16_t>(sign | 0x7c00);
  const int exponent = size < 0x1p-14 ? -14 : std::ilogb(size);
  const int fraction = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  return static_cast<uint16_t>(sign | (((exponent + 14) << 10) + fraction));
}
inline float from_half(uint16_t half) {
  const int exponent = (half >> 10) & 31, fraction = half & 1023;
  const double size = exponent == 31  ? INFINITY
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return static_cast<float>((half & 0x8000) != 0 ? -size : size);
}
inline std::string encode_value(Dtype dtype, float value) {
  std::string out(dtype_bytes(dtype), '\0');
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (dtype == Dtype::kF32) std::memcpy(out.data(), &bits, 4);
  if (dtype == Dtype::kBf16) {
    const uint16_t top = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    std::memcpy(out.data(), &top, 2);
  }
  if (dtype == Dtype::kF16) {
    const uint16_t half = to_half(value);
    std::memcpy(out.data(), &half, 2);
  }
  return out;
}

// Keys with a mean per channel (some large) and values that grow with the layer, as real caches.
inline Status write_sample(const std::string& path, Dtype dtype, Geometry geometry,
                           uint64_t seed = 1, Metadata metadata = {}) {
  auto header =
      KVCS_TRY(make_header(layout_tensors(Scheme::kPlain, dtype, geometry), std::move(metadata)));
  auto writer = KVCS_TRY(KvWriter::create(path, std::move(header)));
  for (const Tensor& tensor : writer->header().tensors) {
    Noise noise(seed * 1000 + std::hash<std::string>()(tensor.name) % 977);
    std::vector<float> means(geometry.head_dim);
    for (float& mean : means) mean = noise.next() % 20 == 0 ? 12.0F : noise.value();
    const bool keys = tensor.name[0] == 'k';
    std::string bytes;
    for (uint64_t i = 0; i < tensor.size_bytes() / dtype_bytes(dtype); i++) {
      const float mean = keys ? means[i % geometry.head_dim] : 0.0F;
      bytes += encode_value(dtype, mean + noise.value());
    }
    KVCS_TRY(writer->write(tensor, 0, bytes.data(), bytes.size()));
  }
  return writer->publish();
}

}  // namespace kvcs::kvfile
