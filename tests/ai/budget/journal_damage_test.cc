// Goal: money in a journal that is gone, cut or damaged is not silently free: it is charged as far
// as anything of it is legible, told in an alert, or the start is refused in words. Method: the
// file that a budget with two open requests and a settled one leaves, harmed at one place at a
// time.
#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "ai/budget/budget.h"
#include "ai/budget/budget_support.h"
#include "ai/budget/charge_journal.h"
#include "base/boot_id.h"
#include "base/file.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

// Slot 0: open, 400 set aside and 100 of them for the input. Slot 1: settled at 70 of 400.
struct Left {
  TempDir dir;
  const ManualClock clock;
  std::string path = dir.file("left");
  std::unique_ptr<KvStore> kv = make_memory_kv(clock);

  Left() {
    const auto base = make_memory_kv(clock);
    std::atomic<bool> down = false;
    const auto dying = make_faulty_kv(
        *base, [&](std::string_view, std::string_view) { return down ? unavailable("") : ok(); });
    {
      Budgets budgets(*dying, clock);
      REQUIRE(budgets.recover(dir.file("journal"), known_in(*base)).ok());
      Result<Reservation> open = budgets.reserve(ask("r1", 400));
      Result<Reservation> settled = budgets.reserve(ask("r2", 400));
      down = true;
      settled->settle(charge(70));
      std::filesystem::copy_file(dir.file("journal"), path);
    }
    // The next life's store: it knows of a journal, and of nothing that this process had open.
    REQUIRE(Budgets(*kv, clock).recover(dir.file("first"), known_in(*kv)).ok());
  }
  void overwrite(size_t at, std::string_view bytes) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at))
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  Status recover() { return Budgets(*kv, clock).recover(path, known_in(*kv)); }
  int64_t used() { return Budgets(*kv, clock).view("user", "u1", "")->used_nano_usd; }
  bool has_alert() const {
    const Result<KvPage> page = kv->scan(KvFamily::kOutbox, "", "", 100);
    for (const KvItem& item : page->items) {
      if (item.entry.value.find("budget.journal_damaged") != std::string::npos) return true;
    }
    return false;
  }
};

constexpr size_t kSecond = ChargeJournal::kSlotBytes;

}  // namespace

TEST_CASE("journal: a whole one is charged as it stands", "[fault][ai]") {
  Left left;
  REQUIRE(left.recover().ok());
  CHECK(left.used() == 100 + 70);
  CHECK_FALSE(left.has_alert());
}

TEST_CASE("journal: one that is gone or cut refuses the start in words", "[fault][ai]") {
  Left left;
  SECTION("gone") {
    std::filesystem::remove(left.path);
  }
  SECTION("cut") {
    std::filesystem::resize_file(left.path, 5000);
  }
  SECTION("empty") {
    std::filesystem::resize_file(left.path, 0);
  }
  const Status refused = left.recover();
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.message().find(left.path) != std::string::npos);
  CHECK(refused.message().find("--data-dir " + folder_of(left.path) + " --accept journal") !=
        std::string::npos);
  // As a backup has it.
  REQUIRE(Budgets::write_empty_journal(left.path).ok());
  CHECK(left.recover().ok());
  CHECK(left.used() == 0);
}

TEST_CASE("journal: a damaged record costs what was set aside, and raises an alert",
          "[fault][ai]") {
  Left left;
  int64_t used = 0;
  SECTION("the size of a reservation") {
    left.overwrite(1, "\x7f");
    used = 400 + 70;
  }
  SECTION("the sum of a reservation") {
    left.overwrite(6, "\x7f");
    used = 400 + 70;
  }
  SECTION("the size of a charge, which its sum tells") {
    left.overwrite(kSecond + ChargeJournal::kChargeOffset + 1, "\x7f");
    used = 100 + 400;
  }
  SECTION("the text of a charge") {
    left.overwrite(kSecond + ChargeJournal::kChargeOffset + 30, "?");
    used = 100 + 400;
  }
  SECTION("the reservation of a settled request, which is not needed") {
    left.overwrite(kSecond + 30, "?");
    used = 100 + 70;
  }
  REQUIRE(left.recover().ok());
  CHECK(left.used() == used);
  CHECK(left.has_alert());
}

TEST_CASE("journal: money that nobody can read refuses the start, but for a power cut",
          "[fault][ai]") {
  Left left;
  left.overwrite(12, std::string(100, '?'));
  const Status refused = left.recover();
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.message().find("1 records are illegible") != std::string::npos);
  set_boot_id("another boot, of " + left.path);
  REQUIRE(left.recover().ok());
  CHECK(left.used() == 70);
  CHECK(left.has_alert());
}

TEST_CASE("journal: one that is cut at the end of a chunk is short all the same", "[fault][ai]") {
  TempDir dir;
  constexpr uint64_t kChunkBytes = uint64_t{ChargeJournal::kGrowSlots} * ChargeJournal::kSlotBytes;
  const std::string path = dir.file("journal");
  {
    ChargeJournal journal;
    REQUIRE(journal.open(path, 7).ok());
    for (uint32_t i = 0; i < 2 * ChargeJournal::kGrowSlots + 1; i++) {
      REQUIRE(journal.begin("{}").ok());
    }
  }
  REQUIRE(std::filesystem::file_size(path) == 3 * kChunkBytes);
  const auto whole = ChargeJournal::read(path);
  REQUIRE(whole.ok());
  CHECK(whole->start == 7);
  CHECK(whole->damaged == 0);
  CHECK(whole->all.size() == 2 * ChargeJournal::kGrowSlots + 1);
  for (const uint64_t chunks : {2, 1}) {
    std::filesystem::resize_file(path, chunks * kChunkBytes);
    const Status refused = ChargeJournal::read(path).status();
    INFO(refused.to_string());
    CHECK(refused.code() == Code::kUnavailable);
    CHECK(refused.message().find("must have " + std::to_string(3 * kChunkBytes)) !=
          std::string::npos);
    CHECK(refused.message().find("--accept journal") != std::string::npos);
  }
  // A head that was changed tells nothing, and is told.
  std::filesystem::resize_file(path, 3 * kChunkBytes);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(ChargeJournal::kSlotBytes - 8).put('\x41');
  }
  const auto changed = ChargeJournal::read(path);
  REQUIRE(changed.ok());
  CHECK(changed->damaged == 1);
}

TEST_CASE("journal: that of another start refuses this one", "[fault][ai]") {
  Left left;
  const std::string before = left.path + ".before";
  std::filesystem::copy_file(left.path, before);
  REQUIRE(left.recover().ok());
  REQUIRE(left.recover().ok());
  REQUIRE(left.recover().ok());
  // The one of the start before may be there, when a start was cut off.
  std::filesystem::copy_file(left.path, left.path + ".3");
  REQUIRE(left.recover().ok());
  std::filesystem::rename(left.path + ".3", left.path);
  REQUIRE(left.recover().ok());
  std::filesystem::rename(before, left.path);
  const Status refused = left.recover();
  INFO(refused.to_string());
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.message().find("is that of start 1, and the last one was ") != std::string::npos);
  CHECK(refused.message().find("--accept journal") != std::string::npos);
}
