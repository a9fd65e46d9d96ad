// Goal: the full-text index has the words of the rows and no others, after every change, failure
// and hand that wrote rows without it. Method: a database, and the engine's own comparison.
#include "artifacts/text_index.h"

#include <algorithm>

#include "artifact_world.h"
#include "artifacts/rows.h"
#include "base/damage.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;

size_t hits(const ArtifactWorld& w, const std::string& words) {
  ArtifactFilter filter;
  filter.organization_id = w.acme.organization_id;
  filter.words = words;
  filter.status = "all";
  const auto page = w.service->list(filter);
  REQUIRE(page.ok());
  const auto total = w.service->count(filter);
  REQUIRE(total.ok());
  CHECK(*total == page->items.size());
  return page->items.size();
}

void execute(ArtifactWorld& w, const std::string& sql) {
  REQUIRE(w.writer->run([&](Database& db) { return db.execute(sql); }).ok());
}

// Whether the index is what the rows would make of it.
Status compare(ArtifactWorld& w) {
  return w.writer->run([](Database& db) {
    return db.execute(
        "INSERT INTO artifact_text (artifact_text, rank) VALUES ('integrity-check', 1)");
  });
}

}  // namespace

TEST_CASE("text index: follows announcement, confirmation, change and removal",
          "[unit][artifacts]") {
  ArtifactWorld w;
  Artifact draft = w.draft("bytes", w.acme);
  draft.name = "first";
  const auto made = w.service->create(draft);
  REQUIRE(made.ok());
  CHECK(hits(w, "first") == 1);
  REQUIRE(w.put(*made, "bytes").ok());
  REQUIRE(w.service->confirm(w.acme, made->id, {}).ok());
  CHECK(compare(w).ok());
  REQUIRE(w.service->set_visibility(w.acme, made->id, true, "r").ok());
  CHECK(w.service->list_public({.words = "first"})->items.size() == 1);
  REQUIRE(w.service->set_visibility(w.acme, made->id, false, "r").ok());
  CHECK(w.service->list_public({.words = "first"})->items.empty());
  REQUIRE(w.service->edit(w.acme, made->id, {.name = "second"}, "r").ok());
  CHECK(hits(w, "first") == 0);
  CHECK(hits(w, "second") == 1);
  CHECK(compare(w).ok());
  REQUIRE(w.service->remove(w.acme, made->id, "r").ok());
  CHECK(hits(w, "second") == 0);
  CHECK(compare(w).ok());
  CHECK_FALSE(*w.service->mend_text_index());
}

TEST_CASE("text index: a search that is sorted looks at its newest hits alone, page by page",
          "[unit][artifacts]") {
  ArtifactConfig config;
  config.quota.artifacts = 2000;
  ArtifactWorld w(false, config);
  // Names in the order of time reversed: the oldest would be the first.
  constexpr int kRows = 1100;
  for (int i = 0; i < kRows; i++) {
    Artifact draft = w.draft("", w.acme);
    draft.name = "common " + std::to_string(kRows * 9 - i);
    REQUIRE(w.service->create(draft).ok());
  }
  ArtifactFilter filter;
  filter.organization_id = w.acme.organization_id;
  filter.words = "common";
  filter.status = "all";
  filter.sort = ArtifactSort::kName;
  filter.descending = false;
  filter.limit = 300;
  std::vector<std::string> names;
  do {
    const ArtifactPage page = w.service->list(filter).value();
    for (const Artifact& one : page.items) names.push_back(one.name);
    filter.cursor = page.next_cursor;
  } while (!filter.cursor.empty());
  REQUIRE(names.size() == text_index::kSortedMax);
  CHECK(std::is_sorted(names.begin(), names.end()));
  CHECK(names.front() == "common " + std::to_string(kRows * 9 - kRows + 1));
  CHECK(w.service->count(filter).value() == kFoundCountMax);
  // In the order of time all are there.
  filter.sort = ArtifactSort::kCreated;
  filter.limit = kRows;
  CHECK(w.service->list(filter)->items.size() == kRows);
}

TEST_CASE("text index: a change that fails leaves row and index as they were",
          "[fault][artifacts]") {
  ArtifactWorld w;
  const Artifact a = w.store("bytes", w.acme);
  w.sql_fault = [](std::string_view, std::string_view what) -> Status {
    return what.find("INTO audit_outbox") == what.npos ? ok() : unavailable("no");
  };
  CHECK_FALSE(w.service->edit(w.acme, a.id, {.name = "other"}, "r").ok());
  w.sql_fault = nullptr;
  CHECK(hits(w, "other") == 0);
  CHECK(hits(w, "demo") == 1);
  CHECK(compare(w).ok());
}

