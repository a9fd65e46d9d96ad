// Compares two caches layer by layer, a layer for each job. Sums of a row are floats in the kernels
// and doubles from there on.
#include "kvfile/tools/compare.h"

#include <algorithm>
#include <cmath>

#include "base/counted.h"
#include "kvfile/format/parallel.h"
#include "kvfile/format/tiles.h"
#include "kvfile/tools/attention.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kCompareBytes = 256 << 10;

// The running sums over the keys, or the values, that were compared so far. Sums of several layers
// can be added.
struct Sums {
  uint64_t values = 0, rows = 0;
  double signal = 0, error = 0, error_max = 0, cosine = 0, cosine_min = 1;

  void add(const Sums& other) {
    values += other.values;
    rows += other.rows;
    signal += other.signal;
    error += other.error;
    error_max = std::max(error_max, other.error_max);
    cosine += other.cosine;
    cosine_min = std::min(cosine_min, other.cosine_min);
  }
  PartError result() const {
    PartError out;
    out.values = values;
    out.error_max = error_max;
    out.mse = values == 0 ? 0 : error / static_cast<double>(values);
    out.snr_db = error == 0 ? INFINITY : 10 * std::log10(signal / error);
    out.cosine_mean = rows == 0 ? 1 : cosine / static_cast<double>(rows);
    out.cosine_min = cosine_min;
    return out;
  }
};

// The sums of a row whose squares are too large for floats, in doubles. A value of b that is not
// finite counts as an error without bound.
struct WideRow {
  double dot = 0, aa = 0, bb = 0, error = 0, error_max = 0;
  WideRow(const float* a, const float* b, uint64_t dim) {
    for (uint64_t c = 0; c < dim; c++) {
      const double x = a[c], y = b[c];
      const double difference = std::isfinite(y) ? std::fabs(x - y) : INFINITY;
      dot += std::isfinite(y) ? x * y : 0;
      aa += x * x;
      bb += y * y;
      error += difference * difference;
      error_max = std::max(error_max, difference);
    }
  }
};

template <typename Row>
void add_row(const Row& row, Sums& sums) {
  const double norms = std::sqrt(double{row.aa}) * std::sqrt(double{row.bb});
  // Two rows of zeros point the same way. One row of zeros has no direction that the other could
  // share, and neither has a row whose norm is not finite.
  const double alone = row.aa == row.bb ? 1 : 0;
  const double cosine = !std::isfinite(norms) ? 0 : norms > 0 ? double{row.dot} / norms : alone;
  sums.signal += double{row.aa};
  sums.error += double{row.error};
  sums.error_max = std::max(sums.error_max, double{row.error_max});
  sums.cosine += cosine;
  sums.cosine_min = std::min(sums.cosine_min, cosine);
}

void add_rows(const float* a, const float* b, uint64_t rows, uint64_t dim, Sums& sums) {
  for (uint64_t r = 0; r < rows; r++) {
    RowError row;
    kernels().row_error(a + r * dim, b + r * dim, dim, &row);
    if (std::isfinite(row.aa + row.bb + row.error)) {
      add_row(row, sums);
    } else {
      add_row(WideRow(a + r * dim, b + r * dim, dim), sums);
    }
  }
  sums.rows += rows;
  sums.values += rows * dim;
}

// SplitMix64 (Steele, Lea and Flood, 2014): small, seedable, and the same on every machine, so that
// figures can be repeated.
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // The sum of twelve uniform numbers less six: about normal, with variance one.
  float normal() {
    float sum = 0;
    for (int i = 0; i < 12; i++) sum += static_cast<float>(next() >> 40) * 0x1p-24F;
    return sum - 6.0F;
  }
};

// The readers and buffers of one worker; it compares one layer after the other.
class LayerComparer {
 public:
  static Result<LayerComparer> create(const KvFile& a, const KvFile& b,
                                      const CompareOptions& options) {
    TileReader reader_a = KVCS_TRY(TileReader::create(a));
    TileReader reader_b = KVCS_TRY(TileReader::create(b));
    return LayerComparer(std::move(reader_a), std::move(reader_b), a, b, options);
  }

  Status run(uint64_t layer, bool attention, Sums& keys, Sums& values,
             std::optional<double>& attention_error) {
    const PartShape& key_shape = a_->header().shape(Part::kKeys, layer);
    const PartShape& value_shape = a_->header().shape(Part::kValues, layer);
    attention = attention && value_shape.exists();
    const std::vector<Tile> tiles = tiles_of(key_shape, Part::kKeys, layer);
    double difference = 0, size = 0;
    for (size_t i = 0; i < tiles.size(); i++) {
      Tile tile = tiles[i];
      if (attention && tile.first == 0) KVCS_TRY(start_probes(tile, value_shape.head_dim));
      KVCS_TRY(read(tile, key_a_, key_b_));
      add_rows(key_a_.data(), key_b_.data(), tile.rows, key_shape.head_dim, keys);
      if (!value_shape.exists()) continue;
      tile.part = Part::kValues;
      KVCS_TRY(read(tile, value_a_, value_b_));
      add_rows(value_a_.data(), value_b_.data(), tile.rows, value_shape.head_dim, values);
      if (!attention) continue;
      probe_a_.add(key_a_.data(), value_a_.data(), tile.rows);
      probe_b_.add(key_b_.data(), value_b_.data(), tile.rows);
      const bool head_ends = i + 1 == tiles.size() || tiles[i + 1].first == 0;
      if (head_ends) add_outputs(value_shape.head_dim, difference, size);
    }
    if (attention) {
      // Scores that leave the range of floats leave nothing to compare. The error is infinite then,
      // so that no gate passes.
      const bool known = std::isfinite(difference) && std::isfinite(size);
      attention_error = !known ? INFINITY : size > 0 ? std::sqrt(difference / size) : 0;
    }
    return ok();
  }

