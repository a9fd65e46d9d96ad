// Writes and reads the file of a benchmark: CSV as RFC 4180 has it, one table for all kinds of
// rows, so that a spreadsheet opens it as it is.
#include "kvfile/tools/benchmark_csv.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/bytes.h"
#include "base/decimal.h"

namespace kvcs::kvfile {
namespace {

constexpr std::array kColumns = {
    "section",        "name",        "scheme",        "text",           "bytes",   "repetitions",
    "min_s",          "median_s",    "bytes_per_s",   "limit",          "limit_s", "memory_bytes",
    "original_bytes", "keys_snr_db", "values_snr_db", "attention_error"};
// The columns of kvcdn's own file, in its order; they are written only when there are such rows.
constexpr std::array kReuseColumns = {"tokens", "prefill_s",      "kv_attn_s",
                                      "kv_mb",  "prefill_gflops", "speedup_compute"};
constexpr size_t kRowsMax = 100'000;

using Cells = std::map<std::string, std::string, std::less<>>;

// A cell with a quote, comma or line break is quoted, and a quote in it is doubled.
void append_cell(std::string& out, std::string_view text) {
  const bool quote = text.find_first_of("\",\r\n") != std::string_view::npos;
  if (quote) out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  if (quote) out += '"';
}

class Writer {
 public:
  explicit Writer(bool reuse) {
    columns_.assign(kColumns.begin(), kColumns.end());
    if (reuse) columns_.insert(columns_.end(), kReuseColumns.begin(), kReuseColumns.end());
    for (const char* column : columns_) {
      if (!text_.empty()) text_ += ',';
      text_ += column;
    }
    text_ += '\n';
  }
  void row(const Cells& cells) {
    for (size_t i = 0; i < columns_.size(); i++) {
      if (i > 0) text_ += ',';
      const auto cell = cells.find(columns_[i]);
      if (cell != cells.end()) append_cell(text_, cell->second);
    }
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  std::vector<const char*> columns_;
  std::string text_;
};

void add_timing(Cells& cells, const Timing& timing) {
  cells["bytes"] = std::to_string(timing.bytes);
  cells["repetitions"] = std::to_string(timing.repetitions);
  cells["min_s"] = format_decimal(timing.min_s, 7);
  cells["median_s"] = format_decimal(timing.median_s, 7);
  cells["bytes_per_s"] = format_decimal(timing.bytes_per_s(), 0);
}

// With as many digits as kvcdn writes, so that its tools read the file.
Cells reuse_cells(const ReuseRow& row) {
  Cells cells{{"section", "reuse"},
              {"tokens", std::to_string(row.tokens)},
              {"prefill_s", format_decimal(row.prefill_s, 4)},
              {"kv_attn_s", format_decimal(row.kv_attn_s, 5)},
              {"kv_mb", format_decimal(row.kv_mb, 2)},
              {"speedup_compute", format_decimal(row.speedup(), 2)}};
  if (row.scaled_from > 0) cells["text"] = "scaled from " + std::to_string(row.scaled_from);
  if (row.prefill_gflops) cells["prefill_gflops"] = format_decimal(*row.prefill_gflops, 1);
  return cells;
}

// A table with a heading; cells are asked for by the name of their column.
class Table {
 public:
  static Result<Table> parse(std::string_view csv) {
    Table table;
    size_t line = 1;
    for (size_t at = csv.starts_with("\xef\xbb\xbf") ? 3 : 0; at < csv.size();) {
      const size_t row_line = line;
      std::vector<std::string> cells = KVCS_TRY(parse_row(csv, at, line));
      if (cells.size() == 1 && trim(cells[0]).empty()) continue;
      if (table.columns_.empty()) {
        for (std::string& cell : cells) table.columns_.emplace_back(trim(cell));
        continue;
      }
      if (cells.size() != table.columns_.size()) {
        return invalid("line " + std::to_string(row_line) + ": " + std::to_string(cells.size()) +
                       " cells under " + std::to_string(table.columns_.size()) + " columns");
      }
      if (table.rows_.size() == kRowsMax) {
        return invalid("more than " + std::to_string(kRowsMax) + " rows");
      }
      table.rows_.push_back({row_line, std::move(cells)});
    }
    if (table.columns_.empty()) return invalid("the file is empty; a heading was expected");
    return table;
  }

