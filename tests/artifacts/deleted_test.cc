// Goal: a deleted artifact is gone for everybody and comes back whole while it is kept, and its
// bytes stay and go once, whatever dies on the way and whoever else has the same bytes. Method: the
// service on a clock moved by hand, over stores that fail on request.
#include "artifact_world.h"
#include "artifacts/shares.h"
#include "base/quota.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;

constexpr int64_t kDayMs = 86'400'000;

int64_t number(const ArtifactWorld& w, const std::string& sql) {
  int64_t found = -1;
  const Status read = w.readers->run([&](Database& db) -> Status {
    auto row = KVCS_TRY(db.prepare(sql));
    KVCS_TRY(row.step());
    found = row.integer(0);
    return ok();
  });
  REQUIRE(read.ok());
  return found;
}

size_t count_of(const std::vector<std::string>& texts, const std::string& part) {
  size_t n = 0;
  for (const std::string& text : texts) n += text.find(part) != text.npos ? 1 : 0;
  return n;
}

ArtifactPage all_of(const ArtifactWorld& w, const Principal& who) {
  ArtifactFilter filter;
  filter.organization_id = who.organization_id;
  filter.status = "all";
  return w.service->list(filter).value();
}

DeletedPage deleted_of(const ArtifactWorld& w, const Principal& who, size_t limit = 100,
                       const std::string& cursor = "") {
  return w.service->list_deleted({who.organization_id, who.project_id, cursor, limit}).value();
}

}  // namespace

TEST_CASE("deleted: it is hidden from every read, its quota is free, and it comes back private",
          "[artifacts][unit]") {
  ArtifactWorld w;
  const Artifact a = w.store("bytes", w.acme);
  REQUIRE(w.service->edit(w.acme, a.id, {"named", "About law.", {{"x"}}}, "r").ok());
  REQUIRE(w.service->set_visibility(w.acme, a.id, true, "r").ok());
  const int64_t ends_ms = w.service->remove_later(w.acme, a.id, "r1").value();
  CHECK(ends_ms == w.clock.unix_ms() + 86'400'000);
  CHECK(w.service->find(a.id).code() == Code::kNotFound);
  CHECK(all_of(w, w.acme).items.empty());
  ArtifactFilter found;
  found.organization_id = w.acme.organization_id;
  CHECK(w.service->count(found).value() == 0);
  found.words = "law";
  CHECK(w.service->list(found)->items.empty());
  CHECK(w.service->list_public({})->items.empty());
  CHECK(w.service->remove_later(w.acme, a.id, "r").code() == Code::kNotFound);
  ArtifactUsage used = w.used(w.acme);
  CHECK(used.artifacts == 0);
  CHECK(used.storage_bytes == 0);
  CHECK(used.deleted_artifacts == 1);
  CHECK(used.deleted_bytes == 5);
  CHECK(w.has_blob("bytes"));
  CHECK(number(w, "SELECT count(*) FROM blob_removals") == 0);
  // Its owner's alone.
  CHECK(deleted_of(w, w.other).items.empty());
  CHECK(w.service->restore(w.other, a.id, "r").code() == Code::kNotFound);
  CHECK(w.service->restore(w.sibling, a.id, "r").code() == Code::kNotFound);
  CHECK(w.service->remove(w.other, a.id, "r").code() == Code::kNotFound);
  const DeletedPage page = deleted_of(w, w.acme);
  REQUIRE(page.items.size() == 1);
  CHECK(page.items[0].artifact.name == "named");
  CHECK(page.items[0].ends_ms == ends_ms);
  CHECK(page.items[0].deleted_by == "projectkey:key-acme");
  const Artifact back = w.service->restore(w.acme, a.id, "r2").value();
  CHECK(back.name == "named");
  CHECK(back.description == "About law.");
  CHECK(back.created_ms == a.created_ms);
  CHECK(back.ready);
  CHECK_FALSE(back.is_public);
  CHECK(w.service->list(found)->items.size() == 1);
  CHECK(w.service->list_public({})->items.empty());
  CHECK(w.service->open_bytes(back).ok());
  used = w.used(w.acme);
  CHECK(used.artifacts == 1);
  CHECK(used.storage_bytes == 5);
  CHECK(used.deleted_artifacts == 0);
  CHECK(used.deleted_bytes == 0);
  // Once more it is answered as it is, and nothing is written down.
  CHECK(w.service->restore(w.acme, a.id, "r3")->id == a.id);
  CHECK(w.used(w.acme).artifacts == 1);
  CHECK(count_of(w.audits(), "\"restore\"") == 1);
  CHECK(count_of(w.audits(), "\"delete\"") == 1);
}

