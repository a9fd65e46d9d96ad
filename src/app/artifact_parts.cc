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
