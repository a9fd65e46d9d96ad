// libFuzzer's entry; built once per target with -DKVCS_FUZZ_TARGET="name" (Makefile).
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const kvcs::fuzz::Target target = [] {
    for (const kvcs::fuzz::Target& one : kvcs::fuzz::all_targets()) {
      if (one.name == KVCS_FUZZ_TARGET) return one;
    }
    std::abort();
  }();
  target.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
