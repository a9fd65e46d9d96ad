// POST /api/v1/artifacts/search: {tokens | text, model?, tokenizer?, limit?} → {hits, of}. The ids
// are read from the text of the body; only what is left of it becomes a tree of values.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

#include "artifacts/artifact_search.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/search_rows.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/json_cursor.h"
#include "http/json_api.h"
#include "identity/access.h"

namespace kvcs {
namespace {

constexpr size_t kNameMaxBytes = 255;
constexpr size_t kShownIdBytes = 40;
// The ids, and the two copies of them that stand beside one another while they are looked up (with
// the first ids that artifacts have, a few more).
constexpr uint64_t kBytesPerId = sizeof(uint32_t) * (3 + kvfile::kBosCandidatesMax);

// The ids of an array as it was sent. It ends at the first value that is none, and at the first id
// that is too many.
Result<std::vector<uint32_t>> read_ids(std::string_view array) {
  JsonCursor cursor(array);
  std::vector<uint32_t> ids;
  cursor.enter();
  while (cursor.next()) {
    const std::string_view written = cursor.value();
    const char* const end = written.data() + written.size();
    uint32_t id = 0;
    const auto read = std::from_chars(written.data(), end, id);
    if (read.ec != std::errc() || read.ptr != end) {
      return invalid("tokens: '" + printable(written, kShownIdBytes) + "' is not a token id.");
    }
    if (ids.size() == kSearchTokensMax) {
      return invalid("tokens: more than " + std::to_string(kSearchTokensMax) +
                     " ids; 1 to so many may be asked for.")
          .with_reason("invalid_request");
    }
    ids.push_back(id);
  }
  return ids;
}

// Takes the ids out of the body, whose other bytes keep their places, so that a fault in them is
// told where it is. Nothing when there is no array of that name.
Result<std::optional<std::vector<uint32_t>>> take_ids(std::string& body) {
  const auto at = find_json_member(body, "tokens");
  if (!at || body[at->begin] != '[') return std::optional<std::vector<uint32_t>>();
  const auto array = std::string_view(body).substr(at->begin, at->end - at->begin);
  std::optional<std::vector<uint32_t>> ids = KVCS_TRY(read_ids(array));
  std::fill(body.begin() + static_cast<ptrdiff_t>(at->begin) + 1,
            body.begin() + static_cast<ptrdiff_t>(at->end) - 1, ' ');
  return ids;
}

Result<PrefixQuery> parse_search(const Json& body, std::optional<std::vector<uint32_t>> ids) {
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  JsonReader reader(body);
  PrefixQuery query;
  const StringRule name{.min_bytes = 0, .max_bytes = kNameMaxBytes};
  query.model = reader.optional_string("model", name).value_or("");
  query.tokenizer = reader.optional_string("tokenizer", name);
  query.limit = static_cast<size_t>(
      reader.optional_integer("limit", 1, kSearchHitsMax).value_or(int64_t(query.limit)));
  const auto text = reader.optional_string("text", {.min_bytes = 1, .max_bytes = kSearchTokensMax});
  reader.array("tokens");  // Known, and a fault when it is something else.
  // One of the two, not both.
  if (!ids == !text) {
    reader.fail("tokens", "either tokens or text is required");
  } else if (ids && ids->empty()) {
    reader.fail("tokens", "0 ids; 1 to " + std::to_string(kSearchTokensMax) + " may be asked for");
  }
  KVCS_TRY(reader.finish());
  if (text) {
    query.of_text = true;
    query.tokens = search_rows::ids_of_text(*text);
    return query;
  }
  query.tokens = std::move(*ids);
  return query;
}

}  // namespace

Result<http::Response> ArtifactsApi::search(http::Request& request) {
  std::string text = KVCS_TRY(request.body->read_all());
  auto ids = KVCS_TRY(take_ids(text));
  KVCS_TRY(http::keep_tree(request, text));
  const Json body = KVCS_TRY(parse_json(text));
  PrefixQuery query = KVCS_TRY(parse_search(body, std::move(ids)));
  KVCS_TRY(request.body->keep(query.tokens.size() * kBytesPerId));
  if (config_.charge_search) KVCS_TRY(config_.charge_search(request, query.tokens.size()));
  const artifact_json::Shape shape = KVCS_TRY(artifact_json::shape_for(request));
  query.organization_id = request.principal.organization_id;
  query.only_project_id = access::project_limit(request.principal);
  const std::string organization = shown_organization(request);
  const std::string base = KVCS_TRY(base_url(request));
  Json hits = Json::array();
  for (const PrefixHit& hit : KVCS_TRY(search_.find(query))) {
    artifact_json::Urls urls;
    urls.download_url = signed_url(base, request.principal, "GET", hit.artifact);
    urls.public_url = public_url(base, hit.artifact, organization);
    Json about = artifact_json::to_json(hit.artifact, shape, urls);
    about["common_prefix"] = hit.common_prefix;
    about["without_bos"] = hit.without_bos;
    about["tokenizer"] = hit.tokenizer;
    hits.push_back(std::move(about));
  }
  http::Response response =
      http::json_response(200, dump_json({{"hits", std::move(hits)},
                                          {"of", query.of_text ? "text" : "tokens"},
                                          {"query_length", query.tokens.size()}}));
  response.set("cache-control", "private, no-store");
  return response;
}

}  // namespace kvcs
