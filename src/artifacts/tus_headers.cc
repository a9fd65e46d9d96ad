// Reads the headers by which tus clients say what they upload.
#include "artifacts/tus_headers.h"

#include <nlohmann/json.hpp>

#include <set>

#include "artifacts/artifact_json.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/id.h"
#include "http/header_list.h"

namespace kvcs::tus {
namespace {

constexpr std::string_view kUploads = "/api/v1/uploads/";
constexpr size_t kPairsMax = 64;

Status bad_metadata(std::string_view key, std::string_view why) {
  return invalid("Upload-Metadata: '" + printable(key, kShownName) + "' " + std::string(why));
}

// One member of the announcement; the announcement's own reader says what is wrong with it.
Status add_member(Json& body, const std::string& key, const std::string& value) {
  if (!is_valid_utf8(value)) return bad_metadata(key, "is no UTF-8.");
  if (key == "metadata") {
    const auto tree = parse_json(value);
    if (!tree.ok()) return bad_metadata(key, "is no JSON: " + tree.status().message());
    body[key] = *tree;
    return ok();
  }
  if (key == "num_tokens" || key == "size_bytes") {
    const auto number = parse_u64(value, key);
    if (!number.ok() || *number > INT64_MAX) return bad_metadata(key, "is no whole number.");
    body[key] = static_cast<int64_t>(*number);
    return ok();
  }
  body[key] = value;
  return ok();
}

}  // namespace

Result<std::optional<uint64_t>> read_number(const http::Request& request, std::string_view name) {
  const auto text = request.header(name);
  if (!text) return std::optional<uint64_t>();
  const auto number = parse_u64(*text, name);
  // What a client counts must fit a signed number everywhere behind.
  if (number.ok() && *number <= INT64_MAX) return std::optional<uint64_t>(*number);
  return invalid(std::string(name) + ": '" + printable(*text, kShownWord) +
                 "' is no whole number.");
}

Result<Json> read_metadata(std::string_view text) {
  Json body = Json::object();
  std::set<std::string> seen;
  if (trim(text).empty()) return body;
  for (const std::string_view raw : split(text, ',')) {
    const std::string_view pair = trim(raw);
    const size_t space = pair.find(' ');
    const std::string key(pair.substr(0, space));
    if (key.empty()) return invalid("Upload-Metadata: a key is empty.");
    if (!seen.insert(key).second) return bad_metadata(key, "is there twice.");
    if (seen.size() > kPairsMax) {
      return invalid("Upload-Metadata: over " + std::to_string(kPairsMax) + " keys.");
    }
    const auto value =
        from_base64(space == pair.npos ? std::string_view() : trim(pair.substr(space)));
    if (!value.ok()) return bad_metadata(key, "is no base64.");
    KVCS_TRY(add_member(body, key, *value));
  }
  // As clients name it that know files alone.
  const std::string file = text_member(body, "filename");
  if (!body.contains("name") && !body.contains("model_name") && !file.empty()) body["name"] = file;
  return body;
}

Result<std::optional<Concat>> read_concat(const http::Request& request) {
  const auto text = request.header("upload-concat");
  if (!text) return std::optional<Concat>();
  Concat concat;
  if (*text == "partial") return std::optional<Concat>(concat);
  if (!text->starts_with("final;")) {
    return invalid("Upload-Concat: 'partial', or 'final;' and the URLs of the parts, is expected.");
  }
  concat.is_final = true;
  for (const std::string_view url : split(text->substr(6), ' ')) {
    if (url.empty()) continue;
    const size_t at = url.rfind(kUploads);
    const std::string id = at == url.npos ? "" : lower_ascii(url.substr(at + kUploads.size()));
    if (!is_uuid(id)) {
      return invalid("Upload-Concat: '" + printable(url, kShownValue) + "' is no upload's URL.");
    }
    concat.parts.push_back(id);
  }
  return std::optional<Concat>(std::move(concat));
}

Result<std::optional<ChecksumAsk>> read_checksum(const http::Request& request) {
  const auto text = request.header("upload-checksum");
  if (!text) return std::optional<ChecksumAsk>();
  const size_t space = text->find(' ');
  ChecksumAsk ask;
  ask.algorithm = lower_ascii(text->substr(0, space));
  const auto digest =
      from_base64(space == text->npos ? std::string_view() : trim(text->substr(space)));
  if (!Checksum::make(ask.algorithm)) {
    return invalid("Upload-Checksum: '" + printable(ask.algorithm, kShownWord) +
                   "' is not one of " + std::string(kChecksumAlgorithms) + ".");
  }
  if (!digest.ok() || digest->empty()) {
    return invalid("Upload-Checksum: the digest is no base64.");
  }
  ask.digest = *digest;
  return std::optional<ChecksumAsk>(std::move(ask));
}

}  // namespace kvcs::tus
