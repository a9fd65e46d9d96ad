// Goal: a benchmark measures what it says, says what it left out, and its file reads back.
// Method: small artifacts; times are only held against each other and against zero.
#include "kvfile/tools/benchmark.h"

#include <catch2/catch.hpp>

#include <cmath>

#include "kvfile/support.h"
#include "kvfile/tools/benchmark_csv.h"
#include "kvfile/tools/machine.h"
#include "kvfile/tools/quantize.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

BenchmarkReport must_run(const BenchmarkOptions& options) {
  Result<BenchmarkReport> report = run_benchmark(options);
  INFO(report.status().message());
  REQUIRE(report.ok());
  return std::move(*report);
}

const Operation* find(const BenchmarkReport& report, const std::string& name,
                      const std::string& scheme) {
  for (const Operation& operation : report.operations) {
    if (operation.name == name && operation.scheme == scheme) return &operation;
  }
  return nullptr;
}

bool notes_say(const BenchmarkReport& report, const std::string& words) {
  for (const std::string& note : report.notes) {
    if (note.find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("benchmark: every operation has times, a limit and memory; the file reads back",
          "[unit][kvfile][benchmark]") {
  TempDir dir;
  const std::string path = dir.file("a.kv"), scratch = dir.file("scratch");
  std::filesystem::create_directory(scratch);
  REQUIRE(write_sample(path, Dtype::kF16, {2, 2, 64, 64}).ok());
  BenchmarkOptions options{path, scratch, 2, {Scheme::kInt8c, Scheme::kFp8E4m3}, {}};
  options.prefill = {{32, 0.5, 300.0}, {128, 2.0, {}}};
  const BenchmarkReport report = must_run(options);
  const uint64_t bytes = std::filesystem::file_size(path);
  for (const auto& [name, scheme, size] :
       std::vector<std::tuple<std::string, std::string, uint64_t>>{
           {"load_cold", "plain", bytes},
           {"load_warm", "plain", bytes},
           {"verify", "plain", bytes},
           {"quantise", "int8c", bytes},
           {"dequantise", "int8c", 2 * 2 * 2 * 64 * 64 * 2},
           {"quantise", "fp8_e4m3", bytes},
           {"slice", "plain", 0}}) {
    INFO(name << " " << scheme);
    const Operation* const operation = find(report, name, scheme);
    REQUIRE(operation != nullptr);
    CHECK(operation->timing.repetitions == 2);
    CHECK(operation->timing.min_s > 0);
    CHECK(operation->timing.median_s >= operation->timing.min_s);
    if (size > 0) CHECK(operation->timing.bytes == size);
    CHECK_FALSE(operation->limit.empty());
    CHECK(operation->limit_s > 0);
  }
  CHECK(report.limits.size() == 5);
  // No run beats what is called the limit.
  for (const Operation& operation : report.operations) {
    INFO(operation.name);
    CHECK(operation.limit_s <= operation.timing.min_s * 1.0001);
  }
  REQUIRE(report.errors.size() == 3);
  CHECK(report.errors[0].scheme == "cast BF16");
  CHECK(report.errors[0].is_reference());
  CHECK(report.errors[1].keys_snr_db > report.errors[2].keys_snr_db);
  CHECK(report.errors[1].attention_error.value_or(9) < 0.2);
  REQUIRE(report.layers.size() == 6);  // Two of each.
  CHECK(report.layers[3].scheme == "int8c");
  CHECK(report.layers[3].layer == 1);
  REQUIRE(report.reuse.size() == 2);
  CHECK(report.reuse[0].kv_mb == Approx(32 * 2 * 2 * 2 * 64 * 2 / 1e6));
  CHECK(report.reuse[0].kv_attn_s > 0);
  CHECK(report.reuse[0].scaled_from == 0);
  CHECK(report.reuse[1].scaled_from == 64);
  CHECK(notes_say(report, "128 tokens: the load is scaled from the artifact's 64"));
  CHECK(notes_say(report, "forget the file's pages"));
  CHECK(count_files(dir.path()) == 2);  // The artifact and the scratch folder.

  const std::string csv = dump_benchmark(report);
  const auto back = parse_benchmark(csv);
  INFO(back.status().message());
  REQUIRE(back.ok());
  // What is computed from rounded figures may differ in its last digit, once.
  const std::string again = dump_benchmark(*back);
  CHECK(dump_benchmark(*parse_benchmark(again)) == again);
  CHECK(back->operations.size() == report.operations.size());
  CHECK(back->operations[3].timing.median_s == Approx(report.operations[3].timing.median_s));
  CHECK(back->operations[3].memory_bytes == report.operations[3].memory_bytes);
  CHECK(back->errors[1].bytes == report.errors[1].bytes);
  CHECK(back->layers.size() == report.layers.size());
  CHECK(back->reuse[1].scaled_from == 64);
  CHECK(back->reuse[1].prefill_s == report.reuse[1].prefill_s);
  CHECK(back->notes == report.notes);
  CHECK(csv.find(",tokens,prefill_s,kv_attn_s,kv_mb,prefill_gflops,speedup_compute\n") !=
        std::string::npos);
  CHECK(csv.find("machine,cpu,") != std::string::npos);
  CHECK(csv.find("machine,filesystem,") != std::string::npos);
}

TEST_CASE("benchmark: what a scheme refuses is a note, not a failure",
          "[unit][kvfile][benchmark]") {
  TempDir dir;
  const std::string path = dir.file("a.kv");
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 8, 20}).ok());
  const BenchmarkReport report = must_run({path, dir.path(), 1, {Scheme::kQ8, Scheme::kInt8}, {}});
  CHECK(notes_say(report, "q8_0: "));
  CHECK(find(report, "quantise", "q8_0") == nullptr);
  CHECK(find(report, "quantise", "int8") != nullptr);
  // A quantised artifact is loaded and dequantised; it cannot be quantised again.
  REQUIRE(quantize({.input = path, .output = dir.file("q.kv")}).ok());
  const BenchmarkReport small = must_run({dir.file("q.kv"), dir.path(), 1, {Scheme::kInt8}, {}});
  CHECK(notes_say(small, "already int8c"));
  CHECK(find(small, "dequantise", "int8c") != nullptr);
  CHECK(small.errors.empty());
  // Why four bits are more than a quarter here.
  REQUIRE(write_sample(dir.file("b.kv"), Dtype::kF16, {1, 1, 300, 64}).ok());
  const BenchmarkReport four = must_run({dir.file("b.kv"), dir.path(), 1, {Scheme::kInt4c}, {}});
  CHECK(four.errors.back().note.find(" tokens kept as they were") != std::string::npos);
}

