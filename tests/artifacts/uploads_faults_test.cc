// Goal: whatever fails, races or dies, an offset that was answered is there again, nothing is left
// behind or counted twice, and nobody gets past the quota.
// Method: requests over stores that fail by plan, connections that are cut, and a service that is
// made anew at each step as after a death.
#include <mutex>
#include <set>

#include "base/thread.h"
#include "support/wait.h"
#include "uploads_world.h"

namespace kvcs {
namespace {

using test::RawClient;
using test::RawResponse;
using test::TusDoor;

const std::pair<uint64_t, uint64_t> kNothing{0, 0};

// A PATCH whose body stops short of its length; the connection stays open.
std::string half_patch(const std::string& path, size_t offset, size_t length,
                       const std::string& more = "") {
  return "PATCH " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\n" +
         "Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\n" + more +
         "Upload-Offset: " + std::to_string(offset) +
         "\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

}  // namespace

TEST_CASE("tus: what has come of a request that was cut is kept", "[artifacts][tus][fault]") {
  TusDoor d(GENERATE(false, true));
  const std::string bytes(2'000'000, 'x');
  const std::string path = d.begin(bytes);
  {
    RawClient client(d.server.port());
    REQUIRE(client.send(half_patch(path, 0, bytes.size()) + bytes.substr(0, 1'500'000)));
    test::wait_until([&] { return d.arrived(path) == 1'500'000; }, "the bytes are there");
    client.reset();
  }
  // The server sees the end, and the next request may go on.
  test::wait_until([&] { return d.patch(path, 1'500'000, bytes.substr(1'500'000)).status == 204; },
                   "the upload goes on");
  CHECK(d.is_ready(path));
  CHECK(d.w.has_blob(bytes));
}

TEST_CASE("tus: bytes under a checksum that were cut are not kept", "[artifacts][tus][fault]") {
  TusDoor d;
  const std::string path = d.begin("0123456789");
  {
    RawClient client(d.server.port());
    REQUIRE(client.send(half_patch(path, 0, 10, "Upload-Checksum: sha1 AAAA\r\n") + "01234"));
    test::wait_until([&] { return d.arrived(path) == 5; }, "bytes have come");
    CHECK(d.offset(path) == "0");
    client.reset();
  }
  test::wait_until([&] { return d.patch(path, 0, "0123456789").status == 204; },
                   "the upload begins anew");
  CHECK(d.is_ready(path));
}

TEST_CASE("tus: bytes of an artifact that was deleted are waited for no longer",
          "[artifacts][tus][fault]") {
  TusDoor d;
  const std::string path = d.begin("0123456789");
  RawClient client(d.server.port());
  REQUIRE(client.send(half_patch(path, 0, 10) + "01234"));
  test::wait_until([&] { return d.arrived(path) == 5; }, "bytes have come");
  REQUIRE(d.w.service->remove(d.w.acme, TusDoor::id_of(path), "").ok());
  d.w.clock.advance_ms(61'000);
  REQUIRE(client.send("5"));
  CHECK(client.read_response().status == 404);
  CHECK(d.used() == kNothing);
}

TEST_CASE("tus: one request at a time works on an upload", "[artifacts][tus]") {
  TusDoor d;
  const std::string path = d.begin("0123456789");
  RawClient client(d.server.port());
  REQUIRE(client.send(half_patch(path, 0, 10) + "01234"));
  test::wait_until([&] { return d.arrived(path) == 5; }, "the first is at work");
  CHECK(d.head(path).status == 200);
  const RawResponse refused = d.patch(path, 5, "56789");
  CHECK(refused.status == 423);
  CHECK(refused.body.find("takes one at a time") != std::string::npos);
  CHECK(d.send("DELETE", path).status == 423);
  REQUIRE(client.send("56789"));
  CHECK(client.read_response().status == 204);
  CHECK(d.is_ready(path));
}

TEST_CASE("tus: many who begin at once do not pass the quota together", "[artifacts][tus]") {
  ArtifactConfig config;
  config.quota.storage_bytes = 1000;
  config.quota.artifacts = 5;
  TusDoor d(true, config);
  std::atomic<int> made = 0, refused = 0;
  {
    std::vector<std::unique_ptr<Thread>> threads;
    for (int i = 0; i < 8; i++) {
      threads.push_back(std::make_unique<Thread>("begin", [&, i] {
        const bool is_part = i % 2 == 0;
        for (int n = 0; n < 4; n++) {
          TusDoor::Headers ask = {{"Upload-Length", "150"}};
          ask.push_back(is_part ? std::pair<std::string, std::string>{"Upload-Concat", "partial"}
                                : std::pair<std::string, std::string>{"Upload-Metadata",
                                                                      TusDoor::metadata("")});
          const int status = d.create(ask).status;
          (status == 201 ? made : refused) += 1;
          if (status != 201 && status != 403) refused += 1000;
        }
      }));
    }
  }
  CHECK(made + refused == 32);
  CHECK(made == 6);
  CHECK(d.used().second == 900);
}

TEST_CASE("tus: a key and an organization have so many uploads open", "[artifacts][tus]") {
  ArtifactConfig config;
  config.resumable_open_key = 2;
  config.resumable_open_organization = 3;
  TusDoor d(true, config);
  const std::string first = d.begin("one");
  const std::string part = d.part("two");
  const TusDoor::Headers ask = {{"Upload-Length", "3"}, {"Upload-Metadata", TusDoor::metadata("")}};
  const RawResponse refused = d.create(ask);
  CHECK(refused.status == 429);
  CHECK(refused.body.find("This key has 2 unfinished uploads") != std::string::npos);
  CHECK(d.create(ask, "", "sibling").status == 201);
  const RawResponse full = d.create(ask, "", "sibling");
  CHECK(full.status == 429);
  CHECK(full.body.find("This organization has 3") != std::string::npos);
  CHECK(d.create(ask, "", "other").status == 201);
  CHECK(d.patch(first, 0, "one").status == 204);
  CHECK(d.create(ask, "", "sibling").status == 201);
}

TEST_CASE("tus: a full disk says so, and keeps what was acknowledged", "[artifacts][tus][fault]") {
  TusDoor d(GENERATE(false, true));
  const std::string op = GENERATE("open_staged", "append_staged");
  const std::string path = d.begin("0123456789");
  CHECK(d.patch(path, 0, "01234").status == 204);
  d.w.blob_fault = [op](std::string_view what) {
    return what == op ? unavailable("The disk is full.").with_reason("disk_full") : ok();
  };
  const RawResponse full = d.patch(path, 5, "56789");
  CHECK(full.status == 507);
  CHECK(full.body.find("The disk is full") != std::string::npos);
  d.w.blob_fault = nullptr;
  CHECK(d.offset(path) == "5");
  CHECK(d.patch(path, 5, "56789").status == 204);
  CHECK(d.is_ready(path));
}

TEST_CASE("tus: what the disk has no room for is refused before a byte of it is sent",
          "[artifacts][tus][fault]") {
  TusDoor d;
  thread_local bool t_is_writer = false;
  std::atomic<int> asked{0}, asked_by_writer{0};
  d.w.sql_fault = [](std::string_view op, std::string_view what) {
    if (op == "begin" && what == "write") t_is_writer = true;
    return ok();
  };
  d.w.blob_fault = [&](std::string_view what) {
    if (what != "check_room") return ok();
    asked++;
    if (t_is_writer) asked_by_writer++;
    return unavailable("The disk is full.").with_reason("disk_full");
  };
  const auto announce = [&] {
    return d.create({{"Upload-Length", "10"}, {"Upload-Metadata", d.metadata("0123456789")}});
  };
  const RawResponse whole = announce();
  INFO(whole.body);
  CHECK(whole.status == 507);
  CHECK(whole.body.find("The disk is full") != std::string::npos);
  CHECK(d.create({{"Upload-Length", "10"}, {"Upload-Concat", "partial"}}).status == 507);
  CHECK(d.w.create("0123456789", d.w.acme).status().reason() == "disk_full");
  // No change of others waits for the disk, and nothing is left of what it refused.
  CHECK(asked == 3);
  CHECK(asked_by_writer == 0);
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{0, 0});
  d.w.sql_fault = nullptr;
  d.w.blob_fault = nullptr;
  CHECK(announce().status == 201);
}

TEST_CASE("tus: an answer that is not on disk is not given", "[artifacts][tus][fault]") {
  TusDoor d;
  const std::string path = d.begin("0123456789");
  const auto fail_at = [&](std::string_view op) {
    d.w.blob_fault = [op](std::string_view what) {
      return what == op ? unavailable("It does not sync.") : ok();
    };
  };
  fail_at("keep_staged");
  CHECK(d.patch(path, 0, "01234").status == 503);
  fail_at("staged_size");
  CHECK(d.head(path).status == 503);
  d.w.blob_fault = nullptr;
  CHECK(d.offset(path) == "5");
}

// Each step towards the end is the last one before a death, once.
TEST_CASE("tus: an end that was cut off anywhere is gone on with", "[artifacts][tus][fault]") {
  TusDoor d(GENERATE(false, true));
  const bool in_parts = GENERATE(false, true);
  const std::string bytes = "0123456789";
  struct Cut {
    std::string op;   // Of the blob store, or "" for SQL
    std::string sql;  // Part of its text.
  };
  const std::vector<Cut> cuts = {{"staged_digest", ""},
                                 {"", "UPDATE uploads SET sealed_sha256"},
                                 {"publish_staged", ""},
                                 {"stat", ""},
                                 {"", "UPDATE artifacts SET status = 'ready'"},
                                 {"", "UPDATE uploads SET done_ms"}};
  for (const Cut& cut : cuts) {
    INFO(cut.op << cut.sql << (in_parts ? " in parts" : ""));
    const auto fail = [&] {
      d.w.blob_fault = [&cut](std::string_view op) {
        return op == cut.op ? unavailable("It has died.") : ok();
      };
      if (!cut.sql.empty()) {
        d.w.sql_fault = [&cut](std::string_view, std::string_view text) {
          return text.find(cut.sql) != text.npos ? unavailable("It has died.") : ok();
        };
      }
    };
    const auto live = [&] {
      d.w.blob_fault = nullptr;
      d.w.sql_fault = nullptr;
      d.w.restart();
    };
    std::string path;
    if (in_parts) {
      const std::string pa = d.part("01234"), pb = d.part("56789");
      fail();
      CHECK(d.join(pa + " " + pb, bytes).status >= 500);
      live();
      CHECK(d.offset(pa) == "5");
      path = TusDoor::location(d.join(pa + " " + pb, bytes));
    } else {
      path = d.begin(bytes);
      CHECK(d.patch(path, 0, "01234").status == 204);
      fail();
      CHECK(d.patch(path, 5, "56789").status >= 500);
      CHECK_FALSE(d.is_ready(path));
      live();
      CHECK(d.offset(path) == "10");
    }
    CHECK(d.is_ready(path));
    CHECK(d.w.has_blob(bytes));
    CHECK(d.staged().empty());
    CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 10});
    REQUIRE(d.w.service->remove(d.w.acme, TusDoor::id_of(path), "").ok());
    CHECK(d.w.blob_count() == 0);
    CHECK(d.used() == kNothing);
  }
}

