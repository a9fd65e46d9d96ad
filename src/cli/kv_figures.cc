// Error figures of .kv files as JSON members and table rows, the same for every
// command that shows them.
#include "cli/kv_figures.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>

#include "base/decimal.h"

namespace kvcs::cli {
namespace {

using kvfile::PartError;

Json part_json(const PartError& part) {
  Json json{{"values", part.values}, {"max_abs_error", part.error_max}, {"mse", part.mse}};
  // Equal values have an infinite SNR, and JSON has no infinity; null stands for it.
  json["snr_db"] = std::isfinite(part.snr_db) ? Json(part.snr_db) : Json(nullptr);
  json["cosine_mean"] = part.cosine_mean;
  json["cosine_min"] = part.cosine_min;
  return json;
}

// One row of the table; `attention` is empty for keys, because attention error is a figure of keys
// and values together and is shown with the values.
std::vector<std::string> part_row(const std::string& name, const PartError& part,
                                  const std::optional<double>& attention) {
  char mse[32];
  std::snprintf(mse, sizeof mse, "%.3e", part.mse);
  return {name,
          format_decimal(part.error_max, 5),
          mse,
          format_decimal(part.snr_db, 2),
          format_decimal(part.cosine_mean, 6),
          format_decimal(part.cosine_min, 6),
          attention ? format_decimal(*attention, 4) : "-"};
}

}  // namespace

Json compare_json(const kvfile::CompareReport& report) {
  Json json{{"keys", part_json(report.keys)}, {"values", part_json(report.values)}};
  json["snr_min_db"] = std::isfinite(report.snr_min_db) ? Json(report.snr_min_db) : Json(nullptr);
  if (report.attention_error_mean) {
    json["attention_error_mean"] = *report.attention_error_mean;
    json["attention_error_max"] = *report.attention_error_max;
  }
  json["layers"] = Json::array();
  for (const kvfile::LayerError& layer : report.layers) {
    Json row{{"keys", part_json(layer.keys)}, {"values", part_json(layer.values)}};
    if (layer.attention_error) row["attention_error"] = *layer.attention_error;
    json["layers"].push_back(std::move(row));
  }
  return json;
}

void print_compare(const kvfile::CompareReport& report, bool each_layer, Console& console) {
  std::vector<std::vector<std::string>> rows = {
      {"part", "max error", "mse", "SNR dB", "cosine", "min cosine", "attention"}};
  if (each_layer) {
    for (size_t i = 0; i < report.layers.size(); i++) {
      const kvfile::LayerError& layer = report.layers[i];
      if (layer.keys.values > 0) {
        rows.push_back(part_row("k_" + std::to_string(i), layer.keys, std::nullopt));
      }
      if (layer.values.values > 0) {
        rows.push_back(part_row("v_" + std::to_string(i), layer.values, layer.attention_error));
      }
    }
  }
  rows.push_back(part_row("keys", report.keys, std::nullopt));
  rows.push_back(part_row("values", report.values, report.attention_error_mean));
  console.print_table(rows);
}

}  // namespace kvcs::cli
