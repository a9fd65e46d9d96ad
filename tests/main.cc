// Catch's main, compiled once. The last line counts test cases so that CI can read it, also when
// the watchdog ends a case that would never end.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>

#include "base/crypto.h"
#include "support/watchdog.h"

namespace {

using kvcs::test::Watchdog;

std::atomic<size_t> g_passed = 0, g_failed = 0;
std::unique_ptr<Watchdog> g_watchdog;

void print_count(size_t passed, size_t failed) {
  std::fprintf(stdout, "%zu passed, %zu failed\n", passed, failed);
  std::fflush(stdout);
}

// The thread of the test case hangs and cannot be ended, so the process ends.
void give_up(const std::string& words) {
  // A line break first: the log of a daemon in this process may stand without one.
  std::fprintf(stderr, "\n%s\n", words.c_str());
  std::fprintf(stdout, "\n%s\n", words.c_str());
  print_count(g_passed, g_failed + 1);
  ::_exit(1);
}

struct CountingListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    g_watchdog->begin_case(info.name, kvcs::test::case_limit_s(info.tags));
  }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    g_watchdog->end_case();
    const bool failed = stats.totals.testCases.failed > 0;
    (failed ? g_failed : g_passed)++;
    // tests/run.sh repeats these lines at its end, below the output of all suites.
    if (failed) std::fprintf(stdout, "failed: %s\n", stats.testInfo.name.c_str());
  }
  // Catch opens a section of the case's own name around all others.
  void sectionStarting(const Catch::SectionInfo& info) override {
    if (depth_++ > 0) g_watchdog->begin_section(info.name);
  }
  void sectionEnded(const Catch::SectionStats&) override {
    if (--depth_ > 0) g_watchdog->end_section();
  }

 private:
  int depth_ = 0;
};
CATCH_REGISTER_LISTENER(CountingListener)

}  // namespace

int main(int argc, char** argv) {
  kvcs::init_crypto();
  g_watchdog = std::make_unique<Watchdog>(give_up);
  const int result = Catch::Session().run(argc, argv);
  g_watchdog.reset();
  print_count(g_passed, g_failed);
  return result != 0 ? 1 : 0;
}
