// The journal of charges: what another process finds, also of one that died in the middle of a
// record. Method: files written by the journal, copied and damaged.
#include "ai/budget/charge_journal.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "ai/budget/charge_journal_copy.h"
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
  CHECK(left.all[0].is_damaged);
}

TEST_CASE("charge journal: the output so far is found with its reservation, and with no other",
          "[unit][ai]") {
  TempDir dir;
  const std::string path = dir.file("journal");
  ChargeJournal journal;
  REQUIRE(journal.open(path).ok());
  const auto found = [&] { return ChargeJournal::read(path)->all.at(0).output_tokens; };
  uint32_t slot = *journal.begin("{first}");
  CHECK(found() == 0);
  for (const int64_t tokens : {1, 70'000, 40}) {
    journal.note_output(slot, tokens);
    CHECK(found() == tokens);
  }
  // More than the field holds, and less than nothing.
  journal.note_output(slot, INT64_MAX);
  CHECK(found() == (int64_t{1} << 40) - 1);
  journal.note_output(slot, -5);
  CHECK(found() == 0);
  journal.note_output(slot, 41);
  REQUIRE(journal.note_charge(slot, "{row}").ok());
  CHECK(found() == 41);
  journal.end(std::span(&slot, 1));
  // The next request of the slot has had no output yet.
  CHECK(*journal.begin("{second}") == slot);
  CHECK(found() == 0);
  journal.note_output(slot, 3);
  CHECK(found() == 3);
  SECTION("a damaged reservation is said to be so") {
    overwrite(path, 14, "?");
    CHECK(ChargeJournal::read(path)->all.at(0).is_damaged);
  }
  SECTION("of a torn page it is not this one's") {
    overwrite(path, ChargeJournal::kOutputOffset + 6, "\xee");
    CHECK(found() == 0);
  }
}

TEST_CASE("charge journal: noted output is on disk after some calls, and costs no sync in between",
          "[unit][ai]") {
  CutFolder folder;
  ChargeJournal journal;
  REQUIRE(journal.open(folder.path() + "/journal").ok());
  const uint32_t slot = *journal.begin("{stream}");
  const auto on_disk = [&](const kvcs::test::CutFate& fate) {
    const ChargeJournal::Left left = *ChargeJournal::read(folder.cut(fate) + "/journal");
    CHECK(left.damaged == 0);
    return left.all.empty() ? -1 : left.all[0].output_tokens;
  };
  while (*journal.sync_held() || journal.taken() == 0) continue;
  CHECK(*journal.sync_held());  // The reservation itself.
  int64_t tokens = 0, synced = 0;
  int syncs = 0;
  constexpr int kCalls = 40;
  for (int call = 0; call < kCalls; call++) {
    journal.note_output(slot, ++tokens);
    if (*journal.sync_held()) {
      syncs++;
      synced = tokens;
    }
    for (const kvcs::test::CutFate& fate : cut_fates()) {
      INFO(fate.name() << ", call " << call);
      const int64_t found = on_disk(fate);
      CHECK(found >= synced);
      CHECK(found <= tokens);
    }
  }
  CHECK(syncs == kCalls / static_cast<int>(ChargeJournal::kOutputRounds));
  // Without output there is nothing to bring.
  for (uint64_t call = 0; call < ChargeJournal::kOutputRounds; call++) (void)journal.sync_held();
  for (uint64_t call = 0; call < ChargeJournal::kOutputRounds; call++) {
    CHECK_FALSE(*journal.sync_held());
  }
  journal.note_output(slot, ++tokens);
  REQUIRE(journal.sync().ok());
  CHECK(on_disk(cut_fates()[0]) == tokens);
}

TEST_CASE("charge journal: its limits are told by name and number", "[fault][ai]") {
  ChargeJournal journal;
  const Status long_text = journal.begin(std::string(4000, 'x')).status();
  CHECK(long_text.code() == Code::kTooLarge);
  CHECK(long_text.message().find("4000 bytes; the limit is 1772") != std::string::npos);
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

TEST_CASE("charge journal: a copy made while requests write holds whole records", "[unit][ai]") {
  TempDir dir;
  const std::string path = dir.file("journal");
  REQUIRE(copy_charge_journal(path, dir.file("none")).ok());
  CHECK_FALSE(std::filesystem::exists(dir.file("none")));
  ChargeJournal journal;
  REQUIRE(journal.open(path).ok());
  const uint32_t held = *journal.begin("{held}");
  journal.note_output(held, 77);
  std::atomic<bool> done = false;
  std::thread requests([&] {
    for (uint64_t i = 0; !done; i++) {
      const std::string text(600 + i % 7, static_cast<char>('a' + i % 26));
      const uint32_t slot = *journal.begin(text);
      if (!journal.note_charge(slot, text).ok()) std::abort();
      journal.end(std::span(&slot, 1));
    }
  });
  for (int i = 0; i < 50; i++) {
    const std::string copy = dir.file("copy" + std::to_string(i));
    CHECK(copy_charge_journal(path, copy).ok());
    const ChargeJournal::Left left = ChargeJournal::read(copy).value();
    CHECK(left.damaged == 0);
    REQUIRE_FALSE(left.all.empty());
    CHECK(left.all.front().reservation_json == "{held}");
    CHECK(left.all.front().output_tokens == 77);
    CHECK(std::filesystem::file_size(copy) == std::filesystem::file_size(path));
  }
  done = true;
  requests.join();
  CHECK(copy_charge_journal(path, dir.file("copy0")).code() == Code::kConflict);
}
