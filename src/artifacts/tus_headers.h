// The headers of the tus protocol, version 1.0.0, as values. Pure functions. Faults name the header
// and what it may say.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "http/http.h"

namespace kvcs::tus {

inline constexpr std::string_view kVersion = "1.0.0";
inline constexpr std::string_view kBodyType = "application/offset+octet-stream";

// A whole number; nothing when the header is absent.
Result<std::optional<uint64_t>> read_number(const http::Request& request, std::string_view name);

// Upload-Metadata, "KEY BASE64,KEY,…", as the body of an upload's announcement: texts, but for
// num_tokens and size_bytes, which become numbers, and metadata, which is a JSON object. `filename`
// stands in for a name.
Result<Json> read_metadata(std::string_view text);

// Upload-Concat: nothing for an upload that is whole; the ids of a final one, none for a part.
struct Concat {
  bool is_final = false;
  std::vector<std::string> parts;
};
Result<std::optional<Concat>> read_concat(const http::Request& request);

// Upload-Checksum: "ALGORITHM BASE64".
struct ChecksumAsk {
  std::string algorithm;
  std::string digest;  // Raw bytes.
};
Result<std::optional<ChecksumAsk>> read_checksum(const http::Request& request);

}  // namespace kvcs::tus
