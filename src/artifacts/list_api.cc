// GET /api/v1/artifacts: a page of the caller's artifacts, or all of them as a stream.
#include <nlohmann/json.hpp>

#include "artifacts/artifacts_api.h"
#include "http/json_api.h"
#include "identity/access.h"

namespace kvcs {
namespace {

using artifact_json::Shape;
using http::Request;
using http::Response;

constexpr size_t kStreamedPage = 500;  // Rows in memory at a time while a whole list is sent.

}  // namespace

// No index has what these ask for: all that is left by the others is looked through.
Status ArtifactsApi::charge_look(const Request& request, ArtifactFilter filter) const {
  const bool looks = !filter.name.empty() || !filter.model.empty() || !filter.dtype.empty();
  if (!looks || !config_.charge_rows) return ok();
  filter.name = filter.model = filter.dtype = filter.words = "";
  const uint64_t rows = KVCS_TRY(service_.count(filter));
  return config_.charge_rows(request, rows);
}

Result<Response> ArtifactsApi::list(Request& request) {
  ArtifactFilter filter = KVCS_TRY(artifact_json::parse_filter(request));
  const Shape shape = KVCS_TRY(artifact_json::shape_for(request));
  filter.organization_id = request.principal.organization_id;
  filter.only_project_id = access::project_limit(request.principal);
  KVCS_TRY(charge_look(request, filter));
  // A client that mentions no page gets the whole list.
  const bool paged = request.query_value("limit") || !filter.cursor.empty() || filter.offset > 0;
  if (!paged) return list_everything(request, std::move(filter), shape);
  const ArtifactPage page = KVCS_TRY(service_.list(filter));
  const uint64_t total = KVCS_TRY(service_.count(filter));
  const std::string base = KVCS_TRY(base_url(request)), organization = shown_organization(request);
  Json items = Json::array();
  for (const Artifact& item : page.items) {
    items.push_back(
        artifact_json::to_json(item, shape, {public_url(base, item, organization), ""}));
  }
  Json body{{"artifacts", std::move(items)},
            {"total", total},
            {"limit", filter.limit},
            {"offset", filter.offset}};
  if (!filter.words.empty() && total == kFoundCountMax) body["total_is_least"] = true;
  if (!page.next_cursor.empty()) body["continuation_token"] = page.next_cursor;
  return http::private_reply(200, body);
}

// The public client never asks for a second page: everything is sent, a page in memory at a time.
Result<Response> ArtifactsApi::list_everything(const Request& request, ArtifactFilter filter,
                                               Shape shape) {
  filter.limit = kStreamedPage;
  ArtifactPage first = KVCS_TRY(service_.list(filter));
  std::string base = KVCS_TRY(base_url(request));
  Response response = http::json_response(200, "");
  response.set("cache-control", "private, no-store");
  response.stream =
      [this, filter = std::move(filter), shape, page = std::move(first), base = std::move(base),
       organization = shown_organization(request)](http::BodyWriter& out) mutable -> Status {
    uint64_t sent = 0;
    std::string text = "{\"artifacts\":[";
    for (;;) {
      for (const Artifact& item : page.items) {
        if (sent++ > 0) text += ',';
        text += dump_json(
            artifact_json::to_json(item, shape, {public_url(base, item, organization), ""}));
      }
      if (page.next_cursor.empty()) break;
      KVCS_TRY(out.write(text));
      text.clear();
      filter.cursor = page.next_cursor;
      page = KVCS_TRY(service_.list(filter));
    }
    const std::string total = std::to_string(sent);
    text += "],\"total\":" + total + ",\"limit\":" + total + ",\"offset\":0}";
    return out.write(text);
  };
  return response;
}

}  // namespace kvcs
