#include "kvfile/kernels.h"

namespace kvcs::kvfile {
namespace {

size_t decode_halves(const uint16_t*, float*, size_t) {
  return 0;
}
size_t encode_halves(const float*, uint16_t*, size_t) {
  return 0;
}

}  // namespace
}  // namespace kvcs::kvfile

#include "kvfile/kernels_body.h"

namespace kvcs::kvfile {

const Kernels& scalar_kernels() {
  static constexpr Kernels kTable = make_kernels("scalar");
  return kTable;
}

const Kernels& kernels() {
  static const Kernels& best = *available_kernels().back();
  return best;
}

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> sets = {&scalar_kernels()};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c")) {
    sets.push_back(&avx2_kernels());
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    sets.push_back(&avx512_kernels());
  }
  return sets;
}

}  // namespace kvcs::kvfile
