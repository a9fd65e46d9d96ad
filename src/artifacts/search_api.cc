// POST /api/v1/artifacts/search: {tokens | text, model?, tokenizer?, limit?} → {hits, of}.
#include <nlohmann/json.hpp>

#include "artifacts/artifact_search.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/search_rows.h"
#include "base/json.h"

namespace kvcs {
namespace {

constexpr size_t kNameMaxBytes = 255;

Result<PrefixQuery> parse_search(const Json& body) {
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  JsonReader reader(body);
  PrefixQuery query;
  const StringRule name{.min_bytes = 0, .max_bytes = kNameMaxBytes};
  query.model = reader.optional_string("model", name).value_or("");
  query.tokenizer = reader.optional_string("tokenizer", name);
  query.limit = static_cast<size_t>(
      reader.optional_integer("limit", 1, kSearchHitsMax).value_or(int64_t(query.limit)));
  const auto text = reader.optional_string("text", {.min_bytes = 1, .max_bytes = kSearchTokensMax});
  const Json* const tokens = reader.array("tokens");
  // One of the two, not both.
  if ((tokens == nullptr) == !text) {
    reader.fail("tokens", "either tokens or text is required");
  } else if (tokens != nullptr && (tokens->empty() || tokens->size() > kSearchTokensMax)) {
    reader.fail("tokens", std::to_string(tokens->size()) + " ids; 1 to " +
                              std::to_string(kSearchTokensMax) + " may be asked for");
  }
  KVCS_TRY(reader.finish());
  if (text) {
    query.of_text = true;
    query.tokens = search_rows::ids_of_text(*text);
    return query;
  }
  for (const Json& id : *tokens) {
    const bool fits = id.is_number_unsigned() && id.get<uint64_t>() <= UINT32_MAX;
    if (!fits) return invalid("tokens: '" + dump_json(id).substr(0, 40) + "' is not a token id.");
    query.tokens.push_back(id.get<uint32_t>());
  }
  return query;
}

}  // namespace

Result<http::Response> ArtifactsApi::search(http::Request& request) {
  const std::string text = KVCS_TRY(request.body->read_all());
  const Json body = KVCS_TRY(parse_json(text));
  PrefixQuery query = KVCS_TRY(parse_search(body));
  const artifact_json::Shape shape = KVCS_TRY(artifact_json::shape_for(request));
  query.organization_id = request.principal.organization_id;
  Json hits = Json::array();
  for (const PrefixHit& hit : KVCS_TRY(search_.find(query))) {
    artifact_json::Urls urls;
    urls.download_url = signed_url(request, "GET", hit.artifact);
    urls.public_url = public_url(base_url(request), hit.artifact, request.principal.organization);
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
