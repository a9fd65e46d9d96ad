// The output of attention over one head, tile by tile, for a fixed set of queries. One thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvcs::kvfile {

inline constexpr size_t kProbeQueries = 64;

class AttentionProbe final {
 public:
  // kProbeQueries queries as wide as the keys; forgets what was added.
  void start(const std::vector<float>& queries, size_t value_dim);
  void add(const float* keys, const float* values, size_t rows);
  // kProbeQueries outputs as wide as the values. Once after the last add().
  const std::vector<float>& finish();

 private:
  size_t key_dim_ = 0, value_dim_ = 0;
  std::vector<float> queries_, outputs_, scores_;
  std::vector<float> max_;   // Largest score so far, per query.
  std::vector<double> sum_;  // Of exp(score - max).
};

}  // namespace kvcs::kvfile
