// The kernels for every processor, and the choice of a set. The loops that other sets write by hand
// take no value here, so that the shared bodies do all the work.
#include <cpuid.h>

#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

size_t decode_halves(const uint16_t*, float*, size_t) {
  return 0;
}
size_t encode_halves(const float*, uint16_t*, size_t) {
  return 0;
}

size_t quantize_run(const float*, const float*, size_t, int8_t*) {
  return 0;
}
size_t quantize_run(const float*, float, size_t, int8_t*) {
  return 0;
}

}  // namespace
}  // namespace kvcs::kvfile

#include "kvfile/kernels/kernels_body.h"

namespace kvcs::kvfile {

const Kernels& scalar_kernels() {
  static constexpr Kernels kTable = make_kernels("scalar");
  return kTable;
}

const Kernels& kernels() {
  static const Kernels& best = *available_kernels().back();
  return best;
}

namespace {
// The set of instructions for halves. AVX2 machines have it, but a hypervisor may hide it.
// It is asked of the processor itself, since clang 14's builtin does not know "f16c" by name.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
}  // namespace

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> sets = {&scalar_kernels()};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && has_f16c()) sets.push_back(&avx2_kernels());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    sets.push_back(&avx512_kernels());
  }
  return sets;
}

}  // namespace kvcs::kvfile
