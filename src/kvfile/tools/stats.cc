// Least, largest and mean values of each layer: of all values, in one pass over the file on a few
// threads, or of evenly spaced tiles.
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

void finish(PartStats& stats, const Sums& sums) {
  if (sums.finite == 0) return;
  const double count = static_cast<double>(sums.finite);
  stats.mean = sums.sum / count;
  stats.rms = std::sqrt(sums.squares / count);
  stats.deviation = std::sqrt(std::max(0.0, sums.squares / count - stats.mean * stats.mean));
}

// The tiles of one layer's keys or values by their number, in the order of tiles_of().
struct TileRow {
  const PartShape& shape;
  uint64_t per_head = (shape.tokens + kTileTokens - 1) / kTileTokens;
  uint64_t count = shape.heads * per_head;

  Tile at(Part part, uint64_t layer, uint64_t number) const {
    const uint64_t first = number % per_head * kTileTokens;
    return {part, layer, number / per_head, first, std::min(kTileTokens, shape.tokens - first)};
  }
};

}  // namespace

Result<std::vector<LayerStats>> layer_stats(const KvFile& file) {
  const KvHeader& header = file.header();
  std::vector<LayerStats> all(header.layers);
  Status ran = run_parallel(header.layers * 2, [&](TakeJob& take) -> Status {
    TileReader reader = KVCS_TRY(TileReader::create(file));
    std::vector<float> x(tile_values_max(header));
    for (size_t job = 0; take(job);) {
      const Part part = job % 2 == 0 ? Part::kKeys : Part::kValues;
      PartStats& stats = part == Part::kKeys ? all[job / 2].keys : all[job / 2].values;
      Sums sums;
      const PartShape& shape = header.shape(part, job / 2);
      for (const Tile& tile : tiles_of(shape, part, job / 2)) {
        KVCS_TRY(reader.read(tile, x.data()));
        add_values(x.data(), tile.rows * shape.head_dim, stats, sums);
      }
      finish(stats, sums);
    }
    return ok();
  });
  KVCS_TRY(file.check_unchanged());
  KVCS_TRY(std::move(ran));
  return all;
}

Result<StatsSample> sample_stats(const KvFile& file, const StatsBound& bound) {
  const KvHeader& header = file.header();
  TileReader reader = KVCS_TRY(TileReader::create(file));
  const uint64_t parts = header.layers * 2;
  StatsSample sample;
  sample.layers.resize(header.layers);
  sample.values = header.values();
  std::vector<float> x(tile_values_max(header));
  for (uint64_t job = 0; job < parts; job++) {
    const Part part = job % 2 == 0 ? Part::kKeys : Part::kValues;
    const PartShape& shape = header.shape(part, job / 2);
    if (!shape.exists()) continue;
    const TileRow row{shape};
    const uint64_t tile_values = std::min(kTileTokens, shape.tokens) * shape.head_dim;
    const uint64_t fitting =
        sample.values <= bound.values_max ? row.count : bound.values_max / tile_values / parts;
    const uint64_t taken = std::clamp<uint64_t>(fitting, 1, row.count);
    LayerStats& layer = sample.layers[job / 2];
    PartStats& stats = part == Part::kKeys ? layer.keys : layer.values;
    Sums sums;
    for (uint64_t i = 0; i < taken; i++) {
      const bool is_over =
          sample.values_read + tile_values > bound.values_max && sample.values > bound.values_max;
      if (is_over || (bound.stops && bound.stops())) break;
      const Tile tile = row.at(part, job / 2, i * row.count / taken);
      KVCS_TRY(reader.read(tile, x.data()));
      add_values(x.data(), tile.rows * shape.head_dim, stats, sums);
      sample.values_read += tile.rows * shape.head_dim;
    }
    finish(stats, sums);
  }
  KVCS_TRY(file.check_unchanged());
  return sample;
}

}  // namespace kvcs::kvfile