namespace {

// A part of so many bytes, of which none is sent.
std::string location_of_part(TusDoor& d, int bytes) {
  return TusDoor::location(
      d.create({{"Upload-Length", std::to_string(bytes)}, {"Upload-Concat", "partial"}}));
}

}  // namespace

TEST_CASE("tus: uploads that rest too long go, and those at work stay", "[artifacts][tus]") {
  ArtifactConfig config;
  config.resumable_lifetime_s = 1000;
  TusDoor d(true, config);
  const auto pass = [&](int64_t seconds) { d.w.clock.advance_ms(seconds * 1000); };
  const std::string rests = d.begin("rests"), works = d.begin("works");
  const std::string part = d.part("part");
  CHECK(d.patch(rests, 0, "re").status == 204);
  pass(600);
  CHECK(d.patch(works, 0, "wo").status == 204);
  pass(600);
  // Gone before the sweep comes.
  CHECK(d.head(rests).status == 404);
  CHECK(d.head(part).status == 404);
  CHECK(d.offset(works) == "2");
  const auto swept = d.w.uploads->sweep();
  REQUIRE(swept.ok());
  CHECK(swept->expired_parts == 1);
  CHECK(d.w.service->sweep()->expired_uploads == 1);
  CHECK(d.staged() == std::set<std::string>{TusDoor::id_of(works)});
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 5});
  CHECK(d.patch(works, 2, "rks").status == 204);
  CHECK(d.is_ready(works));
  pass(2000);
  REQUIRE(d.w.uploads->sweep().ok());
  CHECK(d.head(works).status == 404);
  CHECK(d.is_ready(works));
}

