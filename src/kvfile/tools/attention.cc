// Attention over keys and values that come tile by tile, by the online softmax that FlashAttention
// uses (Milakov and Gimelshein, arXiv 1805.02867): no score is kept longer than its tile.
#include "kvfile/tools/attention.h"

#include <algorithm>
#include <cmath>

#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {

void AttentionProbe::start(const std::vector<float>& queries, size_t value_dim) {
  queries_ = queries;
  key_dim_ = queries.size() / kProbeQueries;
  value_dim_ = value_dim;
  outputs_.assign(kProbeQueries * value_dim, 0.0F);
  max_.assign(kProbeQueries, -INFINITY);
  sum_.assign(kProbeQueries, 0.0);
}

// Outputs and sums are kept relative to the largest score so far; a larger one rescales what was
// added before. A key whose weight is below 1e-12 is too small to change a
// float and is passed over.
void AttentionProbe::add(const float* keys, const float* values, size_t rows) {
  const Kernels& k = kernels();
  const float norm = 1.0F / std::sqrt(static_cast<float>(key_dim_));
  scores_.resize(rows);
  for (size_t q = 0; q < kProbeQueries; q++) {
    const float* const query = queries_.data() + q * key_dim_;
    float* const output = outputs_.data() + q * value_dim_;
    float max = max_[q];
    for (size_t r = 0; r < rows; r++) {
      scores_[r] = k.dot(query, keys + r * key_dim_, key_dim_) * norm;
      max = std::max(max, scores_[r]);
    }
    if (max > max_[q]) {
      const float factor = std::exp(max_[q] - max);
      k.scale(output, factor, value_dim_);
      sum_[q] *= factor;
      max_[q] = max;
    }
    for (size_t r = 0; r < rows; r++) {
      const float weight = std::exp(scores_[r] - max);
      if (weight < 1e-12F) continue;
      k.add_scaled(output, weight, values + r * value_dim_, value_dim_);
      sum_[q] += weight;
    }
  }
}

const std::vector<float>& AttentionProbe::finish() {
  for (size_t q = 0; q < kProbeQueries; q++) {
    if (sum_[q] > 0) {
      kernels().scale(outputs_.data() + q * value_dim_, static_cast<float>(1.0 / sum_[q]),
                      value_dim_);
    }
  }
  return outputs_;
}

}  // namespace kvcs::kvfile
