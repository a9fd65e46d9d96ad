// The watchdog's thread sleeps on a condition until a case ends or its time is up.
#include "support/watchdog.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"

namespace kvcs::test {
namespace {

// The slowest case takes some ten seconds on two idle cores; a busy machine is ten times slower.
constexpr int kLimitS = 120, kSlowLimitS = 600;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSanitizerFactor = 5;
#else
constexpr int kSanitizerFactor = 1;
#endif

}  // namespace

int case_limit_s(const std::vector<std::string>& tags) {
  const char* const given = std::getenv("KVCS_TEST_LIMIT_S");
  const int limit_s = given != nullptr ? std::atoi(given) : 0;
  if (limit_s > 0) return limit_s;
  const bool slow = std::find(tags.begin(), tags.end(), "slow") != tags.end();
  return (slow ? kSlowLimitS : kLimitS) * kSanitizerFactor;
}

struct Watchdog::Impl {
  const Bark bark;
  const std::unique_ptr<Clock> clock = make_system_clock();
  Mutex mutex;
  CondVar changed;
  bool ended KVCS_GUARDED_BY(mutex) = false;
  // The case that runs; "" between two cases.
  std::string name KVCS_GUARDED_BY(mutex);
  int limit_s KVCS_GUARDED_BY(mutex) = 0;
  int64_t started_us KVCS_GUARDED_BY(mutex) = 0;
  std::vector<std::string> sections KVCS_GUARDED_BY(mutex);
  std::thread thread;

  int64_t left_ms() KVCS_REQUIRES(mutex) {
    return int64_t{limit_s} * 1000 - (clock->mono_us() - started_us) / 1000;
  }
  std::string words() KVCS_REQUIRES(mutex) {
    std::string text = "watchdog: test case '" + name + "'";
    for (const std::string& section : sections) text += ", section '" + section + "'";
    return text + " has not ended after " + std::to_string(limit_s) +
           " s; KVCS_TEST_LIMIT_S gives it longer";
  }
  void watch() {
    MutexLock lock(mutex);
    while (!ended) {
      if (name.empty()) {
        changed.wait(mutex);
      } else if (const int64_t left = left_ms(); left > 0) {
        (void)changed.wait_for_ms(mutex, left);
      } else {
        bark(words());
        return;
      }
    }
  }
};

Watchdog::Watchdog(Bark bark) : impl_(new Impl{std::move(bark)}) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->watch(); });
}

Watchdog::~Watchdog() {
  {
    MutexLock lock(impl_->mutex);
    impl_->ended = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();
}

void Watchdog::begin_case(const std::string& name, int limit_s) {
  MutexLock lock(impl_->mutex);
  impl_->name = name;
  impl_->limit_s = limit_s;
  impl_->started_us = impl_->clock->mono_us();
  impl_->sections.clear();
  impl_->changed.notify_all();
}

void Watchdog::begin_section(const std::string& name) {
  MutexLock lock(impl_->mutex);
  impl_->sections.push_back(name);
}

void Watchdog::end_section() {
  MutexLock lock(impl_->mutex);
  if (!impl_->sections.empty()) impl_->sections.pop_back();
}

void Watchdog::end_case() {
  MutexLock lock(impl_->mutex);
  impl_->name.clear();
  impl_->changed.notify_all();
}

}  // namespace kvcs::test
