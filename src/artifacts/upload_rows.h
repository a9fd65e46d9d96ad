// Rows of the table `uploads` as values. Used inside jobs and queries: one thread, that of the
// Database. Nothing here decides who may do what.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifacts/artifacts.h"
#include "base/principal.h"
#include "base/status.h"
#include "db/db.h"

namespace kvcs {

enum class UploadKind : uint8_t {
  kWhole,  // One artifact.
  kPart,   // A part of one, which has no artifact until a final upload takes it.
  kFinal,  // Parts one after the other.
};

struct Upload {
  std::string id, organization_id, project_id, key_id;
  UploadKind kind = UploadKind::kWhole;
  std::string artifact_id;         // "" for a part that nobody has taken.
  std::vector<std::string> parts;  // Ids, of a final one.
  std::string metadata;            // As the client sent it.
  std::optional<uint64_t> length;  // Nothing until it is known.
  std::string sealed_sha256;       // "" until all bytes are there and were found good.
  std::string creation_sha256;     // Of all that its creation asked, with a key; find() leaves it.
  int64_t created_ms = 0, expires_ms = 0;
  bool done = false;
};

namespace upload_rows {

// NotFound "Upload not found", also for one whose project is being deleted.
Result<Upload> find(Database& db, std::string_view id);
Status not_found_upload();
Status insert(Database& db, const Upload& upload);
// The id of an upload of this creation that has not expired; "" when there is none.
Result<std::string> find_created(Database& db, std::string_view creation_sha256, int64_t now_ms);
// RateLimited with reason uploads_open: so many of the key's, or of the organization's, are
// unfinished.
Status check_open(Database& db, const Upload& upload, int64_t key_max, int64_t organization_max);
// Remove the rows of parts that nobody has taken, up to some hundreds, and give back what they had
// reserved: one, those of a project, those that have expired. The ids of those that were there.
Result<std::vector<std::string>> remove_part(Database& db, std::string_view id);
Result<std::vector<std::string>> remove_parts_of(Database& db, std::string_view project_id);
Result<std::vector<std::string>> remove_expired_parts(Database& db, int64_t now_ms);
Result<bool> is_unfinished(Database& db, std::string_view id);
// Whether the caller may read another artifact of this digest and size, which is ready.
Result<bool> reaches(Database& db, const Principal& who, const Artifact& wanted);

}  // namespace upload_rows
}  // namespace kvcs