  bool has(std::string_view column) const { return index_of(column) < columns_.size(); }
  size_t rows() const { return rows_.size(); }

  Result<std::string> text(size_t row, std::string_view column) const {
    const size_t index = index_of(column);
    if (index == columns_.size()) {
      return invalid("column '" + std::string(column) + "' is missing");
    }
    return std::string(trim(rows_[row].cells[index]));
  }
  // A number that is not below zero, or any number of decibels.
  Result<double> number(size_t row, std::string_view column) const {
    const std::string cell = KVCS_TRY(text(row, column));
    const std::string what = "line " + std::to_string(rows_[row].line) + ", " + std::string(column);
    const bool decibel = column.ends_with("_db");
    if (decibel && cell == "inf") return HUGE_VAL;
    if (decibel && cell == "-inf") return -HUGE_VAL;
    const double value = KVCS_TRY(parse_decimal(cell, what));
    if (value < 0 && !decibel) return invalid(what + ": " + cell + " is below zero");
    return value;
  }
  Result<std::optional<double>> optional_number(size_t row, std::string_view column) const {
    if (!has(column) || KVCS_TRY(text(row, column)).empty()) return std::optional<double>();
    return std::optional<double>(KVCS_TRY(number(row, column)));
  }
  Result<double> positive(size_t row, std::string_view column) const {
    const double value = KVCS_TRY(number(row, column));
    if (value > 0) return value;
    return invalid("line " + std::to_string(rows_[row].line) + ", " + std::string(column) +
                   ": it must be above zero");
  }
  Result<uint64_t> whole(size_t row, std::string_view column) const {
    return parse_u64(KVCS_TRY(text(row, column)),
                     "line " + std::to_string(rows_[row].line) + ", " + std::string(column));
  }

 private:
  struct Row {
    size_t line;
    std::vector<std::string> cells;
  };

  // One line's cells, from `at` on; quoted cells may hold commas and line ends.
  static Result<std::vector<std::string>> parse_row(std::string_view csv, size_t& at,
                                                    size_t& line) {
    std::vector<std::string> cells(1);
    for (bool quoted = false; at < csv.size(); at++) {
      const char c = csv[at];
      if (c == '\n') line++;
      if (quoted && c == '"' && at + 1 < csv.size() && csv[at + 1] == '"') {
        cells.back() += csv[at++];
      } else if (c == '"') {
        quoted = !quoted;
      } else if (!quoted && c == ',') {
        cells.emplace_back();
      } else if (!quoted && c == '\n') {
        at++;
        return cells;
      } else {
        cells.back() += c;
      }
      if (at + 1 == csv.size() && quoted) {
        return invalid("line " + std::to_string(line) + ": a quote without its end");
      }
    }
    return cells;
  }
  size_t index_of(std::string_view column) const {
    return static_cast<size_t>(std::find(columns_.begin(), columns_.end(), column) -
                               columns_.begin());
  }

