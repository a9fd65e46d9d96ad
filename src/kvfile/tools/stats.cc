// Least, largest and mean values of each layer, in one pass over the file on a few threads.
#include "kvfile/tools/stats.h"

#include <algorithm>
#include <cmath>

#include "kvfile/format/parallel.h"
#include "kvfile/format/tiles.h"

namespace kvcs::kvfile {
namespace {

struct Sums {
  double sum = 0, squares = 0;
  uint64_t finite = 0;
};

void add_values(const float* x, size_t n, PartStats& stats, Sums& sums) {
  for (size_t i = 0; i < n; i++) {
    const double value = double{x[i]};
    if (!std::isfinite(value)) {
      stats.nonfinite++;
      continue;
    }
    stats.zeros += value == 0 ? 1 : 0;
    stats.min = sums.finite == 0 ? value : std::min(stats.min, value);
    stats.max = sums.finite == 0 ? value : std::max(stats.max, value);
    sums.finite++;
    sums.sum += value;
    sums.squares += value * value;
  }
  stats.values += n;
}

}  // namespace

Result<std::vector<LayerStats>> layer_stats(const KvFile& file) {
  const KvHeader& header = file.header();
  std::vector<LayerStats> all(header.layers);
  Status ran = run_parallel(header.layers * 2, [&](TakeJob& take) -> Status {
    TileReader reader = KVCS_TRY(TileReader::create(file));
    std::vector<float> x(std::min(kTileTokens, header.tokens) * header.head_dim);
    for (size_t job = 0; take(job);) {
      const Part part = job % 2 == 0 ? Part::kKeys : Part::kValues;
      PartStats& stats = part == Part::kKeys ? all[job / 2].keys : all[job / 2].values;
      Sums sums;
      for (const Tile& tile : tiles_of(geometry_of(header), part, job / 2)) {
        KVCS_TRY(reader.read(tile, x.data()));
        add_values(x.data(), tile.rows * header.head_dim, stats, sums);
      }
      if (sums.finite == 0) continue;
      const double count = static_cast<double>(sums.finite);
      stats.mean = sums.sum / count;
      stats.deviation = std::sqrt(std::max(0.0, sums.squares / count - stats.mean * stats.mean));
    }
    return ok();
  });
  KVCS_TRY(file.check_unchanged());
  KVCS_TRY(std::move(ran));
  return all;
}

}  // namespace kvcs::kvfile
