// The file of a benchmark: one table, one row per figure. `section` says which columns a row has:
//
//   machine, artifact, note   name, text
//   limit                     name, bytes, repetitions, min_s, median_s, bytes_per_s (by min_s)
//   operation                 those, scheme, limit, limit_s, memory_bytes; bytes_per_s by median_s
//   error                     scheme, bytes, original_bytes, keys_snr_db, values_snr_db,
//                             attention_error; text: why the size is what it is
//   layer                     scheme, name (the layer's number), keys_snr_db, values_snr_db
//   reuse                     kvcdn's six: tokens, prefill_s, kv_attn_s, kv_mb, prefill_gflops,
//                             speedup_compute; text: "scaled from N" when it was not measured
//
// Pure functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kvfile/tools/benchmark.h"

namespace kvcs::kvfile {

std::string dump_benchmark(const BenchmarkReport& report);
// A file of dump_benchmark(), or kvcdn's own: its six columns and nothing else. Invalid names the
// line and the column.
Result<BenchmarkReport> parse_benchmark(std::string_view csv);
// Columns `tokens` and `prefill_s`, in any order; `prefill_gflops` if it has it. kvcdn's files do.
Result<std::vector<PrefillRow>> parse_prefill(std::string_view csv);

}  // namespace kvcs::kvfile
