// The public catalogue, page by page.
#include "artifacts/catalogue_api.h"

#include <nlohmann/json.hpp>

#include "artifacts/artifact_json.h"
#include "http/json_api.h"

namespace kvcs {
namespace {

// Rows of organizations that are suspended are passed over; after so many pages of them the answer
// goes out with what there is, and the next one goes on from there.
constexpr int kRoundsMax = 20;
// Up to a thousand hits are read and sorted for it, where another page reads its own rows alone.
constexpr int64_t kSortedSearchCost = 10;

constexpr http::ApiType kTypes[] = {
    {"PublicArtifact", R"(
artifact_id!: id
organization!: string
project!: string
name!: string
model_name!: string
description!: string
tags!: [string]
dtype!: string
storage_dtype!: string?
num_tokens!: integer
num_layers!: integer
quantized!: boolean
size_bytes!: integer
sha256!: string
downloads!: integer
created_at!: time
public_url!: string)"},
    {"Catalogue", R"(
artifacts!: [PublicArtifact]
limit!: integer
continuation_token: string # Where the next page begins; absent on the last.)"},
};

}  // namespace

std::span<const http::ApiType> CatalogueApi::types() {
  return kTypes;
}

void CatalogueApi::add_routes(std::vector<http::Row>& table) {
  http::Rows rows(table, *this);
  rows.add(http::Method::kGet, "/api/v1/catalogue", http::everyone(), http::kNoBody,
           &CatalogueApi::list,
           "Public artifacts of every organization, the newest first. With q and another sort, the "
           "newest 1,000 hits are sorted; such a page counts as 10 requests.",
           {.id = "listCatalogue",
            .query = "q sort:created|-created|name|-name|size|-size|downloads|-downloads "
                     "limit:integer(0..) cursor continuation",
            .answer = "Catalogue"});
}

Result<Json> CatalogueApi::find_page(CatalogueFilter filter, const std::string& base) {
  Json items = Json::array();
  const size_t limit = filter.limit;
  for (int round = 0; round < kRoundsMax; round++) {
    filter.limit = limit - items.size();
    const ArtifactPage page = KVCS_TRY(service_.list_public(filter));
    filter.cursor = page.next_cursor;
    for (const Artifact& item : page.items) {
      const Result<ArtifactsApi::Holder> holder = api_.holder(item.organization_id);
      if (holder.code() == Code::kNotFound) continue;
      KVCS_TRY(holder.status());
      if (!holder->active) continue;
      items.push_back(artifact_json::to_public_json(item, holder->slug,
                                                    api_.public_url(base, item, holder->slug)));
    }
    if (filter.cursor.empty() || items.size() == limit) break;
  }
  Json body{{"artifacts", std::move(items)}, {"limit", limit}};
  if (!filter.cursor.empty()) body["continuation_token"] = filter.cursor;
  return body;
}

Result<http::Response> CatalogueApi::list(http::Request& request) {
  CatalogueFilter filter = KVCS_TRY(artifact_json::parse_catalogue_filter(request));
  const bool is_sorted = !filter.words.empty() && filter.sort != ArtifactSort::kCreated;
  if (charge_) KVCS_TRY(charge_(request, is_sorted ? kSortedSearchCost : 1));
  const std::string base = KVCS_TRY(api_.base_url(request));
  const Json body = KVCS_TRY(find_page(std::move(filter), base));
  http::Response response = http::reply(200, body);
  // What is in it may be taken out at any moment.
  response.set("cache-control", "public, no-cache");
  response.set("vary", "Accept" + std::string(api_.vary_by_place()));
  return response;
}

}  // namespace kvcs
