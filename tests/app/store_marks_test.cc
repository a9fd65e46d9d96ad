// Goal: stores that do not belong together refuse the start, in a sentence that names the store,
// what was found and the ways out; a start that was cut off at any of its writes is completed; and
// what was there before there were marks is marked once. Method: a directory that a daemon has
// used, copied and changed as an accident would, and then opened.
#include "app/store_marks.h"

#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "db/db.h"
#include "kv/keyspace.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

const Clock& system_clock() {
  static const std::unique_ptr<Clock> clock = make_system_clock();
  return *clock;
}

Status start(const std::string& data_dir) {
  log::set_level(log::Level::kError);
  return App::create(TestApp::quiet_config(data_dir)).status();
}

template <typename Work>
void with_kv(const std::string& data_dir, const Work& work) {
  KvConfig config;
  config.path = data_dir + "/kv";
  auto kv = open_rocks_kv(config, system_clock());
  REQUIRE(kv.ok());
  work(**kv);
}

template <typename Work>
void with_db(const std::string& data_dir, const std::string& name, const Work& work) {
  auto db = open_sqlite(data_dir + "/sql/" + name);
  REQUIRE(db.ok());
  work(**db);
}

void run_sql(const std::string& data_dir, const std::string& name, const std::string& sql) {
  with_db(data_dir, name, [&](Database& db) {
    const Status ran = db.execute(sql);
    INFO(ran.to_string());
    REQUIRE(ran.ok());
  });
}

DirectoryMark directory_mark(const std::string& data_dir) {
  const auto mark = read_directory_mark(data_dir);
  INFO(mark.status().to_string());
  REQUIRE(mark.ok());
  REQUIRE(*mark);
  return **mark;
}

FoundMarks marks_in(const std::string& data_dir) {
  FoundMarks found;
  found.directory = directory_mark(data_dir);
  with_kv(data_dir, [&](KvStore& kv) { found.kv = read_mark(kv, "kv").value(); });
  with_db(data_dir, "ledger.db",
          [&](Database& db) { found.ledger = read_mark(db, "ledger").value(); });
  with_db(data_dir, "portal.db",
          [&](Database& db) { found.portal = read_mark(db, "portal").value(); });
  return found;
}

// As a daemon of before has left it.
void remove_marks(const std::string& data_dir) {
  fs::remove(store_file_path(data_dir));
  fs::remove(data_dir + "/blobs/store.json");
  fs::remove(data_dir + "/blobs.json");
  with_kv(data_dir, [](KvStore& kv) {
    KvBatch batch;
    batch.remove(KvFamily::kSystem, std::string(keyspace::kStoreMark));
    batch.remove(KvFamily::kSystem, std::string(keyspace::kAuditHead));
    REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  });
  for (const char* name : {"ledger.db", "portal.db"}) {
    run_sql(data_dir, name, "DROP TABLE store_mark");
  }
}

// A directory after three starts, as it was after the first, and one of another daemon.
struct Directories {
  TempDir places;
  std::string used = places.file("used"), old = places.file("old"), other = places.file("other");

  Directories() {
    {
      TestApp first([&](Config& config) { config.data_dir = used; });
    }
    fs::copy(used, old, fs::copy_options::recursive);
    {
      TestApp second([&](Config& config) { config.data_dir = used; });
    }
    {
      TestApp third([&](Config& config) { config.data_dir = used; });
      REQUIRE(third.as_owner("PUT", "/admin/tenants/acme", "{}").status == 200);
    }
    {
      TestApp elsewhere([&](Config& config) { config.data_dir = other; });
    }
    // One key opens both, so that only the marks can tell them apart.
    fs::copy_file(used + "/master.key", other + "/master.key",
                  fs::copy_options::overwrite_existing);
    with_kv(other, [](KvStore& kv) {
      KvBatch batch;
      batch.remove(KvFamily::kSystem, std::string(keyspace::kMasterKeyCheck));
      REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
    });
  }
  std::string copy(const std::string& name) const {
    fs::copy(used, places.file(name), fs::copy_options::recursive);
    return places.file(name);
  }
};

// As a bit that flips in the file makes of it: an id all the same.
std::string flipped(std::string id) {
  id[0] = id[0] == '0' ? '1' : '0';
  return id;
}

void replace(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

}  // namespace

TEST_CASE("store marks: each start raises the generation of every store", "[unit][app]") {
  const Directories dirs;
  const FoundMarks found = marks_in(dirs.used);
  CHECK(found.directory->mark.generation == 3);
  CHECK(found.directory->through);
  for (const auto& mark : {found.kv, found.ledger, found.portal}) {
    REQUIRE(mark);
    CHECK(*mark == found.directory->mark);
  }
  CHECK(directory_mark(dirs.old).mark.generation == 1);
  CHECK(directory_mark(dirs.old).mark.store_id == found.directory->mark.store_id);
  CHECK(directory_mark(dirs.other).mark.store_id != found.directory->mark.store_id);
}