TEST_CASE("text index: rows that were written without it are caught up with", "[unit][artifacts]") {
  ArtifactWorld w;
  const Artifact a = w.store("one", w.acme), b = w.store("two", w.acme);
  execute(w, "UPDATE artifacts SET name = 'by hand' WHERE id = '" + a.id + "'");
  execute(w, "DELETE FROM artifacts WHERE id = '" + b.id + "'");
  // Nothing that is gone or was another's is answered meanwhile.
  CHECK(hits(w, "demo") <= 1);
  CHECK_FALSE(*w.service->mend_text_index());
  CHECK(hits(w, "hand") == 1);
  CHECK(compare(w).ok());
}

TEST_CASE("text index: one that differs is found and made anew, and is no damage",
          "[fault][artifacts]") {
  ArtifactWorld w;
  const Artifact a = w.store("one", w.acme);
  execute(w, "DELETE FROM artifact_text_changes");
  execute(w, "UPDATE artifacts SET name = 'unseen' WHERE id = '" + a.id + "'");
  execute(w, "DELETE FROM artifact_text_changes");
  CHECK(compare(w).reason() == kDbIndexDiffers);
  CHECK(hits(w, "unseen") == 0);
  CHECK(*w.service->mend_text_index());
  CHECK(hits(w, "unseen") == 1);
  CHECK(compare(w).ok());
  CHECK_FALSE(*w.service->mend_text_index());
}

TEST_CASE("text index: artifacts of an older version are found and counted after the migration",
          "[unit][artifacts]") {
  auto db = open_sqlite(":memory:").value();
  const std::vector<Migration>& all = portal_migrations();
  REQUIRE(migrate(*db, {all.begin(), all.begin() + 6}).ok());
  REQUIRE(db->execute("INSERT INTO projects (id, organization_id, slug, name, created_ms) "
                      "VALUES ('p-1', 'o-1', 'default', 'Default', 0)")
              .ok());
  for (const char* id : {"a", "b", "c"}) {
    REQUIRE(db->execute("INSERT INTO artifacts (id, organization_id, project_id, owner_id, name, "
                        "model_name, dtype, size_bytes, status, created_ms) VALUES ('" +
                        std::string(id) + "', 'o-1', 'p-1', 'me', 'old one', 'm', 'F16', 1, " +
                        (*id == 'c' ? "'pending'" : "'ready'") + ", 7)")
                .ok());
  }
  REQUIRE(migrate(*db, all).ok());
  ArtifactFilter filter;
  filter.organization_id = "o-1";
  CHECK(*artifact_rows::count(*db, filter) == 2);
  filter.words = "old";
  const auto found = artifact_rows::list(*db, filter);
  REQUIRE(found.ok());
  REQUIRE(found->items.size() == 2);
  CHECK(found->items[0].id == "b");
  CHECK(found->items[0].label_organization == "default");
  CHECK(found->items[0].tags.empty());
  CHECK_FALSE(*text_index::mend(*db));
}

TEST_CASE("totals: what lists count is what there is, after every change", "[unit][artifacts]") {
  ArtifactWorld w;
  const auto count = [&](const std::string& status, const std::string& visibility = "",
                         const std::string& project = "") {
    ArtifactFilter filter;
    filter.organization_id = w.acme.organization_id;
    filter.status = status;
    filter.visibility = visibility;
    filter.only_project_id = project;
    return *w.service->count(filter);
  };
  const Artifact a = w.store("one", w.acme), b = w.store("two", w.sibling);
  w.store("three", w.other);
  REQUIRE(w.create("four", w.acme).ok());
  CHECK(count("ready") == 2);
  CHECK(count("pending") == 1);
  CHECK(count("all") == 3);
  CHECK(count("all", "", w.sibling.project_id) == 1);
  REQUIRE(w.service->set_visibility(w.acme, a.id, true, "r").ok());
  CHECK(count("ready", "public") == 1);
  CHECK(count("ready", "private") == 1);
  REQUIRE(w.service->remove(w.sibling, b.id, "r").ok());
  CHECK(count("ready") == 1);
  ArtifactFilter by_slug;
  by_slug.organization_id = w.acme.organization_id;
  by_slug.project = "sibling";
  by_slug.status = "all";
  CHECK(*w.service->count(by_slug) == 0);
  by_slug.project = w.acme.project_id;
  CHECK(*w.service->count(by_slug) == 2);
}

}  // namespace kvcs
