// The sidecar <file>.json as kvcdn writes it: reads, writes, and compares it with the header. Where
// the two differ the header is right.
#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/json.h"
#include "kvfile/format/json_scanner.h"
#include "kvfile/format/token_ids.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kSidecarDepthMax = 16;  // Unknown members may nest a little.

// False when the member is not one of the sidecar's.
Result<bool> parse_member(JsonScanner& scanner, std::string_view name, Sidecar& sidecar) {
  if (name == "model_name") {
    sidecar.model_name = KVCS_TRY(scanner.string());
  } else if (name == "num_layers") {
    sidecar.num_layers = KVCS_TRY(scanner.integer());
  } else if (name == "num_tokens") {
    sidecar.num_tokens = KVCS_TRY(scanner.integer());
  } else if (name == "dtype") {
    sidecar.dtype = KVCS_TRY(scanner.string());
  } else if (name == "nbytes") {
    sidecar.nbytes = KVCS_TRY(scanner.integer());
  } else if (name == "quantized") {
    sidecar.quantized = KVCS_TRY(scanner.boolean());
  } else if (name == "storage_dtype") {
    if (!scanner.skip_null()) sidecar.storage_dtype = KVCS_TRY(scanner.string());
  } else if (name == "prompt") {
    if (!scanner.skip_null()) sidecar.prompt = KVCS_TRY(scanner.string());
  } else if (name == "tokens") {
    if (!scanner.skip_null()) sidecar.tokens = KVCS_TRY(scan_token_ids(scanner));
  } else {
    return false;
  }
  return true;
}

Status differs(std::string_view member, std::string_view sidecar, std::string_view header) {
  return invalid("sidecar: " + std::string(member) + " says " + printable(sidecar, kShownName) +
                 ", the file has " + std::string(header));
}

// kvcdn writes "FP8" and the like for what it casts to when it loads; the names need not match
// those of the container.
Status check_dtypes(const Sidecar& sidecar, const KvHeader& header) {
  const std::string storage(dtype_name(header.storage_dtype));
  if (sidecar.storage_dtype && *sidecar.storage_dtype != storage &&
      !(storage.starts_with("F8_") && sidecar.storage_dtype->starts_with("F8"))) {
    return differs("storage_dtype", *sidecar.storage_dtype, storage);
  }
  if (header.quantized()) {
    // The dtype of a quantised file is the reader's wish, so any known one is right.
    static constexpr std::array<std::string_view, 8> kTargets = {"F32", "F16",    "BF16", "FP8",
                                                                 "F8",  "F8E4M3", "I8",   "U8"};
    const bool known =
        std::find(kTargets.begin(), kTargets.end(), sidecar.dtype) != kTargets.end() ||
        sidecar.dtype.starts_with("F8");
    return known ? ok() : differs("dtype", sidecar.dtype, "F16, BF16, F32, FP8 or I8");
  }
  if (header.scheme != Scheme::kPlain && sidecar.dtype.starts_with("F8")) return ok();
  if (sidecar.dtype != dtype_name(header.dtype)) {
    return differs("dtype", sidecar.dtype, dtype_name(header.dtype));
  }
  return ok();
}

}  // namespace

std::string sidecar_path(const std::string& kv_path) {
  return kv_path + ".json";
}

Result<Sidecar> parse_sidecar(std::string_view json) {
  static constexpr std::array<std::string_view, 6> kRequired = {
      "model_name", "num_layers", "num_tokens", "dtype", "nbytes", "quantized"};
  JsonScanner scanner(json, kSidecarDepthMax, "sidecar");
  KVCS_TRY(scanner.check_utf8());
  Sidecar sidecar;
  std::array<bool, kRequired.size()> seen{};
  KVCS_TRY(scanner.begin_object());
  std::string name;
  while (KVCS_TRY(scanner.next_member(name))) {
    if (!KVCS_TRY(parse_member(scanner, name, sidecar))) KVCS_TRY(scanner.skip_value());
    const auto it = std::find(kRequired.begin(), kRequired.end(), name);
    if (it != kRequired.end()) seen[static_cast<size_t>(it - kRequired.begin())] = true;
  }
  KVCS_TRY(scanner.finish(" \t\r\n"));
  for (size_t i = 0; i < kRequired.size(); i++) {
    if (!seen[i]) return invalid("sidecar: " + std::string(kRequired[i]) + " is missing");
  }
  return sidecar;
}

