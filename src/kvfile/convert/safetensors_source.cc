// What the importers of safetensors files share.
#include "kvfile/convert/safetensors_source.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "kvfile/format/hash_file.h"

namespace kvcs::kvfile {
namespace {

// Part of a tensor's name or of a class, and what is missing in such a file.
constexpr std::pair<std::string_view, std::string_view> kIncomplete[] = {
    {"quant_trans", "KIVI's codes: group size and bits are not in the file"},
    {"_mn_trans", "KIVI's codes: group size and bits are not in the file"},
    {"key_scales", "ExLlama's codes: how their channels are rotated is not in the file"},
    {"value_scales", "ExLlama's codes: how their channels are rotated is not in the file"},
    {"CacheLayer_quant", "ExLlama's codes: how their channels are rotated is not in the file"},
    {"turboquant", "TurboQuant's codes: its rotation and its codebook are not in the file"},
    {"turbo_quant", "TurboQuant's codes: its rotation and its codebook are not in the file"},
    {"polarquant", "PolarQuant's codes: its rotation and its codebook are not in the file"}};

// Of one layer of exllamav3: codes and scales of keys and of values.
bool is_exllama3(const KvHeader& header) {
  const auto ends = [&header](std::string_view end) {
    return std::any_of(header.tensors.begin(), header.tensors.end(),
                       [end](const Tensor& tensor) { return tensor.name.ends_with(end); });
  };
  return ends(".qk") && ends(".sk") && ends(".qv") && ends(".sv");
}

}  // namespace

Result<ForeignTensors> add_safetensors(TensorCache& cache, const std::string& path) {
  auto file = KVCS_TRY(SourceFile::open(path));
  ForeignTensors from;
  from.header = KVCS_TRY(read_safetensors(
      [&file](uint64_t offset, void* out, size_t n) { return file->read(offset, out, n); },
      file->size_bytes()));
  from.source = cache.sources.size();
  cache.sources.push_back(std::move(file));
  return from;
}

Result<ForeignTensors> open_safetensors(TensorCache& cache, const std::string& path,
                                        const std::string& format) {
  auto from = KVCS_TRY(add_safetensors(cache, path));
  cache.facts = {{"kvcs.source_format", format},
                 {"kvcs.source_sha256", KVCS_TRY(hash_file(*cache.sources[0]))},
                 {"kvcs.rope_layout", "half"}};
  return from;
}

Status wrong_tensor(const Tensor& tensor, const std::string& why) {
  return invalid("tensor \"" + printable(tensor.name, kShownName) + "\": " + why);
}

std::string shown_dtype(const Tensor& tensor) {
  return tensor.foreign_dtype.empty() ? std::string(dtype_name(tensor.dtype))
                                      : tensor.foreign_dtype;
}

Status check_values(const Tensor& tensor) {
  if (!is_float16_or_32(tensor.dtype)) {
    return wrong_tensor(tensor, shown_dtype(tensor) + " is not F16, BF16 or F32");
  }
  return tensor.size_bytes() == 0 ? wrong_tensor(tensor, "it is empty") : ok();
}

uint64_t tensor_offset(const ForeignTensors& from, const Tensor& tensor) {
  return from.header.data_start + tensor.begin;
}

Status refuse_incomplete(const KvHeader& header) {
  const auto check = [](std::string_view name) -> Status {
    const std::string lower = lower_ascii(std::string(name));
    for (const auto& [part, missing] : kIncomplete) {
      if (lower.find(lower_ascii(std::string(part))) == std::string::npos) continue;
      return invalid("\"" + printable(name, kShownName) + "\" is one of " + std::string(missing) +
                     "; save the cache before it is quantised");
    }
    return ok();
  };
  for (const Tensor& tensor : header.tensors) KVCS_TRY(check(tensor.name));
  for (const auto& [key, value] : header.metadata) {
    KVCS_TRY(check(key));
    if (key.starts_with("2.")) KVCS_TRY(check(value));  // A class of mlx-lm.
  }
  if (is_exllama3(header)) {
    return invalid(
        "these are ExLlama's codes: how their channels are rotated is not in the file; "
        "save the cache before it is quantised");
  }
  return ok();
}

bool is_carried_fact(std::string_view key) {
  static constexpr std::array<std::string_view, 9> kBegins = {
      "kvcs.model",  "kvcs.arch",   "kvcs.tokenizer",       "kvcs.rope_",      "kvcs.token_chain",
      "kvcs.prompt", "kvcs.llama.", "kvcs.position_offset", "kvcs.first_layer"};
  return std::any_of(kBegins.begin(), kBegins.end(),
                     [key](std::string_view begin) { return key.starts_with(begin); });
}

Status take_carried_facts(TensorCache& cache, const KvHeader& header, std::string_view begin) {
  for (const auto& [key, value] : header.metadata) {
    if (!key.starts_with(begin)) continue;
    const std::string_view name = std::string_view(key).substr(begin.size());
    if (is_carried_fact(name)) set_metadata(cache.facts, name, value);
    if (name != kCarriedTokens) continue;
    cache.ids = KVCS_TRY(parse_token_ids(value));
    // Ids of a longer text are those of another cache.
    if (cache.ids.size() != cache.geometry().tokens) cache.ids.clear();
  }
  return ok();
}

}  // namespace kvcs::kvfile