 private:
  LayerComparer(TileReader reader_a, TileReader reader_b, const KvFile& a, const KvFile& b,
                const CompareOptions& options)
      : reader_a_(std::move(reader_a)),
        reader_b_(std::move(reader_b)),
        a_(&a),
        b_(&b),
        options_(options) {
    for (std::vector<float>* buffer : {&key_a_, &key_b_, &value_a_, &value_b_}) {
      buffer->resize(tile_values_max(a.header()));
    }
  }

  // The outputs of one head.
  void add_outputs(uint64_t dim, double& difference, double& size) {
    const std::vector<float>& x = probe_a_.finish();
    const std::vector<float>& y = probe_b_.finish();
    for (size_t q = 0; q < kProbeQueries; q++) {
      RowError row;
      kernels().row_error(x.data() + q * dim, y.data() + q * dim, dim, &row);
      difference += double{row.error};
      size += double{row.aa};
    }
  }

  Status read(const Tile& tile, std::vector<float>& a, std::vector<float>& b) {
    const size_t n = tile.rows * a_->header().shape(tile.part, tile.layer).head_dim;
    uint64_t bad_a = 0, bad_b = 0;
    KVCS_TRY(reader_a_.read(tile, a.data(), &bad_a));
    KVCS_TRY(reader_b_.read(tile, b.data(), &bad_b));
    if (bad_a > 0) saturate_nonfinite(a.data(), n, a_->header().dtype);
    if (bad_b > 0) saturate_nonfinite(b.data(), n, b_->header().dtype);
    if (options_.round_to_dtype) {
      rounded_.resize(n * 4);
      kernels().encode(b_->header().dtype, b.data(), rounded_.data(), n);
      kernels().decode(b_->header().dtype, rounded_.data(), b.data(), n);
    }
    return ok();
  }

  // Queries are noise plus a key of the cache, shrunk so that attention spreads over many tokens
  // as it does in a model.
  Status start_probes(const Tile& tile, uint64_t value_dim) {
    const PartShape& shape = a_->header().shape(Part::kKeys, tile.layer);
    const uint64_t dim = shape.head_dim;
    Random random{options_.seed * 1'000'003 + tile.layer * 1009 + tile.head};
    std::vector<float> queries(kProbeQueries * dim);
    for (size_t q = 0; q < kProbeQueries; q++) {
      float* const query = queries.data() + q * dim;
      uint64_t bad = 0;
      KVCS_TRY(reader_a_.read({Part::kKeys, tile.layer, tile.head, random.next() % shape.tokens, 1},
                              query, &bad));
      if (bad > 0) saturate_nonfinite(query, dim, a_->header().dtype);
      for (uint64_t c = 0; c < dim; c++) query[c] = query[c] * kKeyShare + random.normal();
    }
    probe_a_.start(queries, value_dim);
    probe_b_.start(queries, value_dim);
    return ok();
  }

  static constexpr float kKeyShare = 0.15F;

  TileReader reader_a_, reader_b_;
  const KvFile* a_;
  const KvFile* b_;
  CompareOptions options_;
  AttentionProbe probe_a_, probe_b_;
  std::vector<float> key_a_, key_b_, value_a_, value_b_;
  std::vector<char> rounded_;
};

// What one layer's keys or values are, for a message.
std::string part_text(const PartShape& part) {
  if (!part.exists()) return "none";
  return counted(part.heads, "head") + ", " + counted(part.tokens, "token") + ", head_dim " +
         std::to_string(part.head_dim);
}

