// `kvcs inspect`: what a .kv file and its sidecar say, without a verdict; the header alone is read
// unless --stats asks for the data.
#include <nlohmann/json.hpp>

#include <cmath>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/decimal.h"
#include "cli/commands.h"
#include "cli/kv_figures.h"
#include "kvfile/kvfile.h"
#include "kvfile/tools/stats.h"

namespace kvcs::cli {
namespace {

// A prompt or a list of ids in the metadata may be long; --json has all of it.
constexpr size_t kMetadataShownBytes = 200;

// `stats` is empty without --stats; then rows have sizes alone.
Json inspect_json(const kvfile::KvFile& file, const std::optional<kvfile::Sidecar>& sidecar,
                  const std::vector<kvfile::LayerStats>& stats) {
  const kvfile::KvHeader& header = file.header();
  Json json{{"path", file.path()}};
  json.update(geometry_json(header));
  json["quantized"] = header.quantized();
  json["header_bytes"] = header.data_start;
  json["tensors"] = header.tensors.size();
  json["metadata"] = Json::object();
  for (const auto& [key, value] : header.metadata) json["metadata"][key] = value;
  if (sidecar) {
    json["model"] = sidecar->model_name;
    json["prompt_bytes"] = sidecar->prompt ? Json(sidecar->prompt->size()) : Json(nullptr);
    json["token_ids"] = sidecar->tokens ? Json(sidecar->tokens->size()) : Json(nullptr);
  }
  json["per_layer"] = layers_json(header, stats);
  return json;
}

// One row of the table of --stats.
std::vector<std::string> stats_row(const std::string& name, uint64_t bytes,
                                   const kvfile::PartStats& stats) {
  const auto of_finite = [&](double figure, int digits) {
    return stats.has_finite() ? format_decimal(figure, digits) : std::string("none");
  };
  return {name,
          format_bytes(bytes),
          of_finite(stats.min, 4),
          of_finite(stats.max, 4),
          of_finite(stats.mean, 5),
          of_finite(stats.deviation, 5),
          std::to_string(stats.zeros),
          std::to_string(stats.nonfinite)};
}

// A number of all layers, keys and values.
std::string common_text(uint64_t count) {
  return count == 0 ? "differ" : std::to_string(count);
}

std::string part_text(const kvfile::PartShape& part) {
  return std::to_string(part.heads) + " × " + std::to_string(part.head_dim);
}

// What one layer holds, in one line.
std::string layer_text(const kvfile::KvHeader& header, uint64_t layer) {
  const kvfile::LayerShape& shape = header.shapes[layer];
  std::string text;
  if (shape.keys.exists()) {
    text = "keys " + part_text(shape.keys);
    text += shape.values.exists() ? ", values " + part_text(shape.values) : ", no values";
  }
  if (!shape.positions.empty()) {
    text += ", a window of " + counted(shape.keys.tokens, "token") + ": " +
            printable(kvfile::dump_ranges(shape.positions), kShownText);
  }
  uint64_t state_bytes = 0;
  for (const kvfile::Tensor* const state : header.states(layer)) {
    state_bytes += state->size_bytes();
  }
  if (state_bytes > 0) {
    text += (text.empty() ? "" : ", ") + ("a state of " + format_bytes(state_bytes));
  }
  return text.empty() ? "nothing" : text;
}

// Neighbours that hold the same share a line.
void add_layers(const kvfile::KvHeader& header,
                std::vector<std::pair<std::string, std::string>>& fields) {
  for (uint64_t first = 0; first < header.layers;) {
    const std::string text = layer_text(header, first);
    uint64_t end = first + 1;
    while (end < header.layers && layer_text(header, end) == text) end++;
    fields.emplace_back("layer " + kvfile::dump_ranges({{first, end}}), text);
    first = end;
  }
}

void print_inspect(const kvfile::KvFile& file, const std::optional<kvfile::Sidecar>& sidecar,
                   const std::vector<kvfile::LayerStats>& stats, Console& console) {
  const kvfile::KvHeader& header = file.header();
  // The data without the header: what one more token costs.
  const double per_token = static_cast<double>(header.file_bytes - header.data_start) /
                           static_cast<double>(header.tokens);
  std::vector<std::pair<std::string, std::string>> fields = {
      {"file", printable(file.path())},
      {"size",
       format_bytes(header.file_bytes) + " (" + format_decimal(per_token, 0) + " B per token)"},
      {"scheme", std::string(scheme_name(header.scheme)) + ", stored as " +
                     std::string(dtype_name(header.storage_dtype)) + ", values " +
                     std::string(dtype_name(header.dtype))},
      {"layers", std::to_string(header.layers)},
      {"heads", common_text(header.kv_heads)},
      {"tokens", std::to_string(header.tokens)},
      {"head_dim", common_text(header.head_dim)}};
  if (header.is_uniform) {
    // All layers are equally large, so the first stands for them.
    fields.emplace_back("per layer",
                        format_bytes(part_bytes(header, kvfile::Part::kKeys, 0)) + " keys, " +
                            format_bytes(part_bytes(header, kvfile::Part::kValues, 0)) + " values");
  } else {
    add_layers(header, fields);
  }
  if (sidecar) {
    fields.emplace_back("model", printable(sidecar->model_name, kShownValue));
    fields.emplace_back(
        "context",
        (sidecar->prompt ? format_bytes(sidecar->prompt->size()) + " text"
                         : std::string("no text")) +
            ", " + (sidecar->tokens ? std::to_string(sidecar->tokens->size()) : std::string("no")) +
            " token ids");
  }
  for (const auto& [key, value] : header.metadata) {
    fields.emplace_back(printable(key, kShownName), printable(value, kMetadataShownBytes));
  }
  console.print_fields(fields);
  if (stats.empty()) return;
  std::vector<std::vector<std::string>> rows = {
      {"part", "size", "min", "max", "mean", "deviation", "zeros", "not finite"}};
  for (uint64_t i = 0; i < header.layers; i++) {
    for (const kvfile::Part part : {kvfile::Part::kKeys, kvfile::Part::kValues}) {
      if (!header.shape(part, i).exists()) continue;
      rows.push_back(stats_row(kvfile::tensor_name(part, i), part_bytes(header, part, i),
                               part == kvfile::Part::kKeys ? stats[i].keys : stats[i].values));
    }
  }
  console.print("");
  console.print_table(rows);
}

int run_inspect(const Invocation& in, Console& console) {
  const auto file = kvfile::KvFile::open(in.text("file"));
  if (!file.ok()) return console.fail(file.status());
  // A bad sidecar does not hide the file; `verify` judges it.
  std::optional<kvfile::Sidecar> sidecar;
  auto read = kvfile::read_sidecar(in.text("file"));
  if (read.ok()) {
    sidecar = std::move(*read);
  } else {
    console.note("The sidecar cannot be used: " + printable(read.status().message(), kShownText));
  }
  std::vector<kvfile::LayerStats> stats;
  if (in.flag("stats")) {
    auto found = kvfile::layer_stats(**file);
    if (!found.ok()) return console.fail(found.status());
    stats = std::move(*found);
  }
  if (console.mode().json) {
    console.print_json(inspect_json(**file, sidecar, stats));
  } else {
    print_inspect(**file, sidecar, stats, console);
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> inspect_commands() {
  return {{.name = "inspect",
           .summary = "Show what a .kv file holds; reads only its header.",
           .options = {{.name = "FILE", .help = "The .kv file.", .required = true},
                       {.name = "--stats",
                        .kind = ValueKind::kFlag,
                        .help = "Read the data too: range, mean and deviation of every layer."}},
           .examples = {{"kvcs inspect context.kv", "Geometry, scheme, metadata."},
                        {"kvcs inspect context.kv --stats --json", ""}},
           .run = run_inspect}};
}

}  // namespace kvcs::cli
