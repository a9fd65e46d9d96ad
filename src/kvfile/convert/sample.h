// A small made-up cache, so that every command can be tried without a model or a download. It has
// what a real one has: a text, its token ids, facts about the model, keys under rotary embedding,
// and statistics like published ones (a few strong channels, values with long tails, an attention
// sink). It is worth nothing to a model.
//
// The made-up model is always the same; the seed chooses how the text ends. As in a real cache,
// what stands at a place follows from the tokens up to it, so two samples of different seeds share
// the first tokens and, byte for byte, their keys and values. Pure functions, one thread per call.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kvfile/convert/import.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kSampleTokens = 384;
// All keys and values are made in memory, 4 KiB a token.
inline constexpr uint64_t kSampleTokensMax = 1 << 18;
// Samples of different seeds share at least so many tokens at their start: one block of the prefix
// index.
inline constexpr uint64_t kSampleSharedTokens = 256;

struct SampleText {
  std::string text;
  std::vector<uint32_t> tokens;  // Each stands for a word or a sign.
};
// At most kSampleTokensMax tokens. A longer text begins as a shorter one of its seed.
SampleText make_sample_text(uint64_t seed, uint64_t tokens = kSampleTokens);

// Sums, products and quotients of doubles alone, and nothing of the C library's mathematics, which
// rounds differently from version to version: a text has the same keys and values on every machine.
std::unique_ptr<CacheSource> make_sample_cache(const SampleText& text);

struct SamplePaths {
  std::string artifact, sidecar, token_ids, text;
};
// For "a.kv": a.kv, a.kv.json, a.ids.json, a.txt.
SamplePaths sample_paths(const std::string& artifact);

struct SampleOptions {
  std::string output;
  uint64_t seed = 1;
  uint64_t tokens = kSampleTokens;
  bool replace = false;  // Else any file in the way is a Conflict.
};
struct SampleReport {
  KvHeader header;
  SamplePaths paths;
  uint64_t text_bytes = 0;
};
// Writes all four files; they appear together.
Result<SampleReport> write_sample(const SampleOptions& options);

}  // namespace kvcs::kvfile