TEST_CASE("deleted: what no longer fits is not restored, and says what is used",
          "[artifacts][unit]") {
  ArtifactConfig config;
  config.quota.artifacts = 1;
  ArtifactWorld w(false, config);
  const Artifact a = w.store("one", w.acme);
  REQUIRE(w.service->remove_later(w.acme, a.id, "r").ok());
  const Artifact b = w.store("two", w.acme);
  const Status refused = w.service->restore(w.acme, a.id, "r").status();
  CHECK(refused.code() == Code::kForbidden);
  CHECK(refused.reason() == "quota_exceeded");
  CHECK(refused.details_json().find("\"used\":1") != std::string::npos);
  CHECK(refused.details_json().find("\"limit\":1") != std::string::npos);
  CHECK(deleted_of(w, w.acme).items.size() == 1);
  REQUIRE(w.service->remove(w.acme, b.id, "r").ok());
  CHECK(w.service->restore(w.acme, a.id, "r").ok());
}

TEST_CASE("deleted: the sweep ends them once, whatever fails on the way", "[artifacts][fault]") {
  ArtifactWorld w(true);
  const Artifact a = w.store("one", w.acme), b = w.store("two", w.acme);
  REQUIRE(w.service->remove_later(w.acme, a.id, "r").ok());
  REQUIRE(w.service->remove_later(w.acme, b.id, "r").ok());
  CHECK(w.service->sweep()->ended_deletions == 0);
  w.clock.advance_ms(kDayMs);
  // The disk takes no removal: the rows have gone with a note, and the process dies.
  w.blob_fault = [](std::string_view op) {
    return op == "remove" ? unavailable("The disk fails.") : ok();
  };
  CHECK_FALSE(w.service->sweep().ok());
  CHECK(w.has_blob("one"));
  CHECK(w.has_blob("two"));
  w.blob_fault = nullptr;
  w.restart();
  CHECK(w.service->finish_removals().value() == 1);
  CHECK(w.blob_count() == 1);
  CHECK(w.service->sweep()->ended_deletions == 1);
  CHECK(w.blob_count() == 0);
  CHECK(w.service->sweep()->ended_deletions == 0);
  CHECK(w.service->restore(w.acme, a.id, "r").code() == Code::kNotFound);
  CHECK(count_of(w.audits(), "\"purge\"") == 2);
  CHECK(w.used(w.acme).deleted_artifacts == 0);
  CHECK(w.used(w.acme).deleted_bytes == 0);
}

TEST_CASE("deleted: a change that the store does not take leaves all as it was",
          "[artifacts][fault]") {
  ArtifactWorld w;
  const Artifact a = w.store("bytes", w.acme);
  w.sql_fault = [](std::string_view op, std::string_view) {
    return op == "commit" ? unavailable("no") : ok();
  };
  CHECK_FALSE(w.service->remove_later(w.acme, a.id, "r").ok());
  w.sql_fault = nullptr;
  CHECK(w.service->find(a.id).ok());
  CHECK(w.used(w.acme).deleted_artifacts == 0);
  CHECK(w.has_blob("bytes"));
  REQUIRE(w.service->remove_later(w.acme, a.id, "r").ok());
  w.sql_fault = [](std::string_view op, std::string_view) {
    return op == "commit" ? unavailable("no") : ok();
  };
  CHECK_FALSE(w.service->restore(w.acme, a.id, "r").ok());
  w.sql_fault = nullptr;
  CHECK(w.used(w.acme).artifacts == 0);
  CHECK(w.used(w.acme).deleted_artifacts == 1);
  CHECK(w.service->restore(w.acme, a.id, "r").ok());
}

TEST_CASE("deleted: the same bytes of others stay, and keep it whole", "[artifacts][unit]") {
  ArtifactWorld w(true);
  const Artifact a = w.store("same", w.acme);
  REQUIRE(w.service->remove_later(w.acme, a.id, "r").ok());
  // An upload of the same bytes, which then goes for good: the deleted one still names them.
  const Artifact b = w.store("same", w.other);
  REQUIRE(w.service->remove(w.other, b.id, "r").ok());
  CHECK(w.has_blob("same"));
  CHECK(w.service->sweep()->orphan_blobs == 0);
  // And the other way round.
  const Artifact c = w.store("same", w.acme);
  w.clock.advance_ms(kDayMs);
  CHECK(w.service->sweep()->ended_deletions == 1);
  CHECK(w.has_blob("same"));
  CHECK(w.service->open_bytes(c).ok());
}

TEST_CASE("deleted: where its bytes are missing it stays deleted", "[artifacts][unit]") {
  ArtifactWorld w;
  const Artifact a = w.store("bytes", w.acme);
  REQUIRE(w.service->remove_later(w.acme, a.id, "r").ok());
  REQUIRE(w.base->remove(a.sha256).ok());
  CHECK(w.service->restore(w.acme, a.id, "r").status().reason() == "blob_missing");
  CHECK(w.used(w.acme).artifacts == 0);
}

