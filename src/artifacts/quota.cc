// The usage of an organization and its limits. organization_usage is changed by the very
// transactions that change artifacts, so that uploads at the same time cannot pass the limit
// together.
#include "base/quota.h"

#include <algorithm>

#include "artifacts/artifacts.h"
#include "base/bytes.h"
#include "base/counted.h"
#include "base/crypto.h"
#include "db/db.h"

namespace kvcs {
namespace {

// Written so that no sum can overflow; a limit may have been lowered below what is used.
bool fits(uint64_t used, uint64_t more, uint64_t limit) {
  return used <= limit && more <= limit - used;
}

// The labels in use, one after the other: each is one step in the index, however many artifacts
// have it.
Status count_labels(Database& db, std::string_view organization_id, LabelUsage& usage) {
  auto next = KVCS_TRY(db.prepare(
      "SELECT label_organization, label_project FROM artifacts WHERE organization_id = ? "
      "AND (label_organization, label_project) > (?, ?) "
      "ORDER BY label_organization, label_project LIMIT 1"));
  std::string organization, project;
  for (;;) {
    next.bind(1, organization_id).bind(2, organization).bind(3, project);
    if (!KVCS_TRY(next.step())) return ok();
    if (usage.organizations == 0 || next.text(0) != organization) usage.organizations++;
    usage.projects++;
    organization = next.text(0);
    project = next.text(1);
    next.reset();
  }
}

}  // namespace

// Sets `artifacts` and `bytes` aside for an upload, or refuses. It runs in the transaction of the
// row that it is for. What is reserved counts as used; confirm() turns the one into the other.
Status ArtifactService::reserve(Database& db, const std::string& organization_id,
                                uint64_t artifacts, uint64_t bytes,
                                const ArtifactQuota& limits) const {
  auto made = KVCS_TRY(db.prepare(
      "INSERT INTO organization_usage (organization_id) VALUES (?) ON CONFLICT DO NOTHING"));
  KVCS_TRY(made.bind(1, organization_id).run());
  auto now =
      KVCS_TRY(db.prepare("SELECT artifacts + reserved_artifacts, storage_bytes + reserved_bytes "
                          "FROM organization_usage WHERE organization_id = ?"));
  now.bind(1, organization_id);
  KVCS_TRY(now.step());
  const auto used_artifacts = static_cast<uint64_t>(now.integer(0));
  const auto used_bytes = static_cast<uint64_t>(now.integer(1));
  if (!fits(used_artifacts, artifacts, limits.artifacts)) {
    return over_quota("artifacts",
                      "Artifact quota exceeded: " + std::to_string(used_artifacts) + " of " +
                          counted(limits.artifacts, "artifact") +
                          (used_artifacts == 1 ? " is" : " are") +
                          " used. Delete some, or have the limit raised.",
                      used_artifacts, artifacts, limits.artifacts);
  }
  if (!fits(used_bytes, bytes, limits.storage_bytes)) {
    return over_quota("storage_bytes",
                      "Storage quota exceeded: " + format_exact_bytes(used_bytes) + " of " +
                          format_exact_bytes(limits.storage_bytes) + " are used and " +
                          format_exact_bytes(bytes) +
                          " more were asked for. Delete artifacts, or have the limit raised.",
                      used_bytes, bytes, limits.storage_bytes);
  }
  if (artifacts == 0 && bytes == 0) return ok();
  auto update = KVCS_TRY(
      db.prepare("UPDATE organization_usage SET reserved_artifacts = reserved_artifacts + ?, "
                 "reserved_bytes = reserved_bytes + ? WHERE organization_id = ?"));
  update.bind(1, static_cast<int64_t>(artifacts)).bind(2, static_cast<int64_t>(bytes));
  return update.bind(3, organization_id).run();
}

Result<ArtifactQuota> ArtifactService::quota(std::string_view organization_id) const {
  return quota_of_ ? quota_of_(organization_id) : Result<ArtifactQuota>(config_.quota);
}

Result<ArtifactUsage> ArtifactService::usage(std::string_view organization_id) const {
  ArtifactUsage usage;
  const Status ran = readers_.run([&](Database& db) -> Status {
    auto sums = KVCS_TRY(
        db.prepare("SELECT artifacts + reserved_artifacts, storage_bytes + reserved_bytes, "
                   "deleted_artifacts, deleted_bytes "
                   "FROM organization_usage WHERE organization_id = ?"));
    sums.bind(1, organization_id);
    if (KVCS_TRY(sums.step())) {
      usage.artifacts = static_cast<uint64_t>(sums.integer(0));
      usage.storage_bytes = static_cast<uint64_t>(sums.integer(1));
      usage.deleted_artifacts = static_cast<uint64_t>(sums.integer(2));
      usage.deleted_bytes = static_cast<uint64_t>(sums.integer(3));
    }
    auto projects = KVCS_TRY(db.prepare("SELECT count(*) FROM projects WHERE organization_id = ?"));
    projects.bind(1, organization_id);
    KVCS_TRY(projects.step());
    usage.projects = static_cast<uint64_t>(projects.integer(0));
    return ok();
  });
  if (!ran.ok()) return ran;
  return usage;
}

Result<LabelUsage> ArtifactService::label_usage(std::string_view organization_id) const {
  LabelUsage usage;
  const Status ran = readers_.run(
      [&](Database& db) -> Status { return count_labels(db, organization_id, usage); });
  if (!ran.ok()) return ran;
  return usage;
}

std::string customer_id_of(std::string_view organization) {
  return sha256_hex("org:" + std::string(organization)).substr(0, 32);
}

}  // namespace kvcs
