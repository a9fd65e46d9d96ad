// The list of the files of a backup, by which a copy of the copy can be checked. Internal to
// backup.cc.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "app/backup_maker.h"
#include "base/status.h"
#include "blob/blob_links.h"

namespace kvcs {

struct BackupOrigin {
  int64_t made_ms;
  BackupMaker maker;
};

// Writes `directory`/manifest.json, a JSON object: `format` (1), `made_at`, `store_id`, `made_by`,
// `version` of the daemon, `files`, each with its `name` below the directory, `size_bytes` and
// `sha256`, and `blobs` with `linked`, `count` and `bytes`. The blobs are no `files`: the name of
// each is its digest. `check` is asked at each megabyte; its failure is returned.
Status write_manifest(const std::string& directory, const BackupOrigin& origin,
                      const BlobLinks& blobs, const std::function<Status()>& check);

}  // namespace kvcs