TEST_CASE("deleted: for good, by its owner, by the end of its project, and without a lifetime",
          "[artifacts][unit]") {
  ArtifactWorld w(true);
  const Artifact a = w.store("one", w.acme), b = w.store("two", w.acme);
  REQUIRE(w.service->remove_later(w.acme, a.id, "r").ok());
  REQUIRE(w.service->remove(w.acme, a.id, "r").ok());
  CHECK_FALSE(w.has_blob("one"));
  CHECK(w.service->remove(w.acme, a.id, "r").code() == Code::kNotFound);
  REQUIRE(w.service->remove_later(w.acme, b.id, "r").ok());
  CHECK(w.service->remove_some_of(w.acme.project_id, 10, "adminkey:k", "r").value() == 1);
  CHECK(w.service->remove_some_of(w.acme.project_id, 10, "adminkey:k", "r").value() == 0);
  CHECK_FALSE(w.has_blob("two"));
  CHECK(count_of(w.audits(), "\"purge\"") == 2);
  // An upload that was never confirmed is nothing to be restored.
  const Artifact pending = w.create("three", w.acme).value();
  CHECK(w.service->remove_later(w.acme, pending.id, "r").value() == 0);
  CHECK(w.used(w.acme).artifacts == 0);
  CHECK(deleted_of(w, w.acme).items.empty());
  w.config.deleted_lifetime_s = 0;
  w.restart();
  const Artifact c = w.store("four", w.acme);
  CHECK(w.service->remove_later(w.acme, c.id, "r").value() == 0);
  CHECK_FALSE(w.has_blob("four"));
  CHECK(w.service->restore(w.acme, c.id, "r").code() == Code::kNotFound);
}

TEST_CASE("deleted: an organization keeps as much as it may store, the last deleted",
          "[artifacts][unit]") {
  ArtifactConfig config;
  config.quota.storage_bytes = 10;
  ArtifactWorld w(true, config);
  std::vector<Artifact> all;
  for (const char* bytes : {"aaaa", "bbbb", "cccc"}) {
    all.push_back(w.store(bytes, w.acme));
    CHECK(w.service->remove_later(w.acme, all.back().id, "r").value() > 0);
    w.clock.advance_ms(1);
  }
  CHECK_FALSE(w.has_blob("aaaa"));
  const DeletedPage first = deleted_of(w, w.acme, 1);
  REQUIRE(first.items.size() == 1);
  CHECK(first.items[0].artifact.id == all[2].id);
  REQUIRE_FALSE(first.next_cursor.empty());
  const DeletedPage second = deleted_of(w, w.acme, 1, first.next_cursor);
  REQUIRE(second.items.size() == 1);
  CHECK(second.items[0].artifact.id == all[1].id);
  CHECK(second.next_cursor.empty());
  CHECK(w.used(w.acme).deleted_bytes == 8);
  CHECK(w.service->list_deleted({w.acme.organization_id, "", "x", 1}).code() == Code::kInvalid);
}

TEST_CASE("deleted: a project makes room among its own, and ends nothing of another",
          "[artifacts][unit]") {
  ArtifactConfig config;
  config.quota.storage_bytes = 10;
  ArtifactWorld w(true, config);
  const Artifact theirs = w.store("aaaa", w.acme);
  CHECK(w.service->remove_later(w.acme, theirs.id, "r").value() > 0);
  w.clock.advance_ms(1);
  for (const char* bytes : {"bbbb", "cccc"}) {
    const Artifact own = w.store(bytes, w.sibling);
    CHECK(w.service->remove_later(w.sibling, own.id, "r").value() > 0);
    w.clock.advance_ms(1);
  }
  CHECK_FALSE(w.has_blob("bbbb"));
  // All that the project has deleted is too little: the one deleted now goes, and no other.
  const Artifact large = w.store("dddddddd", w.sibling);
  CHECK(w.service->remove_later(w.sibling, large.id, "r").value() == 0);
  CHECK_FALSE(w.has_blob("dddddddd"));
  CHECK(w.has_blob("cccc"));
  CHECK(deleted_of(w, w.sibling).items.size() == 1);
  CHECK(w.service->restore(w.acme, theirs.id, "r").ok());
}

TEST_CASE("deleted: both tables have the columns that a restored row gets back",
          "[artifacts][unit]") {
  ArtifactWorld w;
  // Left out: what a restored artifact has anew.
  CHECK(number(w,
               "SELECT count(*) FROM pragma_table_info('artifacts') WHERE name NOT IN "
               "(SELECT name FROM pragma_table_info('deleted_artifacts')) AND name NOT IN "
               "('visibility', 'status', 'expires_ms', 'search_version', 'search_model', "
               "'search_tokenizer', 'search_root', 'text_id')") == 0);
  CHECK(number(w,
               "SELECT count(*) FROM pragma_table_info('deleted_artifacts') WHERE name NOT IN "
               "(SELECT name FROM pragma_table_info('artifacts'))") == 3);
}

}  // namespace kvcs
