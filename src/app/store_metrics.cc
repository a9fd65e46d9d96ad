// Makes the instruments of store timers once, at the start; a timer then finds its instrument by
// index, without a look-up by name.
#include "app/store_metrics.h"

namespace kvcs {
namespace {

LatencyHistogram& histogram(Metrics& metrics, std::string_view store, std::string_view op) {
  return metrics.histogram(
      "kvcs_store_seconds", "Time of each operation of the stores.",
      "store=\"" + Metrics::escape_label(store) + "\",op=\"" + Metrics::escape_label(op) + "\"");
}

}  // namespace

KvTimer kv_timer(Metrics& metrics) {
  std::array<LatencyHistogram*, kKvOpCount> by_op{};
  for (size_t i = 0; i < kKvOpCount; i++) {
    by_op[i] = &histogram(metrics, "kv", kv_op_name(static_cast<KvOp>(i)));
  }
  return [by_op](KvOp op, int64_t us) { by_op[static_cast<size_t>(op)]->record_us(us); };
}

BlobTimer blob_timer(Metrics& metrics) {
  LatencyHistogram& open = histogram(metrics, "blobs", "open");
  LatencyHistogram& finish = histogram(metrics, "blobs", "finish");
  return [&open, &finish](BlobOp op, int64_t us) {
    (op == BlobOp::kOpen ? open : finish).record_us(us);
  };
}

DbTimer db_timer(Metrics& metrics, const Clock& clock, std::string_view store,
                 std::string_view op) {
  LatencyHistogram& times = histogram(metrics, store, op);
  return {.clock = &clock, .took = [&times](int64_t us) { times.record_us(us); }};
}

}  // namespace kvcs
