// What there is: the lists of an owner's artifacts and of those for everybody, and their totals.
// Each has a reader for a limited time.
#include "artifacts/artifacts.h"
#include "artifacts/rows.h"

namespace kvcs {

namespace {

// Whether rows are looked through for what no index has, or an index of words is asked.
bool looks_through(const ArtifactFilter& filter) {
  return !filter.words.empty() || !filter.name.empty() || !filter.model.empty() ||
         !filter.dtype.empty();
}
bool looks_through(const CatalogueFilter& filter) {
  return !filter.words.empty();
}

}  // namespace

DbReaders& ArtifactService::lister(bool looks_through) const {
  return looks_through && searchers_ != nullptr ? *searchers_ : readers_;
}

Result<ArtifactPage> ArtifactService::list(const ArtifactFilter& filter) const {
  ArtifactPage page;
  const Status ran = lister(looks_through(filter)).run([&](Database& db) -> Status {
    return db.run_within(kArtifactQueryMs, [&]() -> Status {
      page = KVCS_TRY(artifact_rows::list(db, filter));
      return ok();
    });
  });
  if (!ran.ok()) return ran;
  add_unwritten(page.items);
  return page;
}

Result<uint64_t> ArtifactService::count(const ArtifactFilter& filter) const {
  uint64_t total = 0;
  const Status ran = lister(looks_through(filter)).run([&](Database& db) -> Status {
    return db.run_within(kArtifactQueryMs, [&]() -> Status {
      total = KVCS_TRY(artifact_rows::count(db, filter));
      return ok();
    });
  });
  if (!ran.ok()) return ran;
  return total;
}

Result<ArtifactPage> ArtifactService::list_public(const CatalogueFilter& filter) const {
  ArtifactPage page;
  const Status ran = lister(looks_through(filter)).run([&](Database& db) -> Status {
    return db.run_within(kArtifactQueryMs, [&]() -> Status {
      page = KVCS_TRY(artifact_rows::list_public(db, filter));
      return ok();
    });
  });
  if (!ran.ok()) return ran;
  add_unwritten(page.items);
  return page;
}

// All ready artifacts of the caller's reach are counted, in an index.
Result<ModelCounts> ArtifactService::count_models(const ModelAsk& ask) const {
  ModelCounts counts;
  const Status ran = lister(true).run([&](Database& db) -> Status {
    return db.run_within(kArtifactQueryMs, [&]() -> Status {
      counts = KVCS_TRY(artifact_rows::count_models(db, ask));
      return ok();
    });
  });
  if (!ran.ok()) return ran;
  return counts;
}

Result<std::string> ArtifactService::default_project(std::string_view organization_id) const {
  std::string id;
  const Status ran = readers_.run([&](Database& db) -> Status {
    auto s =
        KVCS_TRY(db.prepare("SELECT id FROM projects WHERE organization_id = ? AND deleting = 0 "
                            "ORDER BY slug = 'default' DESC, created_ms, id LIMIT 1"));
    s.bind(1, organization_id);
    if (KVCS_TRY(s.step())) id = s.text(0);
    return ok();
  });
  if (!ran.ok()) return ran;
  if (!id.empty()) return id;
  return not_found("The organization has no project. Make one first.")
      .with_reason("project_not_found");
}

}  // namespace kvcs
