// Attention over keys and values that come tile by tile, by the online softmax that FlashAttention
// uses (Milakov and Gimelshein, arXiv 1805.02867): no score is kept longer than its tile.
#include "kvfile/tools/attention.h"

#include <algorithm>
#include <cmath>

#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {

void AttentionProbe::start(const std::vector<float>& queries) {
  queries_ = queries;
  outputs_.assign(queries.size(), 0.0F);
  max_.assign(kProbeQueries, -INFINITY);
  sum_.assign(kProbeQueries, 0.0);
}

// Outputs and sums are kept relative to the largest score so far; a larger one rescales what was
// added before. A key whose weight is below 1e-12 is too small to change a
// float and is passed over.
void AttentionProbe::add(const float* keys, const float* values, size_t rows) {
  const Kernels& k = kernels();
  const float norm = 1.0F / std::sqrt(static_cast<float>(dim_));
  scores_.resize(rows);
  for (size_t q = 0; q < kProbeQueries; q++) {
    const float* const query = queries_.data() + q * dim_;
    float* const output = outputs_.data() + q * dim_;
    float max = max_[q];
    for (size_t r = 0; r < rows; r++) {
      scores_[r] = k.dot(query, keys + r * dim_, dim_) * norm;
      max = std::max(max, scores_[r]);
    }
    if (max > max_[q]) {
      const float factor = std::exp(max_[q] - max);
      k.scale(output, factor, dim_);
      sum_[q] *= factor;
      max_[q] = max;
    }
    for (size_t r = 0; r < rows; r++) {
      const float weight = std::exp(scores_[r] - max);
      if (weight < 1e-12F) continue;
      k.add_scaled(output, weight, values + r * dim_, dim_);
      sum_[q] += weight;
    }
  }
}

const std::vector<float>& AttentionProbe::finish() {
  for (size_t q = 0; q < kProbeQueries; q++) {
    if (sum_[q] > 0) {
      kernels().scale(outputs_.data() + q * dim_, static_cast<float>(1.0 / sum_[q]), dim_);
    }
  }
  return outputs_;
}

}  // namespace kvcs::kvfile
