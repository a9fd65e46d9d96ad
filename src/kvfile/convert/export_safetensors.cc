// Exports to safetensors: the same tensors under the names of transformers or of mlx-lm, with what
// is recorded of them in the metadata.
#include <algorithm>

#include "base/bytes.h"
#include "kvfile/convert/export.h"
#include "kvfile/convert/safetensors_source.h"
#include "kvfile/format/finite.h"
#include "kvfile/format/tiles.h"

namespace kvcs::kvfile {
namespace {

// Of the header, which no reader takes beyond kHeaderBytesMax, and which JSON's escapes lengthen.
constexpr uint64_t kCarriedBytesMax = 2 << 20;

struct Form {
  std::string name;
  std::string (*tensor)(Part part, uint64_t layer);
  std::string facts;  // Before the keys of the facts.
};

std::string dynamic_name(Part part, uint64_t layer) {
  return (part == Part::kKeys ? "key_cache." : "value_cache.") + std::to_string(layer);
}
std::string mlx_name(Part part, uint64_t layer) {
  return std::to_string(layer) + (part == Part::kKeys ? ".0" : ".1");
}

std::string spaced(const std::vector<uint32_t>& ids) {
  std::string text;
  for (const uint32_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

// What the file and its sidecar record, as far as it fits. `left_out` names what does not.
Result<Metadata> carried_facts(const KvFile& file, const Form& form, std::string& left_out) {
  const std::optional<Sidecar> sidecar = KVCS_TRY(read_sidecar(file.path()));
  Metadata facts;
  for (const auto& [key, value] : file.header().metadata) {
    if (is_carried_fact(key)) set_metadata(facts, form.facts + key, value);
  }
  if (sidecar && sidecar->model_name != "unknown") {
    set_metadata(facts, form.facts + "kvcs.model", sidecar->model_name);
  }
  const std::string* const prompt = recorded_prompt(file.header(), sidecar);
  const std::vector<uint32_t> ids = KVCS_TRY(recorded_tokens(file, sidecar));
  const std::pair<std::string_view, std::string> large[] = {
      {"kvcs.prompt", prompt == nullptr ? "" : *prompt}, {kCarriedTokens, spaced(ids)}};
  for (const auto& [key, value] : large) {
    if (value.empty()) continue;
    if (value.size() <= kCarriedBytesMax) {
      set_metadata(facts, form.facts + std::string(key), value);
    } else {
      left_out += std::string(", without ") + (key == kCarriedTokens ? "token ids" : "the text") +
                  " of " + format_bytes(value.size());
    }
  }
  return facts;
}

// Every tensor in the value dtype, ordered by name.
KvHeader exported_header(const KvHeader& from, const Form& form, Metadata metadata) {
  KvHeader header;
  header.metadata = std::move(metadata);
  const uint64_t size = from.kv_heads * from.tokens * from.head_dim * dtype_bytes(from.dtype);
  for (uint64_t layer = 0; layer < from.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      header.tensors.push_back({form.tensor(part, layer),
                                from.dtype,
                                {1, from.kv_heads, from.tokens, from.head_dim},
                                0,
                                0});
    }
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  uint64_t offset = 0;
  for (Tensor& tensor : header.tensors) {
    tensor.begin = offset;
    tensor.end = offset += size;
  }
  header.index_tensors();
  return header;
}

Status write_values(const KvFile& file, const KvHeader& header, const Form& form,
                    uint64_t head_bytes, AtomicFile& out) {
  TileReader reader = KVCS_TRY(TileReader::create(file));
  const KvHeader& from = file.header();
  std::vector<float> x;
  std::vector<char> raw;
  const uint64_t row_bytes = from.head_dim * dtype_bytes(from.dtype);
  for (uint64_t layer = 0; layer < from.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      const Tensor& to = *header.find(form.tensor(part, layer));
      for (const Tile& tile : tiles_of(geometry_of(from), part, layer)) {
        x.resize(tile.rows * from.head_dim);
        KVCS_TRY(reader.read(tile, x.data()));
        KVCS_TRY(encode_exported(from, part, layer, x, raw));
        const uint64_t start = (tile.head * from.tokens + tile.first) * row_bytes;
        KVCS_TRY(out.write(head_bytes + to.begin + start, raw.data(), raw.size()));
      }
    }
  }
  return ok();
}

Result<ExportReport> export_tensors(const ExportOptions& options, const Form& form,
                                    Metadata (*frame)(const KvHeader& from)) {
  const auto file = KVCS_TRY(KvFile::open(options.input));
  KVCS_TRY(check_exportable(file->header()));
  const KvHeader& from = file->header();
  std::string left_out;
  Metadata metadata = frame(from);
  for (auto& [key, value] : KVCS_TRY(carried_facts(*file, form, left_out))) {
    metadata.emplace_back(key, value);
  }
  const KvHeader header = exported_header(from, form, std::move(metadata));
  const std::string head = dump_header(header);
  auto out = KVCS_TRY(AtomicFile::create(options.output, {options.input}));
  const uint64_t size_bytes = head.size() + header.tensors.back().end;
  KVCS_TRY(out->reserve(size_bytes));
  KVCS_TRY(out->write(0, head.data(), head.size()));
  KVCS_TRY(write_values(*file, header, form, head.size(), *out));
  KVCS_TRY(file->check_unchanged());
  KVCS_TRY(out->publish());
  return ExportReport{size_bytes,
                      form.name + ", " + std::string(dtype_name(from.dtype)) + left_out};
}

}  // namespace

Status encode_exported(const KvHeader& from, Part part, uint64_t layer, const std::vector<float>& x,
                       std::vector<char>& raw) {
  raw.resize(x.size() * dtype_bytes(from.dtype));
  kernels().encode(from.dtype, x.data(), raw.data(), x.size());
  if (from.scheme == Scheme::kPlain) return ok();
  const uint64_t bad = count_nonfinite(from.dtype, raw.data(), raw.size());
  if (bad == 0) return ok();
  return invalid("tensor \"" + tensor_name(part, layer) + "\": " + std::to_string(bad) +
                 " values are out of the range of " + std::string(dtype_name(from.dtype)) +
                 "; export what `kvcs dequant --dtype F32` makes of the file");
}

Result<ExportReport> export_safetensors(const ExportOptions& options) {
  // "format": "pt" is what transformers' loader asks for.
  return export_tensors(options, {"key_cache.N and value_cache.N", dynamic_name, ""},
                        [](const KvHeader&) -> Metadata {
                          return {{"format", "pt"}};
                        });
}

Result<ExportReport> export_mlx(const ExportOptions& options) {
  // Of each layer its state, which KVCache has none of, and its class.
  return export_tensors(options, {"prompt cache of mlx-lm", mlx_name, "1."},
                        [](const KvHeader& from) -> Metadata {
                          Metadata metadata{{"1.kvcs.version", "1"}};
                          if (const auto* const model = from.metadata_value("kvcs.model")) {
                            metadata.emplace_back("1.model", *model);
                          }
                          for (uint64_t layer = 0; layer < from.layers; layer++) {
                            metadata.emplace_back("0." + std::to_string(layer), "");
                            metadata.emplace_back("2." + std::to_string(layer), "KVCache");
                          }
                          return metadata;
                        });
}

}  // namespace kvcs::kvfile