// Byte for byte what serde_json prints for kvcdn: two spaces, its order of members, null for a
// storage dtype that is not known.
std::string dump_sidecar(const Sidecar& sidecar) {
  std::string out = "{\n";
  const auto member = [&out](std::string_view name) {
    if (out.size() > 2) out += ",\n";
    out += "  \"" + std::string(name) + "\": ";
  };
  const auto text = [&](std::string_view name, std::string_view value) {
    member(name);
    append_json_string(out, value);
  };
  text("model_name", sidecar.model_name);
  member("num_layers");
  out += std::to_string(sidecar.num_layers);
  member("num_tokens");
  out += std::to_string(sidecar.num_tokens);
  text("dtype", sidecar.dtype);
  if (sidecar.storage_dtype) {
    text("storage_dtype", *sidecar.storage_dtype);
  } else {
    member("storage_dtype");
    out += "null";
  }
  member("nbytes");
  out += std::to_string(sidecar.nbytes);
  member("quantized");
  out += sidecar.quantized ? "true" : "false";
  if (sidecar.prompt) text("prompt", *sidecar.prompt);
  if (sidecar.tokens) {
    member("tokens");
    out += '[';
    for (size_t i = 0; i < sidecar.tokens->size(); i++) {
      out += (i == 0 ? "\n    " : ",\n    ") + std::to_string((*sidecar.tokens)[i]);
    }
    out += sidecar.tokens->empty() ? "]" : "\n  ]";
  }
  return out + "\n}";
}

Result<std::optional<Sidecar>> read_sidecar(const std::string& kv_path) {
  Result<std::string> text = read_small_file(sidecar_path(kv_path), kSidecarBytesMax);
  if (text.code() == Code::kNotFound) return std::optional<Sidecar>();
  if (!text.ok()) return std::move(text).status();
  return std::optional<Sidecar>(KVCS_TRY(parse_sidecar(*text)));
}

Status write_sidecar(const std::string& kv_path, const Sidecar& sidecar) {
  return write_file_atomically(sidecar_path(kv_path), dump_sidecar(sidecar));
}

Sidecar describe_header(const KvHeader& header) {
  const std::string* const model = header.metadata_value("kvcs.model");
  Sidecar sidecar;
  sidecar.model_name = model == nullptr ? "unknown" : *model;
  sidecar.num_layers = header.layers;
  sidecar.num_tokens = header.tokens;
  sidecar.dtype = dtype_name(header.quantized() ? header.dtype : header.storage_dtype);
  sidecar.storage_dtype = std::string(dtype_name(header.storage_dtype));
  sidecar.nbytes = header.file_bytes;
  sidecar.quantized = header.quantized();
  return sidecar;
}

Status check_sidecar(const Sidecar& sidecar, const KvHeader& header) {
  const auto number = [](std::string_view name, uint64_t said, uint64_t real) {
    if (said == real) return ok();
    return differs(name, std::to_string(said), std::to_string(real));
  };
  KVCS_TRY(number("num_layers", sidecar.num_layers, header.layers));
  KVCS_TRY(number("num_tokens", sidecar.num_tokens, header.tokens));
  KVCS_TRY(number("nbytes", sidecar.nbytes, header.file_bytes));
  if (sidecar.quantized != header.quantized()) {
    return differs("quantized", sidecar.quantized ? "true" : "false",
                   header.quantized() ? "quantised tensors" : "plain tensors");
  }
  KVCS_TRY(check_dtypes(sidecar, header));
  if (sidecar.tokens && sidecar.tokens->size() != header.tokens) {
    return differs("tokens", std::to_string(sidecar.tokens->size()) + " ids",
                   std::to_string(header.tokens) + " tokens");
  }
  const std::string* const model = header.metadata_value("kvcs.model");
  if (model != nullptr && *model != sidecar.model_name) {
    return differs("model_name", sidecar.model_name, printable(*model, kShownName));
  }
  return ok();
}

// The tensor is part of the file and its digest; the sidecar is a copy beside it.
Result<std::vector<uint32_t>> recorded_tokens(const KvFile& file,
                                              const std::optional<Sidecar>& sidecar) {
  std::vector<uint32_t> ids;
  if (const Tensor* const tensor = file.header().find("tokens")) {
    std::string bytes(tensor->size_bytes(), '\0');
    KVCS_TRY(file.read(*tensor, 0, bytes.data(), bytes.size()));
    ids.reserve(bytes.size() / 4);
    for (size_t i = 0; i < bytes.size(); i += 4) ids.push_back(load_u32le(bytes.data() + i));
  } else if (sidecar && sidecar->tokens) {
    ids = *sidecar->tokens;
  }
  return ids;
}

const std::string* recorded_prompt(const KvHeader& header, const std::optional<Sidecar>& sidecar) {
  if (const std::string* const prompt = header.metadata_value("kvcs.prompt")) return prompt;
  return sidecar && sidecar->prompt ? &*sidecar->prompt : nullptr;
}

}  // namespace kvcs::kvfile
