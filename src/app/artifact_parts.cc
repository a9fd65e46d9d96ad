#include "app/artifact_parts.h"

#include <nlohmann/json.hpp>

#include "app/parts.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "kv/outbox.h"

namespace kvcs {
namespace {

ArtifactConfig artifact_config(const ArtifactSection& section) {
  ArtifactConfig config;
  config.object_bytes_max = section.object_bytes_max;
  config.url_lifetime_s = section.url_lifetime_s;
  config.pending_lifetime_ms = section.pending_lifetime_s * 1000;
  config.quota = {section.quota_organizations, section.quota_projects, section.quota_artifacts,
                  section.quota_storage_bytes};
  return config;
}

// A row of the audit chain, through the same outbox as the changes of the key-value store. The
// change is committed by then: a record that cannot be written is reported, not undone.
void record_audit(Parts& parts, const ArtifactEvent& event) {
  const bool is_delete = event.action == "delete";
  const std::string before =
      is_delete ? event.artifact.sha256 : (event.artifact.is_public ? "public" : "private");
  const int64_t now_ms = parts.clock().unix_ms();
  const Json payload{{"family", "artifact"},
                     {"key", event.artifact.id},
                     {"action", event.action},
                     {"old_hash", is_delete ? before : sha256_hex(before)},
                     {"new_hash", is_delete ? "" : sha256_hex(event.new_value)},
                     {"source", "api"},
                     {"actor", "projectkey:" + event.key_id},
                     {"request_id", event.request_id}};
  KvBatch batch;
  add_to_outbox(batch, "audit", make_uuid_v7(*parts.entropy, now_ms), now_ms, dump_json(payload));
  const Status written = parts.kv->write(batch, KvDurability::kSynced);
  if (written.ok()) return;
  log::error("artifact.audit_failed", {{"artifact_id", event.artifact.id},
                                       {"action", event.action},
                                       {"error", written.to_string()}});
}

}  // namespace

void build_artifacts(Parts& parts) {
  parts.artifacts = std::make_unique<ArtifactService>(
      artifact_config(parts.config.artifacts), *parts.portal_writer, *parts.portal_readers,
      *parts.blobs, parts.clock(), *parts.entropy, nullptr,
      [&parts](const ArtifactEvent& event) { record_audit(parts, event); });
  parts.artifact_search = std::make_unique<ArtifactSearch>(
      *parts.portal_writer, *parts.portal_readers, *parts.blobs, *parts.entropy);
  ArtifactsApiConfig config;
  config.public_url = parts.config.http.public_url;
  const bool tls = !parts.config.http.server.tls.certificate_path.empty();
  config.fallback_url = (tls ? "https://" : "http://") + parts.config.http.listen;
  parts.artifacts_api = std::make_unique<ArtifactsApi>(
      *parts.artifacts, *parts.artifact_search, *parts.presigner, parts.clock(), std::move(config),
      [&parts](std::string_view organization_id) -> Result<std::string> {
        return KVCS_TRY(parts.directory->organization(organization_id))->slug;
      });
}

std::vector<http::Route> artifact_routes(Parts& parts) {
  using enum http::Method;
  using Api = ArtifactsApi;
  std::vector<http::Route> routes;
  Api& api = *parts.artifacts_api;
  const auto add = [&](http::Method method, std::string pattern, const http::Guard& guard,
                       std::string_view who, uint64_t body_max,
                       Result<http::Response> (Api::*handler)(http::Request&),
                       std::string_view summary) {
    http::Route route;
    route.method = method;
    route.pattern = std::move(pattern);
    route.guard = guard;
    route.body_max_bytes = body_max;
    route.handler = [&api, handler](http::Request& request) { return (api.*handler)(request); };
    route.who = who;
    route.summary = summary;
    routes.push_back(std::move(route));
  };
  const http::Guard key = project_key(*parts.auth), open = http::public_access();
  const http::Guard by_url = presigned(*parts.presigner);
  const auto keyed = [&](http::Method method, std::string pattern, uint64_t body_max,
                         Result<http::Response> (Api::*handler)(http::Request&),
                         std::string_view summary) {
    add(method, std::move(pattern), key, "project key", body_max, handler, summary);
  };
  const std::string all = "/api/v1/artifacts", one = all + "/{id}";
  const uint64_t small = kSmallBodyMaxBytes;
  keyed(kPost, all + "/upload-url", kUploadUrlBodyMaxBytes, &Api::create_upload,
        "Announce an upload: its id and a URL to PUT the bytes to.");
  keyed(kGet, all, http::kNoBody, &Api::list, "Artifacts; all of them without ?limit=.");
  keyed(kPost, all + "/search", kSearchBodyMaxBytes, &Api::search,
        "Artifacts that begin with these token ids, longest common prefix first.");
  keyed(kGet, one, http::kNoBody, &Api::get, "One artifact with a URL to its bytes.");
  keyed(kPost, one + "/confirm-upload", small, &Api::confirm, "Make an uploaded artifact ready.");
  keyed(kPost, one + "/download-url", small, &Api::download_url,
        "A URL to GET the bytes from; ?tokens= and ?layers= go with it.");
  keyed(kPost, one + "/visibility", small, &Api::set_visibility, "Make it public or private.");
  keyed(kDelete, one, small, &Api::remove, "Delete an artifact for good.");
  keyed(kPost, "/v1/artifacts/upload-url", kUploadUrlBodyMaxBytes, &Api::create_upload,
        "The same as under /api/v1.");
  keyed(kPost, "/v1/artifacts/{id}/visibility", small, &Api::set_visibility,
        "The same as under /api/v1.");
  keyed(kPost, "/api/v1/api-keys/verify", small, &Api::verify_key, "Whose key this is.");
  keyed(kGet, "/api/v1/api-keys/verify", http::kNoBody, &Api::verify_key, "Whose key this is.");
  keyed(kGet, "/api/v1/quota", http::kNoBody, &Api::quota, "What is used and what may be.");
  add(kPut, "/blobs/{id}", by_url, "presigned", parts.config.artifacts.object_bytes_max,
      &Api::put_blob, "The bytes of an announced upload.");
  add(kGet, "/blobs/{id}", by_url, "presigned", http::kNoBody, &Api::get_blob,
      "The bytes of an artifact; of ?tokens=a:b and ?layers=x:y alone, as a .kv file.");
  add(kGet, "/v1/artifacts/{id}", open, "public", http::kNoBody, &Api::get_public,
      "The bytes of a public artifact, or a part: ?tokens=a:b, ?layers=x:y.");
  add(kGet, "/{org}/{project}/{artifact_id}", open, "public", http::kNoBody, &Api::get_cdn,
      "The same, by names.");
  add(kPost, "/api/v1/telemetry", open, "public", small, &Api::take_telemetry,
      "Checks an event of a client and drops it.");
  return routes;
}

Result<std::string> sweep_artifacts(Parts& parts) {
  const SweepReport report = KVCS_TRY(parts.artifacts->sweep());
  return dump_json({{"expired_uploads", report.expired_uploads},
                    {"orphan_blobs", report.orphan_blobs},
                    {"freed_bytes", report.freed_bytes}});
}

Result<std::string> index_artifacts(Parts& parts) {
  const size_t count = KVCS_TRY(parts.artifact_search->index_missing());
  return dump_json({{"indexed", count}});
}

}  // namespace kvcs
