// Goal: rows, quota and blobs stay in step, whatever fails, races or dies in between.
#include <thread>

#include "artifact_world.h"

namespace kvcs {
namespace {
using test::ArtifactWorld;
}

TEST_CASE("an artifact goes from pending to ready and away again", "[artifacts][unit]") {
  ArtifactWorld w(GENERATE(false, true));
  auto made = w.create("bytes", w.acme);
  REQUIRE(made.ok());
  CHECK_FALSE(w.service->find(made->id)->ready);
  CHECK(w.used(w.acme).artifacts == 1);
  CHECK(w.used(w.acme).storage_bytes == 5);
  CHECK(w.service->confirm(w.acme, made->id, {}).status().message() == "Artifact data not found");
  REQUIRE(w.put(*made, "bytes").ok());
  CHECK_FALSE(w.service->find(made->id)->ready);
  REQUIRE(w.service->confirm(w.acme, made->id, {}).ok());
  REQUIRE(w.service->confirm(w.acme, made->id, {made->sha256, 5}).ok());
  CHECK(w.service->find(made->id)->ready);
  CHECK(w.used(w.acme).artifacts == 1);
  REQUIRE(w.put(*made, "bytes").ok());
  REQUIRE(w.service->remove(w.acme, made->id, "r1").ok());
  CHECK(w.service->find(made->id).code() == Code::kNotFound);
  CHECK(w.used(w.acme).artifacts == 0);
  CHECK(w.used(w.acme).storage_bytes == 0);
  CHECK(w.blob_count() == 0);
  const auto audits = w.audits();
  REQUIRE(audits.size() == 2);
  CHECK(audits[0].find("\"action\":\"confirm\"") != std::string::npos);
  CHECK(audits[1].find("\"action\":\"delete\"") != std::string::npos);
  CHECK(audits[1].find("\"actor\":\"projectkey:key-acme\"") != std::string::npos);
  CHECK(audits[1].find("\"request_id\":\"r1\"") != std::string::npos);
}

TEST_CASE("confirm compares the uploader's words with what is stored, size first",
          "[artifacts][unit]") {
  ArtifactWorld w;
  auto made = w.create("bytes", w.acme);
  REQUIRE(w.put(*made, "bytes").ok());
  const std::string wrong = sha256_hex("else");
  const Status size = w.service->confirm(w.acme, made->id, {wrong, 6}).status();
  CHECK(size.message() == "size mismatch");
  CHECK(size.details_json() == R"({"expected":6,"actual":5})");
  const Status digest = w.service->confirm(w.acme, made->id, {wrong, 5}).status();
  CHECK(digest.message() == "sha256 mismatch");
  CHECK(digest.details_json() ==
        "{\"expected\":\"" + wrong + "\",\"actual\":\"" + made->sha256 + "\"}");
  CHECK_FALSE(w.service->find(made->id)->ready);
  CHECK(w.service->confirm(w.acme, made->id, {}).ok());
}

TEST_CASE("knowing a digest does not give its bytes", "[artifacts][unit]") {
  ArtifactWorld w;
  w.store("secret of acme", w.acme);
  auto thief = w.create("secret of acme", w.other);
  REQUIRE(thief.ok());
  CHECK(w.service->confirm(w.other, thief->id, {}).status().message() == "Artifact data not found");
  REQUIRE(w.put(*thief, "secret of acme").ok());
  CHECK(w.service->confirm(w.other, thief->id, {}).ok());
  CHECK(w.blob_count() == 1);
}

TEST_CASE("a blob goes with the last artifact that names it", "[artifacts][unit]") {
  ArtifactWorld w(true);
  const Artifact first = w.store("shared", w.acme);
  const Artifact second = w.store("shared", w.other);
  REQUIRE(w.service->remove(w.acme, first.id, "").ok());
  CHECK(w.has_blob("shared"));
  CHECK(w.service->open_bytes(second).ok());
  REQUIRE(w.service->remove(w.other, second.id, "").ok());
  CHECK_FALSE(w.has_blob("shared"));
}

TEST_CASE("another organization's artifacts do not exist", "[artifacts][unit]") {
  ArtifactWorld w;
  const Artifact a = w.store("mine", w.acme);
  CHECK(w.service->find_own(w.other, a.id).code() == Code::kNotFound);
  CHECK(w.service->confirm(w.other, a.id, {}).code() == Code::kNotFound);
  CHECK(w.service->set_visibility(w.other, a.id, true, "").code() == Code::kNotFound);
  CHECK(w.service->remove(w.other, a.id, "").code() == Code::kNotFound);
  CHECK(w.service->find(a.id).ok());
}

TEST_CASE("an upload without digest and size gets both from its body, until confirmed",
          "[artifacts][unit]") {
  ArtifactWorld w;
  Artifact draft = w.draft("", w.acme);
  draft.sha256.clear();
  auto made = w.service->create(draft);
  REQUIRE(w.put(*made, "first").ok());
  CHECK(w.service->find(made->id)->sha256 == sha256_hex("first"));
  REQUIRE(w.put(*made, "second one").ok());
  CHECK(w.used(w.acme).storage_bytes == 10);
  auto ready = w.service->confirm(w.acme, made->id, {});
  REQUIRE(ready.ok());
  CHECK(ready->sha256 == sha256_hex("second one"));
  CHECK(w.put(*made, "third").message() == "size mismatch");
  CHECK(w.put(*made, "third  one").message() == "sha256 mismatch");
  CHECK(w.put(*made, "second one").ok());
  CHECK(w.used(w.acme).storage_bytes == 10);
}

TEST_CASE("many bodies to one URL leave the last one", "[artifacts][unit]") {
  ArtifactWorld w(true);
  Artifact wanted = w.draft("", w.acme);
  wanted.sha256.clear();
  wanted.size_bytes = 0;
  const auto made = w.service->create(wanted);
  REQUIRE(made.ok());
  const auto send = [&](const std::string& bytes) {
    auto put = w.service->begin_put({"PUT", made->id, 0, "", 0}, bytes.size());
    REQUIRE(put.ok());
    REQUIRE(put->writer->append(bytes).ok());
    return put;
  };
  for (int i = 0; i < 20; i++) {
    auto put = send("body " + std::to_string(i));
    REQUIRE(w.service->finish_put(*put).ok());
    CHECK(w.blob_count() == 1);
  }
  // The same bytes once more replace nothing.
  {
    auto same = send("body 19");
    REQUIRE(w.service->finish_put(*same).ok());
  }
  CHECK(w.has_blob("body 19"));
  CHECK(w.blob_count() == 1);
  REQUIRE(w.service->confirm(w.acme, made->id, {}).ok());
}

TEST_CASE("a body that comes to its end after the confirmation leaves no blob",
          "[artifacts][unit]") {
  ArtifactWorld w(true);
  Artifact wanted = w.draft("", w.acme);
  wanted.sha256.clear();
  wanted.size_bytes = 0;
  const auto made = w.service->create(wanted);
  REQUIRE(made.ok());
  REQUIRE(w.put(*made, "first").ok());
  auto late = w.service->begin_put({"PUT", made->id, 0, "", 0}, 5);
  REQUIRE(late.ok());
  REQUIRE(late->writer->append("other").ok());
  REQUIRE(w.service->confirm(w.acme, made->id, {}).ok());
  CHECK(w.service->finish_put(*late).status().reason() == "confirmed_meanwhile");
  CHECK(w.has_blob("first"));
  CHECK(w.blob_count() == 1);
  CHECK(w.service->open_bytes(w.service->find(made->id).value()).ok());
}

TEST_CASE("one URL takes one upload at a time, also once its artifact is ready",
          "[artifacts][unit]") {
  ArtifactWorld w(true);
  const auto first = w.create("first", w.acme), other = w.create("other", w.acme);
  const auto begin = [&](const Artifact& a) {
    return w.service->begin_put({"PUT", a.id, a.size_bytes, a.sha256, 0}, a.size_bytes);
  };
  for (const bool is_ready : {false, true}) {
    INFO(is_ready);
    auto slow = begin(*first);
    REQUIRE(slow.ok());
    const Status refused = begin(*first).status();
    CHECK(refused.code() == Code::kRateLimited);
    CHECK(refused.reason() == "upload_in_progress");
    CHECK(refused.retry_after_s() == 5);
    CHECK(begin(*other).ok());
    REQUIRE(slow->writer->append("first").ok());
    REQUIRE(w.service->finish_put(*slow).ok());
    CHECK(begin(*first).code() == Code::kRateLimited);  // Until the request has ended.
    slow->turn.reset();
    CHECK(begin(*first).ok());
    if (!is_ready) REQUIRE(w.service->confirm(w.acme, first->id, {}).ok());
  }
  CHECK(w.service->refused().by_turn == 4);
  // One that was refused for another reason, or broken off, leaves its turn to the next.
  CHECK(w.service->begin_put({"PUT", other->id, 5, other->sha256, 0}, 4).code() == Code::kInvalid);
  CHECK(begin(*other).ok());
  CHECK(begin(*other).ok());
}

TEST_CASE("uploads at the same time cannot pass the quota", "[artifacts][unit]") {
  ArtifactConfig config;
  config.quota.artifacts = 20;
  config.quota.storage_bytes = 55;
  ArtifactWorld w(false, config);
  std::vector<std::thread> clients;
  std::atomic<int> made{0}, refused{0};
  for (int i = 0; i < 100; i++) {
    clients.emplace_back([&, i] {
      const auto outcome = w.create("five" + std::to_string(i % 10), w.acme);
      if (outcome.ok()) made++;
      if (outcome.status().reason() == "quota_exceeded") refused++;
    });
  }
  for (auto& client : clients) client.join();
  CHECK(made == 11);
  CHECK(refused == 89);
  CHECK(w.used(w.acme).storage_bytes == 55);
  CHECK(w.create("five!", w.other).ok());
}

TEST_CASE("a refusal by quota names what is used and the limit", "[artifacts][unit]") {
  ArtifactConfig config;
  config.quota.artifacts = 1;
  ArtifactWorld w(false, config);
  REQUIRE(w.create("a", w.acme).ok());
  const Status refused = w.create("b", w.acme).status();
  CHECK(refused.code() == Code::kForbidden);
  CHECK(refused.message().find("1 of 1") != std::string::npos);
  CHECK(refused.details_json() == R"({"resource":"artifacts","used":1,"requested":1,"limit":1})");
  // A body that grows over the quota is refused before it is read.
  w.config.quota = {10, 10, 10, 8};
  w.restart();
  Artifact draft = w.draft("", w.acme);
  draft.sha256.clear();
  auto open_size = w.service->create(draft);
  REQUIRE(open_size.ok());
  CHECK(w.put(*open_size, "123456789").reason() == "quota_exceeded");
  CHECK(w.put(*open_size, "1234567").ok());
}

TEST_CASE("a limit lowered meanwhile stops the confirmation", "[artifacts][unit]") {
  ArtifactWorld w;
  auto made = w.create("bytes", w.acme);
  REQUIRE(w.put(*made, "bytes").ok());
  w.config.quota.storage_bytes = 4;
  w.restart();
  CHECK(w.service->confirm(w.acme, made->id, {}).status().reason() == "quota_exceeded");
  CHECK_FALSE(w.service->find(made->id)->ready);
}

TEST_CASE("the sweep takes away what was never confirmed, and nothing else", "[artifacts][unit]") {
  ArtifactWorld w(true);
  const Artifact kept = w.store("kept", w.acme);
  auto half = w.create("half", w.acme);
  auto uploaded = w.create("kept", w.acme);
  auto lonely = w.create("lonely", w.acme);
  REQUIRE(w.put(*uploaded, "kept").ok());
  REQUIRE(w.put(*lonely, "lonely").ok());
  CHECK(w.service->sweep()->expired_uploads == 0);
  w.clock.advance_ms(w.config.pending_lifetime_s * 1000);
  const auto report = w.service->sweep();
  REQUIRE(report.ok());
  CHECK(report->expired_uploads == 3);
  CHECK(report->freed_bytes == 6);
  CHECK(w.has_blob("kept"));
  CHECK_FALSE(w.has_blob("lonely"));
  CHECK(w.used(w.acme).artifacts == 1);
  CHECK(w.used(w.acme).storage_bytes == 4);
  CHECK(w.put(*half, "half").code() == Code::kNotFound);
  CHECK(w.service->find(kept.id).ok());
}

TEST_CASE("the sweep takes orphan blobs once they are old", "[artifacts][unit]") {
  ArtifactConfig config;
  config.orphan_age_s = GENERATE(0, 3600);
  ArtifactWorld w(true, config);
  w.store("named", w.acme);
  auto writer = w.base->begin_write("", 6);
  REQUIRE((*writer)->append("orphan").ok());
  REQUIRE((*writer)->finish().ok());
  const auto report = w.service->sweep();
  REQUIRE(report.ok());
  CHECK(report->orphan_blobs == (config.orphan_age_s == 0 ? 1 : 0));
  CHECK(w.has_blob("named"));
  CHECK(w.has_blob("orphan") == (config.orphan_age_s != 0));
  CHECK(w.shelf(BlobShelf::kTrash).size() == (config.orphan_age_s == 0 ? 1 : 0));
}

TEST_CASE("a process that dies at any step of an upload leaves nothing after the sweep",
          "[artifacts][fault]") {
  ArtifactConfig config;
  config.orphan_age_s = 0;
  ArtifactWorld w(true, config);
  const int step = GENERATE(0, 1, 2, 3);
  auto made = w.create("bytes", w.acme);
  if (step == 1) {  // In mid-body.
    auto put = w.service->begin_put({"PUT", made->id, 5, made->sha256, 0}, 5);
    REQUIRE(put->writer->append("byt").ok());
  } else if (step == 2) {  // The blob is in place, the row does not know.
    auto put = w.service->begin_put({"PUT", made->id, 5, made->sha256, 0}, 5);
    REQUIRE(put->writer->append("bytes").ok());
    REQUIRE(put->writer->finish().ok());
  } else if (step == 3) {  // Not confirmed.
    REQUIRE(w.put(*made, "bytes").ok());
  }
  w.restart();
  CHECK(w.service->list({.organization_id = w.acme.organization_id})->items.empty());
  w.clock.advance_ms(w.config.pending_lifetime_s * 1000);
  REQUIRE(w.service->sweep().ok());
  CHECK(w.blob_count() == 0);
  CHECK(w.used(w.acme).artifacts == 0);
  CHECK(w.used(w.acme).storage_bytes == 0);
}

TEST_CASE("a delete that dies before the bytes are gone is finished by the sweep",
          "[artifacts][fault]") {
  ArtifactConfig config;
  config.orphan_age_s = 0;
  ArtifactWorld w(true, config);
  const Artifact a = w.store("bytes", w.acme);
  w.store("others", w.other);
  w.blob_fault = [](std::string_view op) { return op == "remove" ? unavailable("died") : ok(); };
  CHECK(w.service->remove(w.acme, a.id, "").ok());
  CHECK(w.has_blob("bytes"));
  w.blob_fault = nullptr;
  w.restart();
  CHECK(w.service->sweep()->orphan_blobs == 1);
  CHECK_FALSE(w.has_blob("bytes"));
}

TEST_CASE("a full disk in mid-upload leaves nothing behind and can be repeated",
          "[artifacts][fault]") {
  ArtifactWorld w(true);
  const std::string failing = GENERATE("begin_write", "append", "finish");
  auto made = w.create("bytes", w.acme);
  w.blob_fault = [&](std::string_view op) {
    return op == failing ? unavailable("No space left.") : ok();
  };
  CHECK(w.put(*made, "bytes").code() == Code::kUnavailable);
  CHECK(w.blob_count() == 0);
  w.blob_fault = nullptr;
  CHECK(w.put(*made, "bytes").ok());
  CHECK(w.service->confirm(w.acme, made->id, {}).ok());
}

TEST_CASE("a database that fails at confirm changes nothing", "[artifacts][fault]") {
  ArtifactWorld w;
  auto made = w.create("bytes", w.acme);
  REQUIRE(w.put(*made, "bytes").ok());
  w.disk.fail_from(test::FaultVfs::Op::kSync, 1, test::FaultVfs::Fault::kIoError);
  CHECK_FALSE(w.service->confirm(w.acme, made->id, {}).ok());
  w.disk.heal();
  CHECK_FALSE(w.service->find(made->id)->ready);
  REQUIRE(w.service->confirm(w.acme, made->id, {}).ok());
  CHECK(w.used(w.acme).artifacts == 1);
}

TEST_CASE("downloads are gathered, shown at once, and written together", "[artifacts][fault]") {
  ArtifactWorld w;
  const Artifact a = w.store("bytes", w.acme);
  const auto shown = [&] { return w.service->find_own(w.acme, a.id)->downloads; };
  const auto written = [&] { return w.service->find(a.id)->downloads; };
  const uint64_t jobs = w.writer->stats().jobs;
  for (int i = 0; i < 5; i++) REQUIRE(w.service->count_download(a.id).ok());
  CHECK(w.writer->stats().jobs == jobs);
  CHECK(shown() == 5);
  CHECK(written() == 0);
  // What the disk does not take waits.
  w.disk.fail_from(test::FaultVfs::Op::kSync, 1, test::FaultVfs::Fault::kIoError);
  CHECK_FALSE(w.service->flush_downloads().ok());
  w.disk.heal();
  CHECK(shown() == 5);
  REQUIRE(w.service->count_download(a.id).ok());
  REQUIRE(w.service->flush_downloads().ok());
  CHECK(written() == 6);
  CHECK(shown() == 6);
  // No more wait than fit: the next one writes them.
  const uint64_t before = w.writer->stats().jobs;
  for (size_t i = 0; i < kDownloadCountsMax; i++) {
    REQUIRE(w.service->count_download("gone-" + std::to_string(i)).ok());
  }
  // One that waits already needs no room.
  REQUIRE(w.service->count_download("gone-0").ok());
  CHECK(w.writer->stats().jobs == before);
  REQUIRE(w.service->count_download(a.id).ok());
  CHECK(w.writer->stats().jobs == before + 1);
  CHECK(shown() == 7);
  CHECK(written() == 6);
}

TEST_CASE("deletes and uploads of the same bytes at once never lose confirmed ones",
          "[artifacts][unit]") {
  ArtifactWorld w(true);
  std::vector<std::thread> clients;
  std::atomic<int> broken{0};
  for (int i = 0; i < 8; i++) {
    clients.emplace_back([&, i] {
      for (int round = 0; round < 15; round++) {
        auto made = w.create("same bytes", i % 2 == 0 ? w.acme : w.other);
        const Principal& who = i % 2 == 0 ? w.acme : w.other;
        if (!w.put(*made, "same bytes").ok()) continue;
        const auto ready = w.service->confirm(who, made->id, {});
        if (ready.ok() && !w.service->open_bytes(*ready).ok()) broken++;
        if (!w.service->remove(who, made->id, "").ok()) broken++;
      }
    });
  }
  for (auto& client : clients) client.join();
  CHECK(broken == 0);
  CHECK(w.blob_count() == 0);
  CHECK(w.used(w.acme).artifacts == 0);
}

}  // namespace kvcs