TEST_CASE("tus: an upload of which nothing comes holds its quota for an hour", "[artifacts][tus]") {
  TusDoor d;
  const auto pass = [&](int64_t minutes) { d.w.clock.advance_ms(minutes * 60'000); };
  // The answers to the first two are lost, as it were.
  const std::string lost = d.begin("lost"), lost_part = d.part(""), begun = d.begin("begun");
  const std::string asked = d.begin("asked"), lost_bytes = location_of_part(d, 7);
  CHECK(d.patch(begun, 0, "be").status == 204);
  pass(40);
  CHECK(d.patch(asked, 0, "").status == 204);
  pass(21);
  CHECK(d.head(lost).status == 404);
  CHECK(d.head(lost_bytes).status == 404);
  // A part of no bytes lacks none.
  CHECK(d.head(lost_part).status == 200);
  CHECK(d.offset(begun) == "2");
  CHECK(d.offset(asked) == "0");
  CHECK(d.w.uploads->sweep()->expired_parts == 1);
  CHECK(d.w.service->sweep()->expired_uploads == 1);
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{2, 10});
  pass(40);
  CHECK(d.head(asked).status == 404);
  pass(20 * 60);
  CHECK(d.offset(begun) == "2");
}

TEST_CASE("tus: a creation that is repeated with its key is answered with the same upload",
          "[artifacts][tus]") {
  TusDoor d;
  const auto create = [&](const std::string& name, const std::string& key,
                          const std::string& length = "10", const std::string& who = "acme") {
    return d.create({{"Upload-Length", length},
                     {"Upload-Metadata", TusDoor::metadata("", ",description " + to_base64(name))},
                     {"Idempotency-Key", key}},
                    "", who);
  };
  const std::string path = TusDoor::location(create("one", "k1"));
  CHECK(TusDoor::location(create("one", "k1")) == path);
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 10});
  // Another key, other words, another length or another caller: another upload.
  std::set<std::string> paths = {path};
  paths.insert(TusDoor::location(create("one", "k2")));
  paths.insert(TusDoor::location(create("two", "k1")));
  paths.insert(TusDoor::location(create("one", "k1", "11")));
  paths.insert(TusDoor::location(create("one", "k1", "10", "sibling")));
  paths.insert(TusDoor::location(create("one", "k1", "10", "other")));
  CHECK(paths.size() == 6);
  // Two keys of one project that ask for the same have an upload each.
  const auto created_by = [&](const std::string& who) {
    const std::string project = ",project_id " + to_base64(d.w.acme.project_id);
    return TusDoor::location(d.create({{"Upload-Length", "10"},
                                       {"Upload-Metadata", TusDoor::metadata("", project)},
                                       {"Idempotency-Key", "k1"}},
                                      "", who));
  };
  CHECK(created_by("acme") == created_by("acme"));
  CHECK(created_by("acme") != created_by("whole_acme"));
  // It tells how far the upload is, and that of a finished one.
  CHECK(d.patch(path, 0, "01234").status == 204);
  CHECK(create("one", "k1").header("upload-offset") == "5");
  CHECK(d.patch(path, 5, "56789").status == 204);
  const RawResponse done = create("one", "k1");
  CHECK(TusDoor::location(done) == path);
  CHECK(done.header("upload-offset") == "10");
  // What was given up, and what has expired, is begun anew.
  const std::string gone = TusDoor::location(create("three", "k3"));
  CHECK(d.send("DELETE", gone).status == 204);
  const std::string again = TusDoor::location(create("three", "k3"));
  CHECK(again != gone);
  d.w.clock.advance_ms((kUnusedUploadLifetimeS + 1) * 1000);
  CHECK(TusDoor::location(create("three", "k3")) != again);
  for (const std::string& bad : {std::string("two words"), std::string(256, 'k')}) {
    const RawResponse refused = create("bad", bad);
    CHECK(refused.status == 400);
    CHECK(refused.body.find("Idempotency-Key: it must have 1 to 255") != std::string::npos);
  }
}

