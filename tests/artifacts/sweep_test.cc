// Goal: no job of ours turns lost rows into lost bytes, and what a disk changes is found and never
// served. Method: the service over files, rows taken away and files changed under it.
#include <filesystem>
#include <fstream>

#include "artifact_world.h"
#include "artifacts/missing_blobs.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;

ArtifactConfig sweeping_at_once() {
  ArtifactConfig config;
  config.orphan_age_s = 0;
  return config;
}

void add_orphan(ArtifactWorld& w, const std::string& bytes) {
  auto writer = w.base->begin_write("", bytes.size());
  REQUIRE((*writer)->append(bytes).ok());
  REQUIRE((*writer)->finish().ok());
}

void execute(ArtifactWorld& w, const std::string& sql) {
  REQUIRE(w.writer->run([&](Database& db) { return db.execute(sql); }).ok());
}

std::string path_of(const ArtifactWorld& w, const std::string& digest) {
  return w.folder.file("blobs") + "/" + digest.substr(0, 2) + "/" + digest.substr(2, 2) + "/" +
         digest;
}

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("sweep: orphans go to the trash, and from there after some days", "[artifacts][unit]") {
  ArtifactConfig config = sweeping_at_once();
  config.trash_age_s = GENERATE(0, 7 * 86'400);
  ArtifactWorld w(true, config);
  w.store("named", w.acme);
  add_orphan(w, "orphan");
  CHECK(w.service->sweep()->freed_bytes == 0);
  CHECK(w.shelf(BlobShelf::kTrash) == std::vector<std::string>{sha256_hex("orphan")});
  CHECK_FALSE(w.has_blob("orphan"));
  const auto again = w.service->sweep();
  REQUIRE(again.ok());
  CHECK(again->orphan_blobs == 0);
  CHECK(again->freed_bytes == (config.trash_age_s == 0 ? 6 : 0));
  CHECK(w.shelf(BlobShelf::kTrash).size() == (config.trash_age_s == 0 ? 0 : 1));
  CHECK(w.has_blob("named"));
}

TEST_CASE("sweep: an upload whose bytes are arriving stays, however slowly they come",
          "[artifacts][unit]") {
  ArtifactConfig config;
  config.pending_lifetime_s = 100;
  ArtifactWorld w(true, config);
  const Artifact slow = w.create("slow", w.acme).value();
  const Artifact idle = w.create("idle", w.acme).value();
  {
    auto put = w.service->begin_put({"PUT", slow.id, 4, slow.sha256, 0}, 4);
    REQUIRE(put.ok());
    REQUIRE(put->writer->append("sl").ok());
    w.clock.advance_ms(101'000);
    CHECK(w.service->sweep()->expired_uploads == 1);
    CHECK(w.service->find(idle.id).code() == Code::kNotFound);
    REQUIRE(put->writer->append("ow").ok());
    REQUIRE(w.service->finish_put(*put).ok());
  }
  // Its client has the time to confirm what it brought.
  CHECK(w.service->sweep()->expired_uploads == 0);
  CHECK(w.service->confirm(w.acme, slow.id, {}).ok());
  // One that broke off goes.
  const Artifact cut = w.create("cut", w.acme).value();
  { auto put = w.service->begin_put({"PUT", cut.id, 3, cut.sha256, 0}, 3); }
  w.clock.advance_ms(101'000);
  CHECK(w.service->sweep()->expired_uploads == 1);
}

TEST_CASE("removals: bytes that stayed behind their rows go as soon as they can",
          "[artifacts][fault]") {
  ArtifactWorld w(true);
  const Artifact first = w.store("one", w.acme), shared = w.store("two", w.acme);
  const Artifact kept = w.store("two", w.other);
  const Artifact of_project = w.store("three", w.acme);
  w.blob_fault = [](std::string_view op) {
    return op == "remove" ? unavailable("The disk fails.") : ok();
  };
  for (const Artifact& one : {first, shared}) {
    REQUIRE(w.service->remove(w.acme, one.id, "r").ok());
  }
  REQUIRE(w.service->remove_some_of(w.acme.project_id, 10, "a", "r").value() == 1);
  CHECK(w.has_blob("one"));
  CHECK(w.has_blob("three"));
  CHECK_FALSE(w.service->finish_removals().ok());
  CHECK(w.has_blob("one"));
  // One that cannot go holds up no other.
  int removals = 0;
  w.blob_fault = [&](std::string_view op) {
    return op == "remove" && removals++ == 0 ? unavailable("The disk fails.") : ok();
  };
  CHECK_FALSE(w.service->finish_removals().ok());
  CHECK(w.has_blob("one") != w.has_blob("three"));
  w.blob_fault = {};
  w.restart();
  CHECK(w.service->finish_removals().value() == 1);
  CHECK_FALSE(w.has_blob("one"));
  CHECK_FALSE(w.has_blob("three"));
  CHECK(w.shelf(BlobShelf::kTrash).empty());
  CHECK(w.has_blob("two"));  // The other organization's.
  CHECK(w.service->finish_removals().value() == 0);
  // Without a fault nothing is left to be finished.
  REQUIRE(w.service->remove(w.other, kept.id, "r").ok());
  CHECK_FALSE(w.has_blob("two"));
  CHECK(w.service->finish_removals().value() == 0);
}

TEST_CASE("sweep: an upload goes as it is when its turn comes, not as it was listed",
          "[artifacts][fault]") {
  ArtifactWorld w(true);
  const Artifact first = w.create("first", w.acme).value();
  w.clock.advance_ms(1000);
  const Artifact second = w.create("second", w.acme).value();
  w.clock.advance_ms(1000);
  const Artifact third = w.create("third", w.acme).value();
  w.clock.advance_ms(int64_t{8} * 86'400'000);
  bool is_listed = false;
  w.blob_fault = [&](std::string_view op) -> Status {
    if (op != "remove_staged" || is_listed) return ok();
    is_listed = true;
    // The body of one comes late, and another was confirmed.
    add_orphan(w, "late");
    execute(w, "UPDATE artifacts SET sha256 = '" + sha256_hex("late") + "' WHERE id = '" +
                   second.id + "'");
    execute(w, "UPDATE artifacts SET status = 'ready' WHERE id = '" + third.id + "'");
    return ok();
  };
  CHECK(w.service->sweep()->expired_uploads == 2);
  CHECK(is_listed);
  CHECK(w.service->find(second.id).code() == Code::kNotFound);
  CHECK_FALSE(w.has_blob("late"));
  CHECK(w.service->find(third.id).ok());
}

TEST_CASE("sweep: without any artifact nothing is an orphan", "[artifacts][unit]") {
  ArtifactWorld w(true, sweeping_at_once());
  w.store("one", w.acme);
  execute(w, "DELETE FROM artifacts");
  const auto refused = w.service->sweep();
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.status().reason() == "sweep_refused");
  CHECK(refused.status().message().find(
            "1 of 1 blobs are named by no artifact, and there is none") != std::string::npos);
  CHECK(refused.status().message().find("artifacts.sweep_max_percent") != std::string::npos);
  CHECK(w.has_blob("one"));
  // The way out that the message names.
  w.config.sweep_max_percent = 100;
  w.restart();
  CHECK(w.service->sweep()->orphan_blobs == 1);
  CHECK_FALSE(w.has_blob("one"));
}

TEST_CASE("sweep: when all artifacts were removed, what is left of them is swept",
          "[artifacts][unit]") {
  ArtifactWorld w(true, sweeping_at_once());
  const Artifact last = w.store("last", w.acme);
  REQUIRE(w.service->remove(w.acme, last.id, "").ok());
  add_orphan(w, "left by a crash");
  const auto swept = w.service->sweep();
  INFO(swept.status().to_string());
  REQUIRE(swept.ok());
  CHECK(swept->orphan_blobs == 1);
  // A database that came up empty knows of nobody who removed anything.
  add_orphan(w, "of a database that was lost");
  execute(w, "DELETE FROM organization_usage");
  CHECK(w.service->sweep().status().reason() == "sweep_refused");
}

TEST_CASE("sweep: many orphans at once look like lost rows, a few do not", "[artifacts][unit]") {
  ArtifactWorld w(true, sweeping_at_once());
  w.store("named", w.acme);
  for (int i = 0; i < 100; i++) add_orphan(w, "orphan " + std::to_string(i));
  CHECK(w.service->sweep()->orphan_blobs == 100);
  for (int i = 0; i < 101; i++) add_orphan(w, "orphan " + std::to_string(i));
  const auto refused = w.service->sweep();
  CHECK(refused.status().reason() == "sweep_refused");
  CHECK(w.blob_count() == 102);
}

TEST_CASE("sweep: a row that comes back brings its blob back from the trash", "[artifacts][unit]") {
  ArtifactWorld w(true, sweeping_at_once());
  const Artifact kept = w.store("kept", w.acme), lost = w.store("lost", w.acme);
  execute(w, "CREATE TABLE backup AS SELECT * FROM artifacts");
  execute(w, "DELETE FROM artifacts WHERE id = '" + lost.id + "'");
  CHECK(w.service->sweep()->orphan_blobs == 1);
  CHECK_FALSE(w.has_blob("lost"));
  execute(w, "INSERT INTO artifacts SELECT * FROM backup WHERE id = '" + lost.id + "'");
  CHECK(w.service->open_bytes(lost).status().reason() == "blob_missing");
  CHECK(w.alarms.size() == 1);
  CHECK(w.service->sweep()->restored_blobs == 1);
  CHECK(w.has_blob("lost"));
  CHECK(w.service->open_bytes(lost).ok());
  CHECK(w.shelf(BlobShelf::kTrash).empty());
}

TEST_CASE("damage: a file of another size than its row is never served", "[artifacts][fault]") {
  ArtifactWorld w(true);
  const Artifact a = w.store("0123456789", w.acme);
  overwrite(path_of(w, a.sha256), GENERATE("0123", "0123456789 and more"));
  for (int i = 0; i < 3; i++) {
    const auto refused = w.service->open_bytes(a);
    CHECK(refused.code() == Code::kInternal);
    CHECK(refused.status().reason() == "blob_damaged");
  }
  // Whoever asks again and again makes one alert.
  REQUIRE(w.alarms.size() == 1);
  CHECK(w.alarms[0].sha256 == a.sha256);
  CHECK(w.alarms[0].message.find(a.id) != std::string::npos);
  // The owner's repeated upload mends it.
  REQUIRE(w.put(a, "0123456789").ok());
  CHECK(w.service->open_bytes(a).ok());
}

TEST_CASE("damage: the scrub finds a changed byte and sets the blob aside", "[artifacts][fault]") {
  ArtifactWorld w(true);
  const Artifact good = w.store("good bytes", w.acme), bad = w.store("bad bytes!", w.acme);
  overwrite(path_of(w, bad.sha256), "bad bytes?");
  CHECK(w.service->open_bytes(bad).ok());  // Its size is right, so nobody has seen it.
  const auto report = w.service->scrub([] { return false; });
  REQUIRE(report.ok());
  CHECK(report->whole);
  CHECK(report->checked_blobs == 2);
  CHECK(report->checked_bytes == 20);
  CHECK(report->damaged_blobs == 1);
  REQUIRE(w.alarms.size() == 1);
  CHECK(w.alarms[0].sha256 == bad.sha256);
  CHECK(w.shelf(BlobShelf::kDamaged) == std::vector<std::string>{bad.sha256});
  CHECK(w.service->open_bytes(bad).status().reason() == "blob_missing");
  CHECK(w.service->open_bytes(good).ok());
  REQUIRE(w.put(bad, "bad bytes!").ok());
  CHECK(w.service->open_bytes(bad).ok());
  CHECK(w.service->scrub([] { return false; })->damaged_blobs == 0);
}

TEST_CASE("damage: rows without blobs are counted, whatever files there are",
          "[artifacts][fault]") {
  ArtifactWorld w(true);
  const auto find = [&] {
    const auto found = find_missing_blobs(*w.readers, *w.blobs, [] { return false; });
    REQUIRE(found.ok());
    return *found;
  };
  const Artifact first = w.store("first", w.acme), second = w.store("second", w.acme);
  w.store("second", w.other);                 // The same blob.
  REQUIRE(w.create("pending", w.acme).ok());  // Has none yet.
  CHECK(find().named == 2);
  CHECK(find().missing == 0);
  REQUIRE(w.base->remove(first.sha256).ok());
  CHECK(find().missing == 1);
  CHECK(find().first_sha256 == first.sha256);
  CHECK(find().first_artifact_id == first.id);
  REQUIRE(w.base->remove(second.sha256).ok());
  CHECK(find().missing == 2);
  // The files say that all is well.
  CHECK(w.service->scrub([] { return false; })->checked_blobs == 0);
  CHECK(find_missing_blobs(*w.readers, *w.blobs, [] { return true; }).code() == Code::kUnavailable);
  // A store that does not answer is not a store without blobs.
  w.blob_fault = [](std::string_view op) { return op == "stat" ? unavailable("x") : ok(); };
  CHECK(find_missing_blobs(*w.readers, *w.blobs, [] { return false; }).code() ==
        Code::kUnavailable);
}

TEST_CASE("damage: a scrub that is cut off goes on where it stopped", "[artifacts][unit]") {
  ArtifactWorld w(true);
  for (int i = 0; i < 10; i++) w.store("blob " + std::to_string(i), w.acme);
  int asked = 0;
  // Asked before each blob and while it is read.
  const auto first = w.service->scrub([&] { return ++asked > 9; });
  REQUIRE(first.ok());
  CHECK_FALSE(first->whole);
  CHECK(first->checked_blobs > 0);
  const auto rest = w.service->scrub([] { return false; });
  CHECK(rest->whole);
  CHECK(first->checked_blobs + rest->checked_blobs == 10);
  CHECK(w.service->scrub([] { return false; })->checked_blobs == 10);
}

}  // namespace kvcs