// Where only tokens or layers differ, the message says which slice makes the files comparable.
Status check_same_size(const KvHeader& a, const KvHeader& b) {
  const bool same_rows = a.kv_heads == b.kv_heads && a.head_dim == b.head_dim;
  const bool same = same_rows && a.layers == b.layers && a.tokens == b.tokens;
  if (same && a.is_uniform && b.is_uniform) return ok();
  for (uint64_t layer = 0; layer < (a.layers == b.layers ? a.layers : 0); layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      const PartShape& x = a.shape(part, layer);
      const PartShape& y = b.shape(part, layer);
      if (x.is_same_size(y) || (a.is_uniform && b.is_uniform)) continue;
      return invalid("the files differ in \"" + tensor_name(part, layer) + "\": " + part_text(x) +
                     " and " + part_text(y));
    }
    if (a.shapes[layer].positions != b.shapes[layer].positions) {
      return invalid("the files hold other positions of layer " + std::to_string(layer));
    }
  }
  if (same) return ok();
  const auto size_of = [](const KvHeader& header) {
    const std::string rows =
        header.is_uniform ? counted(header.kv_heads, "head") + ", " : std::string();
    return counted(header.layers, "layer") + ", " + rows + counted(header.tokens, "token") +
           (header.is_uniform ? ", head_dim " + std::to_string(header.head_dim) : "");
  };
  const auto range = [](uint64_t x, uint64_t y) { return "0:" + std::to_string(std::min(x, y)); };
  std::string advice = "; they are not of one model";
  if (same_rows) {
    advice = "; `kvcs slice` with";
    if (a.tokens != b.tokens) advice += " --tokens " + range(a.tokens, b.tokens);
    if (a.layers != b.layers) advice += " --layers " + range(a.layers, b.layers);
    advice += " cuts the larger to what both have";
  }
  return invalid("the files differ in size: " + size_of(a) + " and " + size_of(b) + advice);
}

// How many states of recurrent layers are not byte for byte the same.
Result<uint64_t> count_other_states(const KvFile& a, const KvFile& b) {
  uint64_t others = 0;
  std::vector<char> x(kCompareBytes), y(kCompareBytes);
  for (const Tensor& tensor : carried_tensors(a.header())) {
    if (tensor.name == "tokens") continue;
    const Tensor* const other = b.header().find(tensor.name);
    bool same = other != nullptr && other->dtype == tensor.dtype && other->shape == tensor.shape;
    for (uint64_t at = 0; same && at < tensor.size_bytes(); at += kCompareBytes) {
      const size_t n = std::min<uint64_t>(kCompareBytes, tensor.size_bytes() - at);
      KVCS_TRY(a.read(tensor, at, x.data(), n));
      KVCS_TRY(b.read(*other, at, y.data(), n));
      same = std::equal(x.begin(), x.begin() + static_cast<ptrdiff_t>(n), y.begin());
    }
    others += same ? 0 : 1;
  }
  return others;
}

}  // namespace

Result<CompareReport> compare(const KvFile& a, const KvFile& b, const CompareOptions& options) {
  KVCS_TRY(check_same_size(a.header(), b.header()));
  const uint64_t layers = a.header().layers;
  // Those that attend over keys and values are divided into equal shares, and the first layer of
  // each is sampled.
  std::vector<bool> is_sampled(layers, false);
  std::vector<uint64_t> attending;
  for (uint64_t layer = 0; layer < layers; layer++) {
    if (a.header().shape(Part::kValues, layer).exists()) attending.push_back(layer);
  }
  const uint64_t sampled = std::min<uint64_t>(options.attention_layers, attending.size());
  for (uint64_t i = 0; i < attending.size() && sampled > 0; i++) {
    is_sampled[attending[i]] =
        i == 0 || i * sampled / attending.size() != (i - 1) * sampled / attending.size();
  }
  CompareReport report;
  report.layers.resize(layers);
  std::vector<Sums> keys(layers), values(layers);
  Status ran = run_parallel(layers, [&](TakeJob& take) -> Status {
    LayerComparer comparer = KVCS_TRY(LayerComparer::create(a, b, options));
    for (size_t layer = 0; take(layer);) {
      KVCS_TRY(comparer.run(layer, is_sampled[layer], keys[layer], values[layer],
                            report.layers[layer].attention_error));
    }
    return ok();
  });
  const Result<uint64_t> other_states = count_other_states(a, b);
  // A file that shrinks under the reader changed; it was not cut.
  KVCS_TRY(a.check_unchanged());
  KVCS_TRY(b.check_unchanged());
  KVCS_TRY(std::move(ran));
  KVCS_TRY(other_states.status());
  report.other_states = *other_states;
  Sums all_keys, all_values;
  double attention_sum = 0, attention_max = 0;
  uint64_t attention_count = 0;
  report.snr_min_db = INFINITY;
  for (uint64_t layer = 0; layer < layers; layer++) {
    LayerError& out = report.layers[layer];
    out.keys = keys[layer].result();
    out.values = values[layer].result();
    for (const PartError& part : {out.keys, out.values}) {
      if (part.values > 0) report.snr_min_db = std::min(report.snr_min_db, part.snr_db);
    }
    all_keys.add(keys[layer]);
    all_values.add(values[layer]);
    if (!out.attention_error) continue;
    attention_sum += *out.attention_error;
    attention_max = std::max(attention_max, *out.attention_error);
    attention_count++;
  }
  report.keys = all_keys.result();
  report.values = all_values.result();
  if (attention_count > 0) {
    report.attention_error_mean = attention_sum / static_cast<double>(attention_count);
    report.attention_error_max = attention_max;
  }
  return report;
}

}  // namespace kvcs::kvfile
