// Finds NaN and infinity in tensor data at memory speed. Pure functions.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

// How many of the values are not finite; `size_bytes` is a multiple of the dtype's width.
uint64_t count_nonfinite(Dtype dtype, const void* data, size_t size_bytes);
// How many are not finite or not above zero: what a scale must never be.
uint64_t count_bad_scales(Dtype dtype, const void* data, size_t size_bytes);

}  // namespace kvcs::kvfile
