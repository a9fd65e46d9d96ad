// Goal: shares end by their time, do not fill the store, and count exactly also when the store
// fails. Method: the service alone, on a clock moved by hand.
#include "artifacts/shares.h"

#include "artifact_world.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;

struct Desk {
  ArtifactWorld w;
  bool maker_may = true;
  ShareService shares{*w.writer, *w.readers, w.clock, *w.entropy,
                      [this](const ShareMaker&) -> Result<bool> { return maker_may; }};
  Artifact artifact = w.store("0123456789", w.acme);

  CreatedShare make(NewShare wanted = {}) {
    auto made = shares.create(w.acme, artifact.id, wanted, "r");
    REQUIRE(made.ok());
    return std::move(made).value();
  }
  std::string reason(const CreatedShare& made) {
    return shares.find(made.token.reveal()).status().reason();
  }
};

}  // namespace

TEST_CASE("share service: ends by its time, and by its maker's right", "[unit][artifacts]") {
  Desk d;
  const CreatedShare made = d.make({.expires_in_s = 60});
  CHECK(d.shares.find(made.token.reveal()).ok());
  d.maker_may = false;
  CHECK(d.reason(made) == "share_ended");
  d.maker_may = true;
  d.w.clock.advance_ms(60'000);
  CHECK(d.reason(made) == "share_expired");
  CHECK(d.shares.list(d.w.acme, d.artifact.id)->empty());
  CHECK(*d.shares.remove_expired() == 1);
  CHECK(d.reason(made) == "share_not_found");
  CHECK(*d.shares.remove_expired() == 0);
  CHECK(d.shares.remove(d.w.acme, d.artifact.id, made.share.id, "r").reason() == "share_not_found");
}

TEST_CASE("share service: a list says which links still work", "[unit][artifacts]") {
  Desk d;
  const CreatedShare made = d.make({.downloads_max = 1});
  const auto state = [&] {
    const auto listed = d.shares.list(d.w.acme, d.artifact.id);
    REQUIRE(listed.ok());
    REQUIRE(listed->size() == 1);
    return std::string(share_state_name(listed->front().state));
  };
  CHECK(state() == "active");
  REQUIRE(d.shares.take_download(*d.shares.find(made.token.reveal()), {"192.0.2.1"}).ok());
  CHECK(state() == "used_up");
  d.maker_may = false;
  CHECK(state() == "ended");
}

TEST_CASE("share service: an artifact has so many links at once", "[unit][artifacts]") {
  Desk d;
  for (size_t i = 0; i < kSharesPerArtifactMax; i++) d.make({.expires_in_s = 60});
  const auto refused = d.shares.create(d.w.acme, d.artifact.id, {}, "r");
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.status().reason() == "shares_full");
  d.w.clock.advance_ms(60'000);
  CHECK(d.shares.create(d.w.acme, d.artifact.id, {}, "r").ok());
}

TEST_CASE("share service: a part rides on the download that counted, for an hour and an address",
          "[unit][artifacts]") {
  Desk d;
  const CreatedShare made = d.make({.expires_in_s = 86'400, .downloads_max = 2});
  const auto take = [&](const std::string& address, uint64_t bytes) {
    const auto open = d.shares.find(made.token.reveal());
    REQUIRE(open.ok());
    return d.shares.take_download(*open, {address, true, bytes}).status().reason();
  };
  CHECK(take("192.0.2.1", 4).empty());
  CHECK(take("192.0.2.1", 6).empty());
  CHECK(take("192.0.2.2", 10).empty());
  CHECK(take("192.0.2.3", 1) == "share_used_up");
  CHECK(take("192.0.2.1", 6).empty());
  d.w.clock.advance_ms(3'600'000);
  CHECK(take("192.0.2.1", 1) == "share_used_up");
  CHECK(d.w.service->find(d.artifact.id)->downloads == 2);
}

TEST_CASE("share service: one download is sent about once, however it is cut",
          "[unit][artifacts]") {
  Desk d;
  constexpr uint64_t kMiB = 1 << 20, kFile = 800 * kMiB;
  const auto follow = [&] {
    OpenShare open = *d.shares.find(d.make({.downloads_max = 1}).token.reveal());
    open.artifact.size_bytes = kFile;
    return open;
  };
  const auto part = [](uint64_t bytes) { return ShareService::Taking{"192.0.2.1", true, bytes}; };
  // Read to its end, and then an eighth of it once more.
  const OpenShare read = follow();
  const auto whole = d.shares.take_download(read, part(kFile));
  REQUIRE(whole.ok());
  d.shares.end_download(**whole, part(kFile), kFile);
  CHECK(d.shares.take_download(read, part(kFile)).status().reason() == "share_used_up");
  const auto eighth = d.shares.take_download(read, part(100 * kMiB));
  REQUIRE(eighth.ok());
  d.shares.end_download(**eighth, part(100 * kMiB), 100 * kMiB);
  CHECK_FALSE(d.shares.take_download(read, part(1)).ok());
  // Broken off again and again, and each time before the server has seen that: what was not sent is
  // the download's again.
  const OpenShare broken = follow();
  uint64_t at = 0;
  auto before = d.shares.take_download(broken, part(kFile));
  for (int i = 0; i < 7; i++) {
    at += 100 * kMiB;
    const auto next = d.shares.take_download(broken, part(kFile - at));
    INFO(i);
    REQUIRE(next.ok());
    // A little more had left than came.
    d.shares.end_download(**before, part(kFile - at + 100 * kMiB), 101 * kMiB);
    before = next;
  }
  // Of those at once no more than twice the file is under way.
  const OpenShare at_once = follow();
  CHECK(d.shares.take_download(at_once, part(kFile)).ok());
  CHECK(d.shares.take_download(at_once, part(kFile)).ok());
  CHECK_FALSE(d.shares.take_download(at_once, part(1)).ok());
}

TEST_CASE("share service: a count that fails gives nothing away", "[fault][artifacts]") {
  Desk d;
  const CreatedShare made = d.make({.downloads_max = 1});
  const auto open = d.shares.find(made.token.reveal());
  REQUIRE(open.ok());
  d.w.sql_fault = [](std::string_view op, std::string_view) -> Status {
    return op == "commit" ? unavailable("no") : ok();
  };
  const ShareService::Taking part{"192.0.2.1", true, 5};
  CHECK(d.shares.take_download(*open, part).code() == Code::kUnavailable);
  CHECK(d.shares.take_download(*open, part).code() == Code::kUnavailable);
  d.w.sql_fault = nullptr;
  CHECK(d.shares.take_download(*open, part).ok());
  CHECK(d.shares.take_download(*open, {"192.0.2.2", true, 5}).status().reason() == "share_used_up");
}

TEST_CASE("share service: a part whose write fails holds nothing of the download",
          "[fault][artifacts]") {
  Desk d;
  const CreatedShare made = d.make({.downloads_max = 1});
  const auto open = d.shares.find(made.token.reveal());
  REQUIRE(open.ok());
  const ShareService::Taking whole{"192.0.2.1", true, 10};
  const auto first = d.shares.take_download(*open, whole);
  REQUIRE(first.ok());
  REQUIRE(d.shares.take_download(*open, whole).ok());  // Twice the file is under way.
  // The third finds room when its turn comes, as one of the two has ended, and then fails.
  d.w.sql_fault = [&](std::string_view op, std::string_view what) -> Status {
    if (op == "begin" && what == "write") d.shares.end_download(**first, whole, 0);
    return op == "commit" ? unavailable("no") : ok();
  };
  CHECK(d.shares.take_download(*open, whole).code() == Code::kUnavailable);
  d.w.sql_fault = nullptr;
  CHECK(d.shares.take_download(*open, whole).ok());
  CHECK(d.shares.take_download(*open, whole).status().reason() == "share_used_up");
}

}  // namespace kvcs