TEST_CASE("store marks: what is lost, emptied, older or another's refuses the start",
          "[unit][app]") {
  const Directories dirs;
  const struct {
    const char* name;
    std::function<void(const std::string&)> accident;
    const char *names, *finding, *accept;
  } rows[] = {
      {"kv-lost", [](const std::string& d) { fs::remove_all(d + "/kv"); }, "/kv", "missing",
       "kv-log"},
      {"sql-lost", [](const std::string& d) { fs::remove_all(d + "/sql"); }, "/sql/ledger.db",
       "missing", "sql"},
      {"portal-lost", [](const std::string& d) { fs::remove(d + "/sql/portal.db"); },
       "/sql/portal.db", "missing", "sql"},
      {"ledger-lost", [](const std::string& d) { fs::remove(d + "/sql/ledger.db"); },
       "/sql/ledger.db", "missing", "sql"},
      {"all-lost",
       [](const std::string& d) {
         fs::remove_all(d + "/sql");
         fs::remove_all(d + "/kv");
       },
       "/kv", "missing", "kv-log"},
      {"portal-empty",
       [](const std::string& d) { std::ofstream(d + "/sql/portal.db", std::ios::trunc); },
       "/sql/portal.db", "generation is none", "sql"},
      {"kv-emptied",
       [](const std::string& d) {
         fs::remove_all(d + "/kv");
         with_kv(d, [](KvStore&) {});
       },
       "/kv", "generation is none", "kv-log"},
      {"kv-old", [&](const std::string& d) { replace(dirs.old + "/kv", d + "/kv"); }, "/kv",
       "generation is 1, and 3 was expected", "generation"},
      {"portal-old",
       [&](const std::string& d) { replace(dirs.old + "/sql/portal.db", d + "/sql/portal.db"); },
       "/sql/portal.db", "generation is 1, and 3 was expected", "generation"},
      {"ledger-other",
       [&](const std::string& d) { replace(dirs.other + "/sql/ledger.db", d + "/sql/ledger.db"); },
       "/sql/ledger.db belongs to another data directory", "as the ids of two directories do",
       "generation"},
      {"kv-other", [&](const std::string& d) { replace(dirs.other + "/kv", d + "/kv"); }, "/kv",
       "belongs to another data directory", "generation"},
      {"ledger-flipped",
       [](const std::string& d) {
         StoreMark mark = directory_mark(d).mark;
         mark.store_id = flipped(mark.store_id);
         with_db(d, "ledger.db", [&](Database& db) { REQUIRE(write_mark(db, mark).ok()); });
       },
       "/sql/ledger.db belongs to another data directory, or its mark is damaged",
       "differ in 1 of 36 characters, as a mark does that is damaged", "generation"},
      {"file-flipped",
       [](const std::string& d) {
         DirectoryMark mark = directory_mark(d);
         mark.mark.store_id = flipped(mark.mark.store_id);
         REQUIRE(write_directory_mark(d, mark).ok());
       },
       "/store.json belongs to another data directory, or its mark is damaged",
       "differ in 1 of 36 characters, as a mark does that is damaged", "generation"},
      {"file-lost", [](const std::string& d) { fs::remove(d + "/store.json"); }, "/store.json",
       "missing", "generation"},
      {"file-old",
       [&](const std::string& d) { replace(dirs.old + "/store.json", d + "/store.json"); }, "/kv",
       "generation is 3, and 1 was expected", "generation"},
      {"file-and-stores-lost",
       [](const std::string& d) {
         for (const char* name : {"/store.json", "/sql", "/kv"}) fs::remove_all(d + name);
       },
       "charges.journal", "has lost its stores", "generation"},
      {"audit-cut",
       [](const std::string& d) {
         run_sql(d, "ledger.db",
                 "DELETE FROM kv_audit WHERE seq = (SELECT max(seq) FROM kv_audit)");
       },
       "/sql/ledger.db", "has lost rows of kv_audit", "sql"},
  };
  for (const auto& row : rows) {
    const std::string dir = dirs.copy(row.name);
    row.accident(dir);
    // Also when it is tried again: the refused start has made nothing that would let it pass.
    for (int i = 0; i < 2; i++) {
      const Status refused = start(dir);
      INFO(row.name << ": " << refused.to_string());
      CHECK(refused.code() == Code::kConflict);
      CHECK(refused.message().find(dir) != std::string::npos);
      CHECK(refused.message().find(row.names) != std::string::npos);
      CHECK(refused.message().find(row.finding) != std::string::npos);
      CHECK(refused.message().find("a backup") != std::string::npos);
      CHECK(refused.message().find("--accept " + std::string(row.accept)) != std::string::npos);
    }
  }
  CHECK(start(dirs.copy("untouched")).ok());
}

