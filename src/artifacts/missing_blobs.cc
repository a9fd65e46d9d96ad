// Reads the digests in pages, in their order, and asks the store for each. Runs on a job's thread.
#include "artifacts/missing_blobs.h"

#include <utility>
#include <vector>

#include "blob/blob.h"
#include "db/db.h"

namespace kvcs {
namespace {

constexpr int64_t kPageRows = 1000;

struct Named {
  std::string sha256, artifact_id;
};

Result<std::vector<Named>> read_page(DbReaders& readers, const std::string& after) {
  std::vector<Named> page;
  const Status ran = readers.run([&](Database& db) -> Status {
    auto rows = KVCS_TRY(
        db.prepare("SELECT sha256, min(id) FROM artifacts WHERE status='ready' AND sha256>?"
                   " GROUP BY sha256 ORDER BY sha256 LIMIT ?"));
    rows.bind(1, after).bind(2, kPageRows);
    while (KVCS_TRY(rows.step())) page.push_back({rows.text(0), rows.text(1)});
    return ok();
  });
  if (!ran.ok()) return ran;
  return page;
}

// A row that went meanwhile took its blob along.
Result<bool> is_still_named(DbReaders& readers, const Named& named) {
  bool found = false;
  const Status ran = readers.run([&](Database& db) -> Status {
    auto row =
        KVCS_TRY(db.prepare("SELECT 1 FROM artifacts WHERE sha256=? AND status='ready' LIMIT 1"));
    row.bind(1, named.sha256);
    found = KVCS_TRY(row.step());
    return ok();
  });
  if (!ran.ok()) return ran;
  return found;
}

}  // namespace

Result<MissingBlobs> find_missing_blobs(DbReaders& readers, const BlobStore& blobs,
                                        const std::function<bool()>& cancelled) {
  MissingBlobs report;
  std::string after;
  for (;;) {
    const std::vector<Named> page = KVCS_TRY(read_page(readers, after));
    if (page.empty()) return report;
    for (const Named& named : page) {
      if (cancelled()) return unavailable("The search for missing blobs was stopped.");
      report.named++;
      const auto size = blobs.stat(named.sha256);
      if (size.ok()) continue;
      if (size.code() != Code::kNotFound) return size.status();
      if (!KVCS_TRY(is_still_named(readers, named))) continue;
      if (report.missing++ > 0) continue;
      report.first_sha256 = named.sha256;
      report.first_artifact_id = named.artifact_id;
    }
    after = page.back().sha256;
  }
}

}  // namespace kvcs
