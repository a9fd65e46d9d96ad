// Geometry and figures of .kv files as JSON. They stand in answers of commands and of the API, so
// that a member is written here or in neither.
#include "kvfile/tools/figures.h"

#include <nlohmann/json.hpp>

#include "kvfile/format/layout.h"

namespace kvcs::kvfile {

namespace {

Json common_json(uint64_t count) {
  return count == 0 ? Json(nullptr) : Json(count);
}

Json shape_json(const PartShape& shape) {
  if (!shape.exists()) return nullptr;
  return Json{{"scheme", std::string(scheme_name(shape.scheme))},
              {"kv_heads", shape.heads},
              {"tokens", shape.tokens},
              {"head_dim", shape.head_dim}};
}

// What a layer of a file whose layers differ has.
void add_shapes(const KvHeader& header, uint64_t layer, Json& row) {
  const LayerShape& shape = header.shapes[layer];
  row["key_shape"] = shape_json(shape.keys);
  row["value_shape"] = shape_json(shape.values);
  if (!shape.positions.empty()) row["positions"] = dump_ranges(shape.positions);
  for (const Tensor* const state : header.states(layer)) {
    row["states"].push_back({{"name", state->name},
                             {"dtype", std::string(dtype_name(state->dtype))},
                             {"shape", state->shape},
                             {"bytes", state->size_bytes()}});
  }
}

}  // namespace

Json geometry_json(const KvHeader& header) {
  return Json{{"scheme", std::string(scheme_name(header.scheme))},
              {"dtype", std::string(dtype_name(header.dtype))},
              {"storage_dtype", std::string(dtype_name(header.storage_dtype))},
              {"layers", header.layers},
              {"kv_heads", common_json(header.kv_heads)},
              {"tokens", header.tokens},
              {"head_dim", common_json(header.head_dim)},
              {"uniform", header.is_uniform},
              {"size_bytes", header.file_bytes}};
}

uint64_t part_bytes(const KvHeader& header, Part part, uint64_t layer) {
  uint64_t bytes = 0;
  const std::string name = (part == Part::kKeys ? "k_" : "v_") + std::to_string(layer);
  for (const char* suffix : {"", "_q", "_s", "_z", "_f"}) {
    if (const Tensor* const tensor = header.find(name + suffix)) bytes += tensor->size_bytes();
  }
  return bytes;
}

Json stats_json(const PartStats& stats) {
  const auto of_finite = [&](double figure) {
    return stats.has_finite() ? Json(figure) : Json(nullptr);
  };
  return Json{{"min", of_finite(stats.min)},
              {"max", of_finite(stats.max)},
              {"mean", of_finite(stats.mean)},
              {"rms", of_finite(stats.rms)},
              {"deviation", of_finite(stats.deviation)},
              {"zeros", stats.zeros},
              {"nonfinite", stats.nonfinite}};
}

Json layers_json(const KvHeader& header, const std::vector<LayerStats>& stats) {
  Json rows = Json::array();
  for (uint64_t layer = 0; layer < header.layers; layer++) {
    Json row{{"layer", layer},
             {"key_bytes", part_bytes(header, Part::kKeys, layer)},
             {"value_bytes", part_bytes(header, Part::kValues, layer)}};
    if (!header.is_uniform) add_shapes(header, layer, row);
    if (!stats.empty()) {
      const LayerStats& of = stats[layer];
      row["keys"] = of.keys.values == 0 ? Json(nullptr) : stats_json(of.keys);
      row["values"] = of.values.values == 0 ? Json(nullptr) : stats_json(of.values);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace kvcs::kvfile
