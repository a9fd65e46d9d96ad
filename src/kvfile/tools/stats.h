// Statistics of the values of a cache, layer by layer. Streams; any scheme.
#pragma once
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct PartStats {
  uint64_t values = 0, zeros = 0, nonfinite = 0;
  double min = 0, max = 0, mean = 0, deviation = 0;  // Of the finite values.
};
struct LayerStats {
  PartStats keys, values;
};
// Conflict when the file changed meanwhile.
Result<std::vector<LayerStats>> layer_stats(const KvFile& file);

}  // namespace kvcs::kvfile