  std::vector<std::string> columns_;
  std::vector<Row> rows_;
};

Result<Timing> read_timing(const Table& table, size_t row) {
  Timing timing;
  timing.bytes = KVCS_TRY(table.whole(row, "bytes"));
  timing.repetitions = KVCS_TRY(table.whole(row, "repetitions"));
  timing.min_s = KVCS_TRY(table.number(row, "min_s"));
  timing.median_s = KVCS_TRY(table.positive(row, "median_s"));
  return timing;
}

Result<Operation> read_operation(const Table& table, size_t row) {
  Operation operation;
  operation.name = KVCS_TRY(table.text(row, "name"));
  operation.scheme = KVCS_TRY(table.text(row, "scheme"));
  operation.timing = KVCS_TRY(read_timing(table, row));
  operation.limit = KVCS_TRY(table.text(row, "limit"));
  operation.limit_s = KVCS_TRY(table.optional_number(row, "limit_s")).value_or(0);
  operation.memory_bytes =
      static_cast<uint64_t>(KVCS_TRY(table.optional_number(row, "memory_bytes")).value_or(0));
  return operation;
}

Result<SchemeError> read_error(const Table& table, size_t row) {
  SchemeError error;
  error.scheme = KVCS_TRY(table.text(row, "scheme"));
  error.bytes = KVCS_TRY(table.whole(row, "bytes"));
  error.original_bytes = static_cast<uint64_t>(KVCS_TRY(table.positive(row, "original_bytes")));
  error.keys_snr_db = KVCS_TRY(table.number(row, "keys_snr_db"));
  error.values_snr_db = KVCS_TRY(table.number(row, "values_snr_db"));
  error.attention_error = KVCS_TRY(table.optional_number(row, "attention_error"));
  error.note = KVCS_TRY(table.text(row, "text"));
  return error;
}

Result<LayerLoss> read_layer(const Table& table, size_t row) {
  LayerLoss layer;
  layer.scheme = KVCS_TRY(table.text(row, "scheme"));
  const std::string number = KVCS_TRY(table.text(row, "name"));
  layer.layer = KVCS_TRY(parse_u64(number, "name"));
  layer.keys_snr_db = KVCS_TRY(table.number(row, "keys_snr_db"));
  layer.values_snr_db = KVCS_TRY(table.number(row, "values_snr_db"));
  return layer;
}

Result<ReuseRow> read_reuse(const Table& table, size_t row) {
  ReuseRow reuse;
  reuse.tokens = KVCS_TRY(table.whole(row, "tokens"));
  reuse.prefill_s = KVCS_TRY(table.positive(row, "prefill_s"));
  reuse.kv_attn_s = KVCS_TRY(table.positive(row, "kv_attn_s"));
  reuse.kv_mb = KVCS_TRY(table.optional_number(row, "kv_mb")).value_or(0);
  reuse.prefill_gflops = KVCS_TRY(table.optional_number(row, "prefill_gflops"));
  if (table.has("text")) {
    const std::string text = KVCS_TRY(table.text(row, "text"));
    const std::string_view words = "scaled from ";
    if (text.starts_with(words)) {
      reuse.scaled_from = KVCS_TRY(parse_u64(text.substr(words.size()), "text"));
    }
  }
  return reuse;
}

Status read_row(const Table& table, size_t row, BenchmarkReport& report) {
  const std::string section = KVCS_TRY(table.text(row, "section"));
  if (section == "machine" || section == "artifact") {
    Fact fact{KVCS_TRY(table.text(row, "name")), KVCS_TRY(table.text(row, "text"))};
    (section == "machine" ? report.machine : report.artifact).push_back(std::move(fact));
  } else if (section == "limit") {
    report.limits.push_back({KVCS_TRY(table.text(row, "name")), KVCS_TRY(read_timing(table, row))});
  } else if (section == "operation") {
    report.operations.push_back(KVCS_TRY(read_operation(table, row)));
  } else if (section == "error") {
    report.errors.push_back(KVCS_TRY(read_error(table, row)));
  } else if (section == "layer") {
    report.layers.push_back(KVCS_TRY(read_layer(table, row)));
  } else if (section == "reuse") {
    report.reuse.push_back(KVCS_TRY(read_reuse(table, row)));
  } else if (section == "note") {
    report.notes.push_back(KVCS_TRY(table.text(row, "text")));
  } else {
    return invalid("section '" + printable(section, kShownWord) + "' is not known");
  }
  return ok();
}

}  // namespace

std::string dump_benchmark(const BenchmarkReport& report) {
  Writer writer(!report.reuse.empty());
  const auto facts = [&](const char* section, const std::vector<Fact>& all) {
    for (const Fact& fact : all) {
      writer.row({{"section", section}, {"name", fact.name}, {"text", fact.text}});
    }
  };
  facts("machine", report.machine);
  facts("artifact", report.artifact);
  for (const Limit& limit : report.limits) {
    Cells cells{{"section", "limit"}, {"name", limit.name}};
    add_timing(cells, limit.timing);
    cells["bytes_per_s"] = format_decimal(limit.timing.best_bytes_per_s(), 0);
    writer.row(cells);
  }
  for (const Operation& operation : report.operations) {
    Cells cells{{"section", "operation"},
                {"name", operation.name},
                {"scheme", operation.scheme},
                {"limit", operation.limit}};
    add_timing(cells, operation.timing);
    if (!operation.limit.empty()) cells["limit_s"] = format_decimal(operation.limit_s, 9);
    if (operation.memory_bytes > 0) cells["memory_bytes"] = std::to_string(operation.memory_bytes);
    writer.row(cells);
  }
  for (const SchemeError& error : report.errors) {
    Cells cells{{"section", "error"},
                {"scheme", error.scheme},
                {"bytes", std::to_string(error.bytes)},
                {"original_bytes", std::to_string(error.original_bytes)},
                {"keys_snr_db", format_decimal(error.keys_snr_db, 3)},
                {"values_snr_db", format_decimal(error.values_snr_db, 3)}};
    if (error.attention_error) cells["attention_error"] = format_decimal(*error.attention_error, 8);
    if (!error.note.empty()) cells["text"] = error.note;
    writer.row(cells);
  }
  for (const LayerLoss& layer : report.layers) {
    writer.row({{"section", "layer"},
                {"name", std::to_string(layer.layer)},
                {"scheme", layer.scheme},
                {"keys_snr_db", format_decimal(layer.keys_snr_db, 3)},
                {"values_snr_db", format_decimal(layer.values_snr_db, 3)}});
  }
  for (const ReuseRow& row : report.reuse) writer.row(reuse_cells(row));
  for (const std::string& note : report.notes) writer.row({{"section", "note"}, {"text", note}});
  return writer.take();
}

Result<BenchmarkReport> parse_benchmark(std::string_view csv) {
  const Table table = KVCS_TRY(Table::parse(csv));
  BenchmarkReport report;
  const bool own = table.has("section");
  if (!own && (!table.has("prefill_s") || !table.has("kv_attn_s"))) {
    return invalid(
        "this is no file of `kvcs benchmark`, and not kvcdn's either: it has neither the column "
        "'section' nor 'prefill_s' and 'kv_attn_s'");
  }
  for (size_t row = 0; row < table.rows(); row++) {
    if (own) {
      KVCS_TRY(read_row(table, row, report));
    } else {
      report.reuse.push_back(KVCS_TRY(read_reuse(table, row)));
    }
  }
  return report;
}

Result<std::vector<PrefillRow>> parse_prefill(std::string_view csv) {
  const Table table = KVCS_TRY(Table::parse(csv));
  std::vector<PrefillRow> rows;
  for (const char* column : {"tokens", "prefill_s"}) {
    if (!table.has(column)) return invalid("column '" + std::string(column) + "' is missing");
  }
  if (table.rows() == 0) return invalid("no rows below the heading");
  for (size_t row = 0; row < table.rows(); row++) {
    PrefillRow prefill;
    prefill.tokens = static_cast<uint64_t>(KVCS_TRY(table.positive(row, "tokens")));
    prefill.prefill_s = KVCS_TRY(table.positive(row, "prefill_s"));
    prefill.prefill_gflops = KVCS_TRY(table.optional_number(row, "prefill_gflops"));
    rows.push_back(prefill);
  }
  return rows;
}

}  // namespace kvcs::kvfile
