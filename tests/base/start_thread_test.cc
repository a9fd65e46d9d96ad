// A thread that the system refuses: whoever wanted it is told, and does without.
#include "base/start_thread.h"

#include <catch2/catch.hpp>

#include <atomic>

#include "base/crypto.h"
#include "base/hash_pipe.h"
#include "base/thread_room.h"
#include "kvfile/format/parallel.h"
#include "support/no_threads.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("thread: a refused start is a failure that names the limits", "[unit][base][thread]") {
  std::atomic<int> ran{0};
  {
    const NoThreads limit;
    const Result<Thread> refused = start_thread("refused", [&] { ran++; });
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.code() == Code::kUnavailable);
    CHECK(refused.status().message().find("RLIMIT_NPROC") != std::string::npos);
  }
  {
    CHECK(start_thread("started", [&] { ran++; }).ok());
  }  // Joined.
  CHECK(ran == 1);
}

TEST_CASE("thread: whoever needs some is told beforehand that there are none",
          "[unit][base][thread]") {
  CHECK(check_thread_room(20, "the store").ok());
  const NoThreads limit;
  const Status refused = check_thread_room(20, "the store");
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(
      refused.message().starts_with("Of the 20 threads that the store may need to open, the "
                                    "system refuses all but 0 (RLIMIT_NPROC, TasksMax="));
  CHECK(check_thread_room(0, "nobody").ok());
}

TEST_CASE("thread: digests and parallel work do without the threads that are refused",
          "[unit][base][thread]") {
  const NoThreads limit;
  HashThreads threads;
  HashPipe pipe(16, threads);
  CHECK_FALSE(pipe.start());
  pipe.acquire()[0] = 'a';
  pipe.submit(1);
  CHECK(pipe.finish_hex() == sha256_hex("a"));

  std::atomic<size_t> done{0};
  const Status worked = kvfile::run_parallel(10, [&](kvfile::TakeJob& take) -> Status {
    for (size_t job = 0; take(job);) done++;
    return ok();
  });
  CHECK(worked.ok());
  CHECK(done == 10);
}
