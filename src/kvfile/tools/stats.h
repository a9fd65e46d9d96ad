// Statistics of the values of a cache, layer by layer. Streams; any scheme.
#pragma once
#include <functional>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct PartStats {
  uint64_t values = 0, zeros = 0, nonfinite = 0;
  double min = 0, max = 0, mean = 0, rms = 0, deviation = 0;  // Of the finite values, if any.
  bool has_finite() const { return values > nonfinite; }
};
struct LayerStats {
  PartStats keys, values;
};
// Conflict when the file changed meanwhile.
Result<std::vector<LayerStats>> layer_stats(const KvFile& file);

// The same figures within a bound: of as many tiles of each layer's keys and values as fit, evenly
// spaced, on the caller's thread. A layer whose values do not fit at all has none.
struct StatsBound {
  uint64_t values_max = 0;
  std::function<bool()> stops = {};  // Asked before each tile; true ends the reading early.
};
struct StatsSample {
  std::vector<LayerStats> layers;
  uint64_t values = 0, values_read = 0;  // Of the file, and of them those that were read.
  bool is_whole() const { return values_read == values; }
};
Result<StatsSample> sample_stats(const KvFile& file, const StatsBound& bound);

}  // namespace kvcs::kvfile
