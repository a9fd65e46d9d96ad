// Counts NaN and infinity by integer arithmetic on eight bytes at a time, whatever the float's
// width: a conversion to floats would cost several times as much as reading the data.
#include "kvfile/format/finite.h"

#include <algorithm>
#include <cstring>

namespace kvcs::kvfile {
namespace {

constexpr size_t kBlockBytes = 4096;

// A value is not finite when its exponent bits are all ones (F8_E4M3: all bits but the sign).
// With only those bits kept, adding the lowest of them carries into the sign's place exactly then;
// lanes never touch each other, so eight bytes are tested at once.
// The three words of the test above, repeated over eight bytes. `carry` is the place of the sign.
struct Lane {
  uint64_t keep, add, carry;
  size_t width_bytes;
};

// The same lane side by side until eight bytes are full.
constexpr uint64_t repeat(uint64_t lane, size_t width_bytes) {
  uint64_t word = 0;
  for (size_t shift = 0; shift < 64; shift += 8 * width_bytes) word |= lane << shift;
  return word;
}
constexpr Lane lane(uint64_t keep, uint64_t add, size_t width_bytes) {
  return {repeat(keep, width_bytes), repeat(add, width_bytes),
          repeat(1ULL << (8 * width_bytes - 1), width_bytes), width_bytes};
}

Lane lane_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return lane(0x7f800000, 0x00800000, 4);
    case Dtype::kF16:
      return lane(0x7c00, 0x0400, 2);
    case Dtype::kBf16:
      return lane(0x7f80, 0x0080, 2);
    case Dtype::kF8E4m3:
      return lane(0x7f, 0x01, 1);
    case Dtype::kF8E5m2:
      return lane(0x7c, 0x04, 1);
    case Dtype::kU32:
    case Dtype::kI8:
    case Dtype::kU8:
      break;
  }
  return lane(0, 0, 1);
}

// Whether any value of a block is not finite: nearly always none is, so no value is counted here.
uint64_t any_carry(const Lane& lane, const char* data, size_t words) {
  uint64_t found = 0;
  for (size_t i = 0; i < words; i++) {
    uint64_t word;
    std::memcpy(&word, data + 8 * i, 8);
    found |= (word & lane.keep) + lane.add;
  }
  return found & lane.carry;
}

// How many values are not finite. The last word of a tensor may be shorter; its missing bytes are
// zeros.
uint64_t count_carries(const Lane& lane, const char* data, size_t size_bytes) {
  uint64_t count = 0;
  for (size_t i = 0; i < size_bytes; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, data + i, std::min<size_t>(8, size_bytes - i));
    count +=
        static_cast<uint64_t>(__builtin_popcountll(((word & lane.keep) + lane.add) & lane.carry));
  }
  return count;
}

}  // namespace

uint64_t count_nonfinite(Dtype dtype, const void* data, size_t size_bytes) {
  const Lane lane = lane_of(dtype);
  if (lane.keep == 0) return 0;
  const char* const bytes = static_cast<const char*>(data);
  uint64_t count = 0;
  for (size_t i = 0; i < size_bytes; i += kBlockBytes) {
    const size_t n = std::min(kBlockBytes, size_bytes - i);
    if (n % 8 != 0 || any_carry(lane, bytes + i, n / 8) != 0) {
      count += count_carries(lane, bytes + i, n);
    }
  }
  return count;
}

uint64_t count_bad_scales(Dtype dtype, const void* data, size_t size_bytes) {
  uint64_t count = count_nonfinite(dtype, data, size_bytes);
  const size_t width = dtype_bytes(dtype);
  const char* const bytes = static_cast<const char*>(data);
  for (size_t i = 0; i < size_bytes; i += width) {
    // In all formats of scales (F32, F16, BF16) a value without a bit is zero, and one with the
    // sign is below zero or the negative zero.
    uint32_t bits = 0;
    std::memcpy(&bits, bytes + i, width);
    const uint32_t sign = 1U << (8 * width - 1);
    const bool finite = count_nonfinite(dtype, bytes + i, width) == 0;
    if (finite && (bits == 0 || (bits & sign) != 0)) count++;
  }
  return count;
}

}  // namespace kvcs::kvfile
