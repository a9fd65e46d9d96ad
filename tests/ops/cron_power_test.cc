// Goal: of a job whose run the power cut off, the slot is on record: one more try, and then no
// other, however early in the run the power went. Method: the store as App opens it, on a disk that
// forgets; the job itself takes the copy on which the next life begins.
#include <catch2/catch.hpp>

#include "kv/kv.h"
#include "ops/cron.h"
#include "support/cut_folder.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kHourMs = 3'600'000;

// One life of the scheduler on a store; `run` is what its only job does.
struct Life {
  Life(const Clock& clock, const std::string& folder, std::function<void()> run) {
    kv = open_rocks_kv({.path = folder + "/data/kv"}, clock).value();
    cron = std::make_unique<Cron>(*kv, clock, nullptr);
    const auto job = [this, run = std::move(run)](const JobContext&) -> Result<std::string> {
      runs++;
      if (run) run();
      return std::string();
    };
    REQUIRE(cron->add({.name = "sweep", .schedule = "0 * * * *", .run = job}).ok());
  }
  int runs = 0;
  std::unique_ptr<KvStore> kv;
  std::unique_ptr<Cron> cron;
};

}  // namespace

TEST_CASE("power cut: during a job its slot is on record: one more try, and then not again",
          "[fault][power][ops][cron]") {
  ManualClock clock;
  CutFolder folder;
  std::filesystem::create_directory(folder.data_dir());
  folder.disk().sync_all();
  std::vector<std::string> first, second;
  {
    Life life(clock, folder.path(), [&] { first = folder.cut_each_way(); });
    life.cron->tick_and_wait();
    clock.advance_ms(kHourMs);
    life.cron->tick_and_wait();
    CHECK(life.runs == 1);
  }
  for (const std::string& copy : first) {
    folder.restore(copy);
    {
      Life life(clock, folder.path(), [&] { second = folder.cut_each_way(); });
      life.cron->tick_and_wait();
      CHECK(life.runs == 1);
    }
    for (const std::string& last : second) {
      Life life(clock, last, nullptr);
      life.cron->tick_and_wait();
      CHECK(life.runs == 0);
    }
  }
}
