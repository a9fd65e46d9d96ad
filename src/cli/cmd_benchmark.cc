// `kvcs benchmark`: what a .kv file costs on this machine, measured by kvfile/tools/benchmark, with
// upload and download as this program does them, as a table, JSON or CSV.
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/bytes.h"
#include "base/decimal.h"
#include "base/file.h"
#include "cli/api_client.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/scratch_folder.h"
#include "kvfile/tools/benchmark.h"
#include "kvfile/tools/benchmark_csv.h"

namespace kvcs::cli {
namespace {

using kvfile::BenchmarkReport;
using kvfile::Scheme;

constexpr uint64_t kCsvBytesMax = 16 << 20;

// --- against a server -----------------------------------------------------------------------

// Runs another command of this program in this process, as if it had been typed with --json, and
// returns what it printed. Its failure keeps the words that it wrote to stderr.
Result<Json> run_command(std::vector<std::string> arguments, const ServerFlags& flags) {
  std::string out, error;
  arguments.push_back("--json");
  if (!flags.server.empty()) arguments.insert(arguments.end(), {"--server", flags.server});
  if (!flags.cacert.empty()) arguments.insert(arguments.end(), {"--cacert", flags.cacert});
  const int code = run_cli(
      arguments, commands(), [&](std::string_view text) { out += text; },
      [&](std::string_view text) { error += text; });
  const Result<Json> answer = parse_json(code == kExitOk ? out : error);
  if (code == kExitOk) return answer;
  const std::string said = answer.ok() ? answer->value("error", error) : error;
  return upstream_failed("kvcs " + arguments[0] + ": " + said);
}

// Upload and download beside their limits: both hash every byte (sha256), and a download writes it
// to disk as well. Each upload makes a new artifact, so the one before is deleted first, outside of
// the measured time.
Status measure_transfers(const Invocation& in, const std::string& scratch, uint64_t repetitions,
                         BenchmarkReport& report) {
  const std::string path = in.text("file");
  const ServerFlags& flags = in.server_flags();
  std::string id;
  const auto upload = [&]() -> Status {
    const Json done = KVCS_TRY(run_command(
        {"upload", path, "--name", "kvcs-benchmark-" + std::to_string(getpid())}, flags));
    id = done.value("artifact_id", "");
    return ok();
  };
  const auto remove = [&]() -> Status {
    if (id.empty()) return ok();
    const std::string last = std::exchange(id, "");
    return run_command({"delete", last, "-y"}, flags).status();
  };
  const std::string target = scratch + "/downloaded.kv";
  const auto download = [&]() -> Status {
    return run_command({"download", id, "-o", target, "--force"}, flags).status();
  };
  std::error_code ignored;
  const uint64_t bytes = std::filesystem::file_size(path, ignored);
  Status done = kvfile::measure_operation({.name = "upload",
                                           .bytes = bytes,
                                           .stages = {{"sha256", bytes}},
                                           .work = upload,
                                           .before = remove},
                                          repetitions, report);
  if (done.ok()) {
    done = kvfile::measure_operation({.name = "download",
                                      .bytes = bytes,
                                      .stages = {{"sha256", bytes}, {"disk_write", bytes}},
                                      .work = download},
                                     repetitions, report);
  }
  // The last upload is deleted even if a measurement failed; the first failure is the one told.
  Status removed = remove();
  KVCS_TRY(std::move(done));
  return removed;
}

// A server that --server names must answer, and it is asked before the long work begins. A server
// that is merely configured may be away: then the report has a note instead of its figures.
Status check_server(const Invocation& in) {
  if (in.server_flags().server.empty() || in.flag("no-server")) return ok();
  return run_command({"quota"}, in.server_flags()).status();
}

// Adds the two transfers, or a note that says why they are missing.
Status measure_server(const Invocation& in, const std::string& scratch, uint64_t repetitions,
                      BenchmarkReport& report) {
  const bool server = !in.server_flags().server.empty();
  if (in.flag("no-server")) return ok();
  const ApiSettings settings = find_api_settings(in);
  if (!server && settings.key_source == "none") {
    report.notes.push_back("no upload and download: no server is configured (--server URL)");
    return ok();
  }
  const Status done = measure_transfers(in, scratch, repetitions, report);
  if (done.ok()) {
    report.notes.push_back("upload and download against " + settings.url);
    return ok();
  }
  if (server) return done;
  report.notes.push_back("no upload and download: " + done.message());
  return ok();
}

// --- options --------------------------------------------------------------------------------

// The names were checked against the option's choices, so each of them parses.
std::vector<Scheme> schemes_of(const Invocation& in) {
  std::vector<Scheme> schemes;
  for (const std::string& name : in.list("scheme")) {
    schemes.push_back(*kvfile::parse_scheme(name));
  }
  if (!schemes.empty()) return schemes;
  return {Scheme::kInt8,  Scheme::kInt8c,   Scheme::kQ8,
          Scheme::kInt4c, Scheme::kFp8E4m3, Scheme::kFp8E5m2};
}

Result<BenchmarkReport> benchmark(const Invocation& in, Console& console) {
  kvfile::BenchmarkOptions options;
  options.path = in.text("file");
  options.repetitions = static_cast<uint64_t>(in.number("reps"));
  options.schemes = schemes_of(in);
  options.progress = [&](const std::string& what) { console.note("measuring " + what); };
  if (const auto path = in.optional_text("prefill-csv")) {
    const std::string csv = KVCS_TRY(kvfile::read_small_file(*path, kCsvBytesMax));
    Result<std::vector<kvfile::PrefillRow>> rows = kvfile::parse_prefill(csv);
    if (!rows.ok()) return std::move(rows).status().with_context(printable(*path));
    options.prefill = std::move(*rows);
  }
  const std::string output = in.text("output");
  // Opened now, so that an output that cannot be does not cost the whole run.
  std::unique_ptr<kvfile::AtomicFile> file;
  if (!output.empty()) {
    file = KVCS_TRY(
        kvfile::AtomicFile::create(output, {options.path, kvfile::sidecar_path(options.path)}));
  }
  KVCS_TRY(check_server(in));
  // The scratch folder lies beside the output by default, because the disk that is measured is then
  // the one that the user writes to.
  const auto scratch = KVCS_TRY(ScratchFolder::create(
      in.optional_text("scratch").value_or(folder_of(output.empty() ? options.path : output))));
  options.scratch = scratch->path();
  BenchmarkReport report = KVCS_TRY(kvfile::run_benchmark(options));
  KVCS_TRY(measure_server(in, scratch->path(), options.repetitions, report));
  kvfile::settle_limits(report);
  if (file != nullptr) {
    const std::string csv = kvfile::dump_benchmark(report);
    KVCS_TRY(file->write(0, csv.data(), csv.size()));
    KVCS_TRY(file->publish());
  }
  return report;
}

// --- printing -------------------------------------------------------------------------------

// Seconds, bytes and their rate; the names are those of the CSV where it has the figure.
Json timing_json(const kvfile::Timing& timing) {
  return Json{{"bytes", timing.bytes},
              {"repetitions", timing.repetitions},
              {"min_s", timing.min_s},
              {"median_s", timing.median_s},
              {"bytes_per_s", timing.bytes_per_s()}};
}

// JSON has no infinity; null is the SNR of equal values.
Json decibels_json(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

// `limit` names the limit of the machine that is reached first, and `limit_s` is the time that the
// run would take at it; an operation without a limit has neither.
Json operation_json(const kvfile::Operation& operation) {
  Json json{{"name", operation.name}, {"scheme", operation.scheme}};
  json.update(timing_json(operation.timing));
  if (!operation.limit.empty()) {
    json["limit"] = operation.limit;
    json["limit_s"] = operation.limit_s;
  }
  if (operation.memory_bytes > 0) json["memory_bytes"] = operation.memory_bytes;
  return json;
}

// The whole report: what the CSV has, and the notes.
Json report_json(const BenchmarkReport& report) {
  const auto facts = [](const std::vector<kvfile::Fact>& all) {
    Json json = Json::object();
    for (const kvfile::Fact& fact : all) json[fact.name] = fact.text;
    return json;
  };
  Json json{{"machine", facts(report.machine)}, {"artifact", facts(report.artifact)},
            {"limits", Json::object()},         {"operations", Json::array()},
            {"errors", Json::array()},          {"layers", Json::array()},
            {"reuse", Json::array()},           {"notes", report.notes}};
  for (const kvfile::Limit& limit : report.limits) {
    Json row = timing_json(limit.timing);
    row["bytes_per_s"] = limit.timing.best_bytes_per_s();
    json["limits"][limit.name] = std::move(row);
  }
  for (const kvfile::Operation& operation : report.operations) {
    json["operations"].push_back(operation_json(operation));
  }
  for (const kvfile::SchemeError& error : report.errors) {
    Json row{{"scheme", error.scheme},
             {"bytes", error.bytes},
             {"original_bytes", error.original_bytes},
             {"keys_snr_db", decibels_json(error.keys_snr_db)},
             {"values_snr_db", decibels_json(error.values_snr_db)}};
    if (error.attention_error) row["attention_error"] = *error.attention_error;
    if (!error.note.empty()) row["note"] = error.note;
    json["errors"].push_back(std::move(row));
  }
  for (const kvfile::LayerLoss& layer : report.layers) {
    json["layers"].push_back({{"scheme", layer.scheme},
                              {"layer", layer.layer},
                              {"keys_snr_db", decibels_json(layer.keys_snr_db)},
                              {"values_snr_db", decibels_json(layer.values_snr_db)}});
  }
  for (const kvfile::ReuseRow& reuse : report.reuse) {
    Json row{{"tokens", reuse.tokens},
             {"prefill_s", reuse.prefill_s},
             {"kv_attn_s", reuse.kv_attn_s},
             {"kv_mb", reuse.kv_mb}};
    if (reuse.prefill_gflops) row["prefill_gflops"] = *reuse.prefill_gflops;
    row["speedup_compute"] = reuse.speedup();
    if (reuse.scaled_from > 0) row["scaled_from"] = reuse.scaled_from;
    json["reuse"].push_back(std::move(row));
  }
  return json;
}

// Three digits: the runs differ in the third one.
std::string three_digits(double value) {
  return format_decimal(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}
std::string sized(double bytes) {
  static constexpr const char* kUnits[] = {" B", " KiB", " MiB", " GiB", " TiB"};
  size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < std::size(kUnits); unit++) bytes /= 1024;
  return three_digits(bytes) + kUnits[unit];
}
std::string timed(double seconds) {
  return seconds >= 9.995 ? three_digits(seconds) + " s" : three_digits(seconds * 1e3) + " ms";
}

// The scheme belongs to the name where the operation is done by schemes.
std::string name_of(const kvfile::Operation& operation) {
  const bool by_scheme = operation.name == "quantise" || operation.name == "dequantise";
  return by_scheme ? operation.name + " " + operation.scheme : operation.name;
}

// Limits and operations share one table, so that each figure stands below the limit that it is
// compared with. It fits 80 columns.
void print_report(const BenchmarkReport& report, Console& console) {
  std::vector<std::vector<std::string>> rows = {
      {"operation", "median", "best", "rate", "of its limit", "memory"}};
  for (const kvfile::Limit& limit : report.limits) {
    rows.push_back({limit.name, timed(limit.timing.median_s), timed(limit.timing.min_s),
                    sized(limit.timing.best_bytes_per_s()) + "/s", "", ""});
  }
  for (const kvfile::Operation& operation : report.operations) {
    const kvfile::Timing& timing = operation.timing;
    rows.push_back(
        {name_of(operation), timed(timing.median_s), timed(timing.min_s),
         sized(timing.bytes_per_s()) + "/s",
         operation.limit.empty() ? "-"
                                 : format_decimal(100 * operation.limit_s / timing.median_s, 0) +
                                       " % " + operation.limit,
         operation.memory_bytes == 0 ? "-" : sized(static_cast<double>(operation.memory_bytes))});
  }
  console.print_table(rows);
  if (!report.errors.empty()) {
    rows = {{"scheme", "size", "share", "keys SNR", "values SNR", "attention error"}};
    for (const kvfile::SchemeError& error : report.errors) {
      const double share =
          static_cast<double>(error.bytes) / static_cast<double>(error.original_bytes);
      rows.push_back({error.scheme, sized(static_cast<double>(error.bytes)),
                      format_decimal(share * 100, 1) + " %",
                      format_decimal(error.keys_snr_db, 2) + " dB",
                      format_decimal(error.values_snr_db, 2) + " dB",
                      error.attention_error ? format_decimal(*error.attention_error, 5) : "-"});
    }
    console.print("");
    console.print_table(rows);
    for (const kvfile::SchemeError& error : report.errors) {
      if (!error.note.empty()) console.note("note: " + error.scheme + ": " + error.note);
    }
  }
  for (const std::string& note : report.notes) console.note("note: " + printable(note, kShownText));
}

// With --quiet the name of the output alone.
int run_benchmark(const Invocation& in, Console& console) {
  const Result<BenchmarkReport> report = benchmark(in, console);
  if (!report.ok()) return console.fail(report.status());
  if (console.mode().json) {
    console.print_json(report_json(*report));
    return kExitOk;
  }
  if (!console.mode().quiet) print_report(*report, console);
  if (const auto output = in.optional_text("output")) console.print(printable(*output));
  return kExitOk;
}

std::vector<Option> benchmark_options() {
  return {{.name = "FILE", .help = "The .kv file.", .required = true},
          {.name = "--output", .help = "The CSV file to write.", .value_name = "B.csv"},
          {.name = "--reps",
           .kind = ValueKind::kNumber,
           .help = "Runs of each operation.",
           .value_name = "N",
           .fallback = "3",
           .min = 1,
           .max = 1000},
          {.name = "--scheme",
           .kind = ValueKind::kList,
           .help = "Schemes to quantise to; all six when none is named.",
           .choices = {"int8", "int8c", "q8_0", "int4c", "fp8_e4m3", "fp8_e5m2"}},
          {.name = "--prefill-csv",
           .help = "Your prefill timings: columns tokens and prefill_s. Adds kvcdn's columns.",
           .value_name = "P.csv"},
          {.name = "--no-server", .kind = ValueKind::kFlag, .help = "Do not ask any server."},
          {.name = "--scratch",
           .help = "A folder on the disk to measure; else that of the output.",
           .value_name = "DIR"}};
}

}  // namespace

std::vector<Command> benchmark_commands() {
  return {{.name = "benchmark",
           .summary = "Measure what a .kv file costs on this machine, beside the machine's limits.",
           .options = benchmark_options(),
           .examples = {{"kvcs benchmark context.kv --output bench.csv",
                         "Load, verify, quantise, slice; upload and download if a server is set."},
                        {"kvcs benchmark context.kv --scheme int8c --reps 5 --no-server --json",
                         "One scheme, for scripts."},
                        {"kvcs benchmark context.kv --prefill-csv prefill.csv --output reuse.csv",
                         "With your prefill times: what reuse saves."}},
           .run = run_benchmark,
           .details =
               "Times are medians; the limits are the best of at least five runs. load_cold asks "
               "the kernel to forget the file's pages first; "
               "caches below the kernel stay. Needs room for the artifact twice in the scratch "
               "folder. What is uploaded is deleted again. `kvcs plot` draws the file."}};
}

}  // namespace kvcs::cli
