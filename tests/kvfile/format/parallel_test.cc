// Goal: what goes wrong in a thread reaches the one who waits for it. Method: workers that fail and
// throw, alone and together.
#include "kvfile/format/parallel.h"

#include <catch2/catch.hpp>

#include <new>

using namespace kvcs;
using namespace kvcs::kvfile;

TEST_CASE("parallel: every job runs once", "[unit][kvfile]") {
  std::vector<std::atomic<int>> runs(100);
  const Status ran = run_parallel(runs.size(), [&](TakeJob& take) {
    for (size_t i = 0; take(i);) runs[i]++;
    return ok();
  });
  CHECK(ran.ok());
  for (const auto& count : runs) CHECK(count == 1);
}

TEST_CASE("parallel: the first failure stops the rest", "[unit][kvfile]") {
  std::atomic<int> done{0};
  const Status ran = run_parallel(1'000'000, [&](TakeJob& take) -> Status {
    for (size_t i = 0; take(i);) {
      if (i == 3) return invalid("job 3");
      done++;
    }
    return ok();
  });
  CHECK(ran.message() == "job 3");
  CHECK(done < 999'999);
}

TEST_CASE("parallel: what a worker throws is thrown by the call", "[unit][kvfile]") {
  for (const size_t jobs : {1, 2, 100}) {
    CHECK_THROWS_AS(run_parallel(jobs,
                                 [](TakeJob&) -> Status {  // On every thread.
                                   throw std::bad_alloc();
                                 }),
                    std::bad_alloc);
  }
  // On one of them, whichever gets the job.
  CHECK_THROWS_AS(run_parallel(100,
                               [](TakeJob& take) -> Status {
                                 for (size_t i = 0; take(i);) {
                                   if (i == 50) throw std::bad_alloc();
                                 }
                                 return ok();
                               }),
                  std::bad_alloc);
}

TEST_CASE("parallel: work beside work fails as either does", "[unit][kvfile]") {
  const auto good = [] { return ok(); };
  const auto bad = [](const char* what) { return [what] { return invalid(what); }; };
  const auto thrower = []() -> Status { throw std::bad_alloc(); };
  CHECK(run_beside("test", good, good).ok());
  CHECK(run_beside("test", bad("aside"), good).message() == "aside");
  CHECK(run_beside("test", bad("aside"), bad("here")).message() == "here");
  CHECK_THROWS_AS(run_beside("test", thrower, good), std::bad_alloc);
  CHECK_THROWS_AS(run_beside("test", good, thrower), std::bad_alloc);
}
