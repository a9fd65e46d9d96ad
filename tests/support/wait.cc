// The one loop of the tests that polls: it ends, and it leaves the processor to others in between.
#include "support/wait.h"

#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/mutex.h"

namespace kvcs::test {
namespace {

// Short enough that no test notices, long enough that a machine of two cores can do the work that
// is waited for.
constexpr int64_t kPauseMs = 1;

void pause() {
  Mutex mutex;
  CondVar never;
  MutexLock lock(mutex);
  (void)never.wait_for_ms(mutex, kPauseMs);
}

}  // namespace

bool comes_true(const std::function<bool()>& condition, int timeout_ms) {
  const auto clock = make_system_clock();
  const int64_t end_us = clock->mono_us() + int64_t{timeout_ms} * 1000;
  while (!condition()) {
    if (clock->mono_us() >= end_us) return condition();
    pause();
  }
  return true;
}

void wait_until(const std::function<bool()>& condition, const std::string& what) {
  if (comes_true(condition)) return;
  FAIL("Waited " << kWaitMs / 1000 << " s in vain until " << what << ".");
}

}  // namespace kvcs::test
