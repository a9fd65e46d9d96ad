// Foreign safetensors files as tensors of a TensorCache, and what their names betray.
#pragma once
#include <string>

#include "kvfile/convert/tensor_cache.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kImportLayersMax = 8192;
// The member of an exported file's metadata that holds the token ids.
inline constexpr std::string_view kCarriedTokens = "kvcs.tokens";

struct ForeignTensors {
  size_t source = 0;  // Of TensorCache::sources.
  KvHeader header;    // Only tensors and metadata.
};
// Opens the file as one more source of the cache.
Result<ForeignTensors> add_safetensors(TensorCache& cache, const std::string& path);
// The same, as the only file of a cache whose facts begin with format and digest.
Result<ForeignTensors> open_safetensors(TensorCache& cache, const std::string& path,
                                        const std::string& format);

Status wrong_tensor(const Tensor& tensor, const std::string& why);
std::string shown_dtype(const Tensor& tensor);
// Invalid when the tensor has no values of a floating type that a cache is read in.
Status check_values(const Tensor& tensor);
uint64_t tensor_offset(const ForeignTensors& from, const Tensor& tensor);  // In the file.

// Invalid when names or classes are those of a quantiser whose files do not hold all that is needed
// to read them (KIVI, ExLlama, TurboQuant); says what is missing.
Status refuse_incomplete(const KvHeader& header);

// Facts that describe the values and what they were made of, wherever they are kept.
bool is_carried_fact(std::string_view key);
// Facts and token ids that an export has put into the metadata, each key behind `begin`.
Status take_carried_facts(TensorCache& cache, const KvHeader& header, std::string_view begin = {});

}  // namespace kvcs::kvfile
