// Proves what a .kv file is: strict container, finite values, sidecar against header, digest, and
// that it belongs to a given text or token ids. Reads only; never writes the artifact. It cannot
// prove that a model continues from it as from the text: that takes the model.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct VerifyOptions {
  std::string path;
  std::optional<std::string> context_text;      // Against the recorded prompt.
  std::optional<std::vector<uint32_t>> tokens;  // Against the recorded token ids.
  std::optional<std::string> sha256;            // Of the whole file, lower-case hex.
};

enum class Verdict : uint8_t { kVerified, kMismatch, kUnverifiable };
std::string_view verdict_name(Verdict verdict);

// The recorded context against the given one, in token ids or in bytes of text.
struct ContextComparison {
  uint64_t recorded = 0, given = 0;  // Lengths.
  uint64_t common_prefix = 0;
  std::optional<uint32_t> recorded_token, given_token;  // Where they part.
  uint64_t line = 0, column = 0;                        // Text: where they part, from 1.
};

struct VerifyReport {
  Verdict verdict = Verdict::kVerified;
  std::string why;                 // One line when not verified.
  std::optional<KvHeader> header;  // Absent when the container is refused.
  std::optional<Sidecar> sidecar;
  bool has_sidecar = false;
  std::string sha256;  // Of the whole file; empty when the container is refused.
  uint64_t values = 0, nonfinite = 0, bad_scales = 0;
  std::optional<ContextComparison> tokens_context, text_context;
  std::vector<std::string> proved;  // What holds, one line each.
};

// A failure is one of reading (NotFound, Unavailable, Conflict when the file changed); a file that
// is not what it claims is a report with kMismatch.
Result<VerifyReport> verify(const VerifyOptions& options);

}  // namespace kvcs::kvfile