TEST_CASE("benchmark: an operation that beats a limit becomes the limit, and a note says so",
          "[unit][kvfile][benchmark]") {
  BenchmarkReport report;
  report.limits = {{"disk_read", {1000, 5, 0.010, 0.011}}, {"sha256", {1000, 5, 0.001, 0.001}}};
  report.operations = {
      {"load_cold", "plain", {1000, 3, 0.004, 0.005}, "", 0, 0, {{"disk_read", 1000}}},
      {"verify",
       "plain",
       {1000, 3, 0.02, 0.03},
       "",
       0,
       0,
       {{"disk_read", 1000}, {"sha256", 1000}}}};
  settle_limits(report);
  CHECK(report.limits[0].timing.min_s == 0.004);
  CHECK(report.operations[0].limit_s == Approx(0.004));
  CHECK(report.operations[1].limit == "disk_read");
  CHECK(report.operations[1].limit_s == Approx(0.004));
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0] ==
        "disk_read: measured alone it was 97.66 KiB/s; load_cold was faster and is taken for the "
        "limit");
  settle_limits(report);
  CHECK(report.notes.size() == 1);
}

TEST_CASE("benchmark: an artifact that does not verify ends it", "[fault][kvfile][benchmark]") {
  TempDir dir;
  const std::string path = dir.file("a.kv");
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, 8, 32}).ok());
  std::string bytes = read_bytes(path);
  bytes.replace(bytes.size() - 2, 2, encode_value(Dtype::kF16, INFINITY));
  write_bytes(path, bytes);
  const auto report = run_benchmark({path, dir.path(), 1, {}, {}});
  CHECK(report.status().message().find("NaN or infinite") != std::string::npos);
  CHECK(run_benchmark({dir.file("none.kv"), dir.path(), 1, {}, {}}).code() == Code::kNotFound);
}

TEST_CASE("benchmark: a slower operation has the larger time, and its limit is the slowest stage",
          "[unit][kvfile][benchmark]") {
  BenchmarkReport report;
  report.limits = {{"memcpy", {1000, 1, 0.001, 0.001}}, {"sha256", {1000, 1, 0.01, 0.01}}};
  OperationSpec spec{
      "x", "", 1000, {{"memcpy", 5000}, {"sha256", 1000}, {"none", 1}}, [] { return ok(); }};
  REQUIRE(measure_operation(spec, 3, report).ok());
  CHECK(report.operations[0].limit == "sha256");
  CHECK(report.operations[0].limit_s == Approx(0.01));
  spec.work = [] { return unavailable("broken"); };
  CHECK(measure_operation(spec, 3, report).code() == Code::kUnavailable);
  CHECK(report.operations.size() == 1);
}

TEST_CASE("benchmark: the page cache of a file is dropped, or the share that stayed is known",
          "[unit][kvfile][benchmark]") {
  TempDir dir;
  write_bytes(dir.file("a"), std::string(1 << 20, 'x'));
  const auto kept = drop_file_cache(dir.file("a"));
  REQUIRE(kept.ok());
  CHECK(*kept >= 0);
  CHECK(*kept <= 1);
  CHECK(drop_file_cache(dir.file("none")).code() != Code::kOk);
  reset_peak_memory();
  const uint64_t before = peak_memory_bytes();
  if (before == 0) return;  // The kernel does not say.
  // Beyond what malloc takes from memory that earlier tests have left resident.
  { const std::string block(64 << 20, 'y'); }
  CHECK(peak_memory_bytes() >= before + (48 << 20));
}

TEST_CASE("benchmark: the user's prefill file needs two columns above zero",
          "[unit][kvfile][benchmark]") {
  const auto rows = parse_prefill("prefill_s,tokens\r\n0.5,255\r\n1.25,485\r\n");
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[1].tokens == 485);
  CHECK((*rows)[1].prefill_s == 1.25);
  CHECK(parse_prefill("tokens\n1\n").status().message().find("prefill_s") != std::string::npos);
  CHECK(parse_prefill("tokens,prefill_s\n").status().message().find("no rows") !=
        std::string::npos);
  CHECK(parse_prefill("tokens,prefill_s\n0,1\n").code() == Code::kInvalid);
  CHECK(parse_prefill("tokens,prefill_s\n9,0\n").status().message().find("above zero") !=
        std::string::npos);
}