TEST_CASE("store marks: a start that was cut off at any of its writes is completed",
          "[unit][app]") {
  const Directories dirs;
  const StoreMark next{directory_mark(dirs.used).mark.store_id, 4, kDataFormat};
  for (int writes = 1; writes <= 4; writes++) {
    const std::string dir = dirs.copy("cut" + std::to_string(writes));
    REQUIRE(write_directory_mark(dir, {next, false}).ok());
    if (writes >= 2) with_kv(dir, [&](KvStore& kv) { REQUIRE(write_mark(kv, next).ok()); });
    for (const auto& [name, at] : {std::pair("ledger.db", 3), std::pair("portal.db", 4)}) {
      if (writes < at) continue;
      with_db(dir, name, [&](Database& db) { REQUIRE(write_mark(db, next).ok()); });
    }
    const Status started = start(dir);
    INFO(writes << ": " << started.to_string());
    CHECK(started.ok());
    CHECK(directory_mark(dir).mark == next);
    CHECK(directory_mark(dir).through);
  }
  // In another order it is none.
  const std::string dir = dirs.copy("no-order");
  REQUIRE(write_directory_mark(dir, {next, false}).ok());
  with_db(dir, "portal.db", [&](Database& db) { REQUIRE(write_mark(db, next).ok()); });
  const Status refused = start(dir);
  INFO(refused.to_string());
  CHECK(refused.message().find("portal.db is not of the same moment") != std::string::npos);
}

TEST_CASE("store marks: a first start that was cut off is one all the same", "[unit][app]") {
  const Directories dirs;
  for (const bool kv : {false, true}) {
    const std::string dir = dirs.places.file(kv ? "with-kv" : "file-alone");
    fs::create_directory(dir);
    fs::copy_file(dirs.used + "/master.key", dir + "/master.key");
    const StoreMark first{directory_mark(dirs.used).mark.store_id, 1, kDataFormat};
    REQUIRE(write_directory_mark(dir, {first, false}).ok());
    if (kv) with_kv(dir, [](KvStore&) {});
    const Status started = start(dir);
    INFO(started.to_string());
    CHECK(started.ok());
    CHECK(marks_in(dir).portal == first);
  }
}

TEST_CASE("store marks: a directory of before is marked once, unless it has lost a store",
          "[unit][app]") {
  const Directories dirs;
  const std::string dir = dirs.copy("before");
  remove_marks(dir);
  REQUIRE(start(dir).ok());
  CHECK(directory_mark(dir).mark.generation == 1);
  CHECK(directory_mark(dir).through);
  REQUIRE(start(dir).ok());
  CHECK(directory_mark(dir).mark.generation == 2);

  const std::string lost = dirs.copy("before-lost");
  remove_marks(lost);
  fs::remove_all(lost + "/sql");
  for (int i = 0; i < 2; i++) {
    CHECK(start(lost).message().find("ledger.db is missing") != std::string::npos);
  }
  const std::string emptied = dirs.copy("before-emptied");
  remove_marks(emptied);
  run_sql(emptied, "portal.db", "DELETE FROM projects");
  CHECK(start(emptied).message().find("portal.db has no project") != std::string::npos);
  const std::string no_kv = dirs.copy("before-no-kv");
  remove_marks(no_kv);
  fs::remove_all(no_kv + "/kv");
  CHECK(start(no_kv).message().find("/kv is missing") != std::string::npos);
}

TEST_CASE("store marks: newer data is refused in a sentence, and a damaged mark too",
          "[unit][app]") {
  const Directories dirs;
  const std::string dir = dirs.copy("newer");
  const std::string format = std::to_string(kDataFormat + 1);
  std::ofstream(store_file_path(dir)) << "{\"format\": " + format + R"(, "shape": "unknown"})";
  const Status refused = start(dir);
  INFO(refused.to_string());
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.message().find("store.json was written by a newer kvcs, in data format " +
                               format) != std::string::npos);
  const std::string in_kv = dirs.copy("newer-kv");
  with_kv(in_kv, [&](KvStore& kv) {
    StoreMark mark = directory_mark(in_kv).mark;
    mark.format = kDataFormat + 1;
    REQUIRE(write_mark(kv, mark).ok());
  });
  CHECK(start(in_kv).message().find("newer kvcs") != std::string::npos);
  std::ofstream(store_file_path(dir), std::ios::trunc) << "{";
  CHECK(start(dir).message().find("store.json is damaged") != std::string::npos);
}

TEST_CASE("store marks: an audit that retention has emptied is no lost one", "[unit][app]") {
  const Directories dirs;
  const std::string dir = dirs.copy("pruned");
  run_sql(dir, "ledger.db",
          "DELETE FROM kv_audit; INSERT INTO ledger_state (name, value) VALUES ('audit_anchor',"
          " (SELECT value FROM ledger_state WHERE name = 'audit_head'))");
  const Status started = start(dir);
  INFO(started.to_string());
  CHECK(started.ok());
}

TEST_CASE("store marks: an import does not bring the mark of another directory", "[unit][app]") {
  TestApp app;
  const RawResponse put =
      app.as_owner("PUT", "/admin/kv/bulk", R"([{"key":"system:store_mark","value":"theirs"},
                                   {"key":"some","value":"value"}])");
  INFO(put.body);
  CHECK(put.status == 200);
  CHECK(app.as_owner("GET", "/admin/kv/config/values/some").status == 200);
  app.restart();
}
