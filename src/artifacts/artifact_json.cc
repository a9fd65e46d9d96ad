// Artifacts as JSON, both ways: the bodies of requests are checked here, and answers are written in
// one of two shapes, because two kinds of client read them. Pure functions.
#include "artifacts/artifact_json.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "artifacts/text_index.h"
#include "base/bytes.h"
#include "base/id.h"
#include "base/json.h"
#include "base/printable.h"

namespace kvcs::artifact_json {
namespace {

constexpr size_t kNameMaxBytes = 4 * kNameMaxChars, kDtypeMaxBytes = 32;
constexpr size_t kMetadataMaxBytes = 64 << 10, kFilterMaxBytes = 255;
constexpr size_t kFileNameMaxBytes = 100;
constexpr int64_t kPageDefault = 100, kPageMax = 1000, kCataloguePageDefault = 50;

// Of valid UTF-8: every byte that does not go on a character begins one.
size_t count_chars(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

// A name is data and never a path; it must still be printable on every screen.
Status check_text(std::string_view what, std::string_view text, size_t max_chars) {
  if (!is_printable(text)) {
    return bad_request(std::string(what) +
                       ": control characters, bidirectional marks, characters without width and "
                       "invalid UTF-8 are refused.");
  }
  const size_t chars = count_chars(text);
  if (chars <= max_chars) return ok();
  return bad_request(std::string(what) + ": has " + std::to_string(chars) +
                     " characters; at most " + std::to_string(max_chars) + " are allowed.");
}

Status check_name(std::string_view what, std::string_view text) {
  return check_text(what, text, kNameMaxChars);
}

// Lines may end and be indented; else as a name.
Status check_description(std::string_view text) {
  std::string flat(text);
  for (char& c : flat) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return check_text("description", flat, kDescriptionMaxChars);
}

// In the order given, without those that differ from an earlier one by case alone.
Result<std::vector<std::string>> read_tags(const Json& list) {
  if (list.size() > kTagsMax) {
    return bad_request("tags: has " + std::to_string(list.size()) + " tags; at most " +
                       std::to_string(kTagsMax) + " are allowed.");
  }
  std::vector<std::string> tags, seen;
  for (const Json& item : list) {
    if (!item.is_string()) return bad_request("tags: each must be a string.");
    const std::string tag(trim(item.get<std::string>()));
    if (tag.empty()) return bad_request("tags: one of them is empty.");
    KVCS_TRY(check_text("tags", tag, kTagMaxChars));
    const std::string lower = lower_ascii(tag);
    if (std::find(seen.begin(), seen.end(), lower) != seen.end()) continue;
    seen.push_back(lower);
    tags.push_back(tag);
  }
  return tags;
}

// The members that say what an artifact is about, as uploads and edits have them.
struct Words {
  std::optional<std::string> description;
  const Json* tags = nullptr;

  explicit Words(JsonReader& reader)
      : description(reader.optional_string(
            "description", {.min_bytes = 0, .max_bytes = 4 * kDescriptionMaxChars})),
        tags(reader.array("tags")) {}
  Status read_into(Artifact& artifact) const {
    if (description) {
      KVCS_TRY(check_description(*description));
      artifact.description = *description;
    }
    if (tags != nullptr) artifact.tags = KVCS_TRY(read_tags(*tags));
    return ok();
  }
};

// The first that is not empty, lower-cased; Invalid when it is no SHA-256.
Result<std::string> digest_of(std::initializer_list<std::string> candidates) {
  for (const std::string& text : candidates) {
    if (text.empty()) continue;
    if (!is_hex(text, 64)) return bad_request("checksum: 64 hex digits are expected.");
    return lower_ascii(text);
  }
  return std::string();
}

// The members of an upload's metadata that are facts of the artifact.
Status read_metadata(const Json& metadata, Artifact& artifact) {
  artifact.metadata_json = dump_json(metadata);
  if (artifact.metadata_json.size() > kMetadataMaxBytes) {
    return bad_request("metadata: over " + std::to_string(kMetadataMaxBytes) + " bytes.");
  }
  const auto layers = metadata.find("num_layers");
  if (layers != metadata.end() && layers->is_number()) {
    const double number = layers->get<double>();
    // Beyond 2^31 layers it is no number of layers; the comparison also drops NaN.
    if (number >= 0 && number < 2147483648.0) artifact.num_layers = static_cast<int64_t>(number);
  }
  const auto quantized = metadata.find("quantized");
  artifact.quantized =
      quantized != metadata.end() && quantized->is_boolean() && quantized->get<bool>();
  const std::string storage = text_member(metadata, "storage_dtype");
  if (storage.size() > kDtypeMaxBytes) return bad_request("metadata.storage_dtype: too long.");
  KVCS_TRY(check_name("metadata.storage_dtype", storage));
  if (!storage.empty()) artifact.storage_dtype = storage;
  return ok();
}

}  // namespace

Status bad_request(const std::string& detail) {
  return invalid("Bad Request").with_details_json(dump_json(Json{{"details", {detail}}}));
}

// The absence of a User-Agent is how the public command line is known; the header says why it
// needs a shape of its own.
Result<Shape> shape_for(const http::Request& request) {
  const auto asked = request.query_value("shape");
  if (!asked) return request.header("user-agent") ? Shape::kFull : Shape::kSingle;
  if (*asked == "full") return Shape::kFull;
  if (*asked == "single") return Shape::kSingle;
  return invalid("shape: '" + printable(*asked, kShownWord) + "' is neither full nor single.");
}

Result<std::string> artifact_id(const http::Request& request) {
  const std::string id = lower_ascii(request.param("id"));
  if (!is_uuid(id)) return invalid("invalid artifact_id");
  return id;
}

namespace {

Json tags_json(const Artifact& a) {
  Json tags = Json::array();
  for (const std::string& tag : a.tags) tags.push_back(tag);
  return tags;
}

}  // namespace

Json to_public_json(const Artifact& a, std::string_view organization,
                    const std::string& public_url) {
  return Json{{"artifact_id", a.id},
              {"organization", organization},
              {"project", a.project},
              {"name", a.name},
              {"model_name", a.model_name},
              {"description", a.description},
              {"tags", tags_json(a)},
              {"dtype", a.dtype},
              {"storage_dtype", a.storage_dtype ? Json(*a.storage_dtype) : Json()},
              {"num_tokens", a.num_tokens},
              {"num_layers", a.num_layers},
              {"quantized", a.quantized},
              {"size_bytes", a.size_bytes},
              {"sha256", a.sha256},
              {"downloads", a.downloads},
              {"created_at", format_iso8601_ms(a.created_ms)},
              {"public_url", public_url}};
}

Json to_json(const Artifact& a, Shape shape, const Urls& urls) {
  const auto nullable = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json out = Json::object();
  const bool full = shape == Shape::kFull;
  if (full) out["id"] = a.id;
  out["artifact_id"] = a.id;
  out["name"] = a.name;
  out[full ? "model_name" : "model"] = a.model_name;
  out["dtype"] = a.dtype;
  out["storage_dtype"] = a.storage_dtype ? Json(*a.storage_dtype) : Json();
  out["num_tokens"] = a.num_tokens;
  out["num_layers"] = a.num_layers;
  out["quantized"] = a.quantized;
  out["visibility"] = a.is_public ? "public" : "private";
  out["status"] = a.ready ? "ready" : "pending";
  out["size_bytes"] = a.size_bytes;
  if (!a.sha256.empty()) {
    out["sha256"] = a.sha256;
    out["checksum"] = a.sha256;
  }
  out["owner_id"] = a.owner_id;
  out["project"] = a.project;
  out["description"] = a.description;
  out["tags"] = tags_json(a);
  out["downloads"] = a.downloads;
  out["created_at"] = format_iso8601_ms(a.created_ms);
  out["public_url"] = nullable(urls.public_url);
  out["download_url"] = nullable(urls.download_url);
  return out;
}

// Clients name the same fact differently (model_name, name, metadata.name; checksum, sha256), so
// each fact is looked for under all its names, and the first that is not empty counts.
Result<Artifact> parse_upload(const Json& body) {
  JsonReader reader(body);
  reader.ignore_unknown();
  Artifact a;
  const StringRule name_rule{.min_bytes = 1, .max_bytes = kNameMaxBytes};
  const std::string model = reader.optional_string("model_name", name_rule).value_or("");
  const std::string name = reader.optional_string("name", name_rule).value_or("");
  a.dtype = reader.string("dtype", {.min_bytes = 1, .max_bytes = kDtypeMaxBytes});
  a.num_tokens = reader.optional_integer("num_tokens", 0, INT64_MAX).value_or(0);
  a.is_public =
      reader.optional_one_of("visibility", {"public", "private"}).value_or("private") == "public";
  a.size_bytes =
      static_cast<uint64_t>(reader.optional_integer("size_bytes", 0, INT64_MAX).value_or(0));
  a.project_id =
      reader.optional_string("project_id", {.min_bytes = 1, .max_bytes = 64}).value_or("");
  const StringRule digest_rule{.min_bytes = 0, .max_bytes = 64};
  const std::string checksum = reader.optional_string("checksum", digest_rule).value_or("");
  const std::string sha256 = reader.optional_string("sha256", digest_rule).value_or("");
  const Words words(reader);
  const Json* const given = reader.object("metadata");
  static const Json kNoMembers = Json::object();
  const Json& metadata = given == nullptr ? kNoMembers : *given;
  const Status fault = reader.finish();
  if (!fault.ok()) return bad_request(fault.message());
  KVCS_TRY(check_name("dtype", a.dtype));
  KVCS_TRY(words.read_into(a));
  if (given != nullptr) KVCS_TRY(read_metadata(*given, a));
  for (const std::string& candidate : {text_member(metadata, "name"), name, model}) {
    if (a.name.empty()) a.name = candidate;
  }
  if (a.name.empty()) {
    return invalid("Bad Request")
        .with_details_json(
            R"({"message":"A name is required: name, model_name or metadata.name."})");
  }
  KVCS_TRY(check_name("name", a.name));
  a.model_name = model.empty() ? a.name : model;
  KVCS_TRY(check_name("model_name", a.model_name));
  a.sha256 = KVCS_TRY(digest_of({checksum, sha256, text_member(metadata, "sha256")}));
  return a;
}

// Clients of before name no model and write a null where there is no storage_dtype.
Result<Artifact> parse_nested_upload(const Json& body) {
  JsonReader reader(body);
  reader.ignore_unknown();
  Artifact a;
  const StringRule name_rule{.min_bytes = 1, .max_bytes = kNameMaxBytes};
  const StringRule digest_rule{.min_bytes = 0, .max_bytes = 64};
  a.name = reader.string("name", name_rule);
  a.model_name = reader.optional_string("model_name", name_rule).value_or(a.name);
  a.dtype = reader.string("dtype", {.min_bytes = 1, .max_bytes = kDtypeMaxBytes});
  if (reader.has("storage_dtype")) {
    a.storage_dtype =
        reader.optional_string("storage_dtype", {.min_bytes = 1, .max_bytes = kDtypeMaxBytes});
  }
  a.num_tokens = reader.optional_integer("num_tokens", 0, INT64_MAX).value_or(0);
  a.num_layers = reader.optional_integer("num_layers", 0, INT32_MAX).value_or(0);
  a.quantized = reader.boolean_or("quantized", false);
  a.is_public =
      reader.optional_one_of("visibility", {"public", "private"}).value_or("private") == "public";
  a.size_bytes =
      static_cast<uint64_t>(reader.optional_integer("size_bytes", 0, INT64_MAX).value_or(0));
  const std::string sha256 = reader.optional_string("sha256", digest_rule).value_or("");
  const std::string checksum = reader.optional_string("checksum", digest_rule).value_or("");
  const Words words(reader);
  const Status fault = reader.finish();
  if (!fault.ok()) return bad_request(fault.message());
  KVCS_TRY(check_name("name", a.name));
  KVCS_TRY(check_name("model_name", a.model_name));
  KVCS_TRY(check_name("dtype", a.dtype));
  KVCS_TRY(check_name("storage_dtype", a.storage_dtype.value_or("")));
  KVCS_TRY(words.read_into(a));
  a.sha256 = KVCS_TRY(digest_of({sha256, checksum}));
  return a;
}

Result<ArtifactEdit> parse_edit(const Json& body) {
  JsonReader reader(body);
  ArtifactEdit edit;
  edit.name = reader.optional_string("name", {.min_bytes = 1, .max_bytes = kNameMaxBytes});
  const Words words(reader);
  const Status fault = reader.finish();
  if (!fault.ok()) return bad_request(fault.message());
  Artifact about;
  KVCS_TRY(words.read_into(about));
  if (edit.name) KVCS_TRY(check_name("name", *edit.name));
  if (words.description) edit.description = about.description;
  if (words.tags != nullptr) edit.tags = about.tags;
  if (edit.name || edit.description || edit.tags) return edit;
  return bad_request("name, description or tags: one is required, as nothing else can be changed.");
}

Result<ConfirmClaim> parse_confirm(const Json& body) {
  JsonReader reader(body);
  reader.ignore_unknown();
  ConfirmClaim claim;
  const StringRule rule{.min_bytes = 0, .max_bytes = 64};
  const std::string digest = reader.optional_string("digest", rule).value_or("");
  const std::string checksum = reader.optional_string("checksum", rule).value_or("");
  const std::string sha256 = reader.optional_string("sha256", rule).value_or("");
  const auto size = reader.optional_integer("size_bytes", 0, INT64_MAX);
  const Status fault = reader.finish();
  if (!fault.ok()) return bad_request(fault.message());
  claim.sha256 = KVCS_TRY(digest_of({digest, checksum, sha256}));
  if (size) claim.size_bytes = static_cast<uint64_t>(*size);
  return claim;
}

Result<bool> parse_visibility(const Json& body) {
  JsonReader reader(body);
  reader.ignore_unknown();
  const std::string value = reader.one_of("visibility", {"public", "private"});
  const Status fault = reader.finish();
  if (!fault.ok()) return bad_request(fault.message());
  return value == "public";
}

namespace {

Result<std::string> choice(const http::Request& request, const char* name,
                           std::initializer_list<std::string_view> allowed) {
  const std::string value = request.query_value(name).value_or("");
  std::string list;
  for (const std::string_view word : allowed) {
    if (value == word) return value;
    if (!word.empty()) (list += list.empty() ? "" : ", ") += word;
  }
  return invalid(std::string(name) + ": '" + printable(value, kShownWord) + "' is not one of " +
                 list + ".");
}

Result<std::string> search_text(const http::Request& request, const char* name) {
  std::string value = request.query_value(name).value_or("");
  if (value.size() > kFilterMaxBytes) {
    return invalid(std::string(name) + ": over " + std::to_string(kFilterMaxBytes) + " bytes.");
  }
  return value;
}

// "" when nothing is asked for.
Result<std::string> search_words(const http::Request& request) {
  const std::string words(trim(request.query_value("q").value_or("")));
  KVCS_TRY(text_index::check_words(words));
  return words;
}

std::string asked_cursor(const http::Request& request) {
  return request.query_value("cursor").value_or(request.query_value("continuation").value_or(""));
}

// As the contract says: what is no number or 0 means the default, the rest is clamped.
size_t asked_limit(const http::Request& request, int64_t standard) {
  const auto limit = parse_u64(request.query_value("limit").value_or("0"), "limit");
  const uint64_t asked = limit.ok() && *limit > 0 ? *limit : static_cast<uint64_t>(standard);
  return static_cast<size_t>(std::min<uint64_t>(asked, kPageMax));
}

}  // namespace

namespace {

// A shorter beginning is one of too many ids.
constexpr size_t kIdPrefixMinBytes = 6, kIdBytes = 36;

// "" when nothing is asked for.
Result<std::string> id_prefix(const http::Request& request) {
  const std::string given = request.query_value("id_prefix").value_or("");
  if (given.empty()) return given;
  const std::string prefix = lower_ascii(given);
  const bool is_one = prefix.size() >= kIdPrefixMinBytes && prefix.size() <= kIdBytes &&
                      prefix.find_first_not_of("0123456789abcdef-") == prefix.npos;
  if (is_one) return prefix;
  return invalid("id_prefix: '" + printable(given, kShownName) + "' is not the first " +
                 std::to_string(kIdPrefixMinBytes) + " or more digits of an id.");
}

}  // namespace

Result<ArtifactFilter> parse_filter(const http::Request& request) {
  ArtifactFilter filter;
  filter.status = KVCS_TRY(choice(request, "status", {"", "ready", "pending", "all"}));
  if (filter.status.empty()) filter.status = "ready";
  filter.visibility = KVCS_TRY(choice(request, "visibility", {"", "public", "private"}));
  filter.name = KVCS_TRY(search_text(request, "name"));
  filter.exact_name = request.query_value("exact_name").value_or("");
  filter.id_prefix = KVCS_TRY(id_prefix(request));
  filter.model = KVCS_TRY(search_text(request, "model"));
  filter.dtype = KVCS_TRY(search_text(request, "dtype"));
  filter.project = KVCS_TRY(search_text(request, "project"));
  filter.words = KVCS_TRY(search_words(request));
  filter.sha256 = lower_ascii(request.query_value("sha256").value_or(""));
  if (!filter.sha256.empty() && !is_hex(filter.sha256, 64)) {
    return invalid("sha256: 64 hex digits are expected, of the whole digest.");
  }
  const std::string sort = KVCS_TRY(
      choice(request, "sort", {"", "created", "-created", "name", "-name", "size", "-size"}));
  filter.descending = sort.empty() || sort[0] == '-';
  if (sort.ends_with("name")) filter.sort = ArtifactSort::kName;
  if (sort.ends_with("size")) filter.sort = ArtifactSort::kSize;
  filter.cursor = asked_cursor(request);
  const auto offset = parse_u64(request.query_value("offset").value_or("0"), "offset");
  if (!offset.ok() || *offset > INT64_MAX) return invalid("offset: a whole number is expected.");
  filter.offset = static_cast<int64_t>(*offset);
  filter.limit = asked_limit(request, kPageDefault);
  return filter;
}

Result<CatalogueFilter> parse_catalogue_filter(const http::Request& request) {
  CatalogueFilter filter;
  filter.words = KVCS_TRY(search_words(request));
  const std::string sort = KVCS_TRY(choice(
      request, "sort",
      {"", "created", "-created", "name", "-name", "size", "-size", "downloads", "-downloads"}));
  filter.descending = sort.empty() || sort[0] == '-';
  if (sort.ends_with("name")) filter.sort = ArtifactSort::kName;
  if (sort.ends_with("size")) filter.sort = ArtifactSort::kSize;
  if (sort.ends_with("downloads")) filter.sort = ArtifactSort::kDownloads;
  filter.cursor = asked_cursor(request);
  filter.limit = asked_limit(request, kCataloguePageDefault);
  return filter;
}

namespace {

std::string with_ending(std::string name) {
  const size_t first = name.find_first_not_of(".- ");
  name = first == name.npos ? "artifact" : name.substr(first);
  return name.ends_with(".kv") ? name : name + ".kv";
}

std::string ascii_file_name(std::string_view name) {
  std::string safe;
  for (const char c : name.substr(0, kFileNameMaxBytes)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    safe += plain ? c : '_';
  }
  return with_ending(safe);
}

// As the name, with a "_" for what a file system, a shell or a screen takes for something else.
std::string wide_file_name(std::string_view name) {
  constexpr std::string_view kSpecial = "/\\:*?\"<>|%$`;&'!";
  std::string safe;
  for (const char c : name) {
    const bool goes_on = (static_cast<unsigned char>(c) >> 6) == 2;
    if (safe.size() >= kFileNameMaxBytes && !goes_on) break;
    const bool is_special =
        static_cast<unsigned char>(c) < 0x20 || c == 0x7f || kSpecial.find(c) != kSpecial.npos;
    safe += is_special ? '_' : c;
  }
  return with_ending(safe);
}

}  // namespace

std::string disposition(std::string_view name) {
  std::string header = "attachment; filename=\"" + ascii_file_name(name) + "\"";
  const bool has_letters_beyond = std::any_of(
      name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  const bool is_plain = is_printable(name);
  if (!has_letters_beyond || !is_plain) return header;
  return header + "; filename*=UTF-8''" + percent_encode(wide_file_name(name));
}

}  // namespace kvcs::artifact_json
