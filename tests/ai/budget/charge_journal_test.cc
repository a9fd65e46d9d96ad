// The journal of charges: what another process finds, also of one that died in the middle of a
// record. Method: files written by the journal, copied and damaged.
#include "ai/budget/charge_journal.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <set>
#include <thread>

#include "support/cut_folder.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using kvcs::test::cut_fates;
using kvcs::test::CutFolder;
using kvcs::test::TempDir;

namespace {

void overwrite(const std::string& path, std::streamoff at, std::string_view bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

}  // namespace

TEST_CASE("charge journal: what is noted is found, what has ended is not", "[unit][ai]") {
  TempDir dir;
  const std::string path = dir.file("journal");
  CHECK(ChargeJournal::read(path)->all.empty());
  ChargeJournal journal;
  REQUIRE(journal.open(path).ok());
  const uint32_t open = *journal.begin("{open}");
  const uint32_t charged = *journal.begin("{charged}");
  const uint32_t ended = *journal.begin("{ended}");
  REQUIRE(journal.note_charge(charged, "{row}").ok());
  REQUIRE(journal.note_charge(ended, "{row}").ok());
  journal.end(std::span(&ended, 1));
  CHECK(journal.sync().ok());
  CHECK(journal.taken() == 2);
  const ChargeJournal::Left left = *ChargeJournal::read(path);
  CHECK(left.damaged == 0);
  REQUIRE(left.all.size() == 2);
  CHECK(left.all[open].reservation_json == "{open}");
  CHECK(left.all[open].charge_json.empty());
  CHECK(left.all[charged].reservation_json == "{charged}");
  CHECK(left.all[charged].charge_json == "{row}");
  // The next life begins with an empty file.
  ChargeJournal next;
  REQUIRE(next.open(path).ok());
  CHECK(ChargeJournal::read(path)->all.empty());
}

TEST_CASE("charge journal: only what stays open is synced, at the second call", "[unit][ai]") {
  TempDir dir;
  ChargeJournal journal;
  REQUIRE(journal.open(dir.file("journal")).ok());
  const auto quick = [&] { journal.end_uncharged(*journal.begin("{quick}")); };
  CHECK_FALSE(*journal.sync_held());
  for (int i = 0; i < 3; i++) {
    quick();
    CHECK_FALSE(*journal.sync_held());
  }
  const uint32_t open = *journal.begin("{open}");
  CHECK_FALSE(*journal.sync_held());
  quick();
  CHECK(*journal.sync_held());
  quick();
  CHECK_FALSE(*journal.sync_held());  // It is on disk.
  // Of two, one ends before its second call.
  const uint32_t one = *journal.begin("{one}");
  const uint32_t two = *journal.begin("{two}");
  CHECK_FALSE(*journal.sync_held());
  journal.end_uncharged(one);
  const uint32_t three = *journal.begin("{three}");
  CHECK(*journal.sync_held());
  // The third was begun just before that call: it is for this one.
  CHECK(*journal.sync_held());
  CHECK_FALSE(*journal.sync_held());
  // Slots that were on disk and ones that were not end, and are used again.
  const uint32_t four = *journal.begin("{four}");
  CHECK_FALSE(*journal.sync_held());
  journal.end(std::vector<uint32_t>{open, two, three, four});
  CHECK(journal.taken() == 0);
  CHECK_FALSE(*journal.sync_held());
  CHECK(journal.begin("{five}").ok());
  CHECK_FALSE(*journal.sync_held());
  CHECK(*journal.sync_held());
}

TEST_CASE("charge journal: on disk too, a request that was charged nothing is forgotten",
          "[unit][ai]") {
  CutFolder folder;
  ChargeJournal journal;
  REQUIRE(journal.open(folder.path() + "/journal").ok());
  const auto on_disk = [&] {
    return ChargeJournal::read(folder.cut(cut_fates()[0]) + "/journal")->all.size();
  };
  const uint32_t failed = *journal.begin("{failed}");
  const uint32_t charged = *journal.begin("{charged}");
  CHECK_FALSE(*journal.sync_held());
  CHECK(*journal.sync_held());
  CHECK(on_disk() == 2);
  // The ledger will have the row of this one; its record may stay.
  journal.end(std::span(&charged, 1));
  CHECK_FALSE(*journal.sync_held());
  journal.end_uncharged(failed);
  CHECK(on_disk() == 2);
  CHECK(*journal.sync_held());
  CHECK(on_disk() == 0);
  CHECK_FALSE(*journal.sync_held());
  // One that was begun before a sync of everything and ends after it.
  const uint32_t late = *journal.begin("{late}");
  REQUIRE(journal.sync().ok());
  journal.end_uncharged(late);
  CHECK(on_disk() == 1);
  CHECK(*journal.sync_held());
  CHECK(on_disk() == 0);
}

TEST_CASE("charge journal: a damaged charge leaves its reservation, and is counted",
          "[fault][ai]") {
  TempDir dir;
  const std::string path = dir.file("journal");
  {
    ChargeJournal journal;
    REQUIRE(journal.open(path).ok());
    const uint32_t slot = *journal.begin("{reservation}");
    REQUIRE(journal.note_charge(slot, "{charge}").ok());
  }
  SECTION("its text") {
    overwrite(path, ChargeJournal::kChargeOffset + 12, "X");
  }
  SECTION("its sum") {
    overwrite(path, ChargeJournal::kChargeOffset + 4, "XXXX");
  }
  SECTION("its size") {
    overwrite(path, ChargeJournal::kChargeOffset, "\xff\xff\xff\xff");
  }
  const ChargeJournal::Left left = *ChargeJournal::read(path);
  CHECK(left.damaged == 1);
  REQUIRE(left.all.size() == 1);
  CHECK(left.all[0].reservation_json == "{reservation}");
  CHECK(left.all[0].charge_json.empty());
}

TEST_CASE("charge journal: its limits are told by name and number", "[fault][ai]") {
  ChargeJournal journal;
  const Status long_text = journal.begin(std::string(4000, 'x')).status();
  CHECK(long_text.code() == Code::kTooLarge);
  CHECK(long_text.message().find("4000 bytes; the limit is 1780") != std::string::npos);
  CHECK(journal.taken() == 0);
  for (uint32_t i = 0; i < ChargeJournal::kSlotsMax; i++) {
    if (!journal.begin("x").ok()) FAIL(i);
  }
  const Status full = journal.begin("x").status();
  CHECK(full.code() == Code::kUnavailable);
  CHECK(full.message().find("65536 requests are in flight") != std::string::npos);
  journal.end_uncharged(7);
  CHECK(*journal.begin("x") == 7);
  CHECK_FALSE(ChargeJournal().open("/nowhere/journal").ok());
}

TEST_CASE("charge journal: threads never share a slot", "[unit][ai]") {
  TempDir dir;
  ChargeJournal journal;
  REQUIRE(journal.open(dir.file("journal")).ok());
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; i++) {
        std::set<uint32_t> mine;
        for (int n = 0; n < 400; n++) mine.insert(*journal.begin("{}"));
        if (mine.size() != 400) wrong++;
        for (const uint32_t slot : mine) {
          if (!journal.note_charge(slot, "{}").ok()) wrong++;
        }
        for (const uint32_t slot : mine) journal.end_uncharged(slot);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(journal.taken() == 0);
  CHECK(ChargeJournal::read(dir.file("journal"))->all.empty());
}