TEST_CASE("tus: of repeated creations at the same time one takes the room that there is",
          "[artifacts][tus][fault]") {
  ArtifactConfig config;
  config.quota.artifacts = 2;
  TusDoor d(true, config);
  for (const bool is_part : {false, true}) {
    std::mutex mutex;
    std::multiset<std::string> answers;
    {
      std::vector<Thread> threads;
      for (int i = 0; i < 4; i++) {
        threads.emplace_back("creation", [&] {
          TusDoor::Headers headers = {{"Upload-Length", "10"}, {"Idempotency-Key", "same"}};
          headers.emplace_back("Upload-Metadata", TusDoor::metadata(""));
          if (is_part) headers.emplace_back("Upload-Concat", "partial");
          const RawResponse made = d.create(headers);
          const std::lock_guard lock(mutex);
          answers.insert(std::to_string(made.status) + " " + made.header("location"));
        });
      }
    }
    REQUIRE(answers.size() == 4);
    CHECK(answers.begin()->starts_with("201 "));
    CHECK(answers.count(*answers.begin()) == 4);
  }
  CHECK(d.used() == std::pair<uint64_t, uint64_t>{1, 20});
}

TEST_CASE("tus: staged bytes without a row are swept", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string path = d.begin("0123456789");
  CHECK(d.patch(path, 0, "01234").status == 204);
  {
    const auto orphan = d.w.base->open_staged("orphan", 0, 5, "", StagedMode::kAsItComes);
    REQUIRE((*orphan)->append("bytes").ok());
  }
  CHECK(d.w.uploads->sweep()->orphans == 1);
  CHECK(d.staged() == std::set<std::string>{TusDoor::id_of(path)});
  CHECK(d.offset(path) == "5");
}

TEST_CASE("tus: a project goes with its uploads", "[artifacts][tus]") {
  TusDoor d(GENERATE(false, true));
  const std::string path = d.begin("bytes"), part = d.part("part");
  CHECK(d.patch(path, 0, "by").status == 204);
  const std::string done = TusDoor::location(d.join(d.part("x") + " " + d.part("y"), "xy"));
  CHECK(d.is_ready(done));
  for (int round = 0; round < 10; round++) {
    if (*d.w.service->remove_some_of(d.w.acme.project_id, 10, "admin", "") == 0) break;
  }
  CHECK(d.staged().empty());
  CHECK(d.used() == kNothing);
  const Status gone = d.w.writer->run([&](Database& db) -> Status {
    auto row = KVCS_TRY(db.prepare("DELETE FROM projects WHERE id = ?"));
    return row.bind(1, d.w.acme.project_id).run();
  });
  CHECK(gone.ok());
}

}  // namespace kvcs
