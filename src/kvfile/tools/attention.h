// The output of attention over one head, tile by tile, for a fixed set of queries. One thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvcs::kvfile {

inline constexpr size_t kProbeQueries = 64;

class AttentionProbe final {
 public:
  explicit AttentionProbe(size_t head_dim) : dim_(head_dim) {}
  // kProbeQueries × head_dim; forgets what was added.
  void start(const std::vector<float>& queries);
  void add(const float* keys, const float* values, size_t rows);
  // kProbeQueries × head_dim outputs. Once after the last add().
  const std::vector<float>& finish();

 private:
  const size_t dim_;
  std::vector<float> queries_, outputs_, scores_;
  std::vector<float> max_;   // Largest score so far, per query.
  std::vector<double> sum_;  // Of exp(score - max).
};

}  // namespace kvcs::kvfile
