// Makes the audit record of an artifact's change. As for values in KV, the audit keeps SHA-256
// digests: one of the bytes before a deletion, two of the visibility before and after a change.
#include "artifacts/artifact_audit.h"

#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "kv/outbox.h"

namespace kvcs {

void record_artifact_audit(KvStore& kv, const Clock& clock, Entropy& entropy,
                           const ArtifactEvent& event) {
  const bool is_delete = event.action == "delete";
  const std::string before =
      is_delete ? event.artifact.sha256 : (event.artifact.is_public ? "public" : "private");
  const int64_t now_ms = clock.unix_ms();
  const Json payload{{"family", "artifact"},
                     {"key", event.artifact.id},
                     {"action", event.action},
                     {"old_hash", is_delete ? before : sha256_hex(before)},
                     {"new_hash", is_delete ? "" : sha256_hex(event.new_value)},
                     {"source", "api"},
                     {"actor", "projectkey:" + event.key_id},
                     {"request_id", event.request_id}};
  KvBatch batch;
  add_to_outbox(batch, "audit", make_uuid_v7(entropy, now_ms), now_ms, dump_json(payload));
  const Status written = kv.write(batch, KvDurability::kSynced);
  if (written.ok()) return;
  log::error("artifact.audit_failed", {{"artifact_id", event.artifact.id},
                                       {"action", event.action},
                                       {"error", written.to_string()}});
}

}  // namespace kvcs
