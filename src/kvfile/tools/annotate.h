// Adds or corrects what a .kv file records about its values: model, rotary pairs, token ids, text.
// The values themselves stay as they are. One thread per call.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct AnnotateOptions {
  std::string input;
  std::string output;  // Empty: the input is replaced.
  Metadata facts;      // An empty value takes the fact out.
  std::optional<std::vector<uint32_t>> tokens;
  std::optional<std::string> text;  // An empty one is taken out.
};
struct AnnotateReport {
  std::string path;
  std::vector<std::string> changed;  // "kvcs.model", "token ids", "text"
  KvHeader header;
};
// Writes the file and its sidecar anew; nobody sees them half written. Invalid when the ids are not
// as many as the tokens, the text is not UTF-8, or a fact contradicts the tensors.
Result<AnnotateReport> annotate(const AnnotateOptions& options);

// Invalid when it is not UTF-8, which a sidecar cannot hold.
Status check_prompt(std::string_view text);

}  // namespace kvcs::kvfile
