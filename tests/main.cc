// Catch's main, compiled once. The last line counts test cases so that CI can read it.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <cstdio>

#include "base/crypto.h"

namespace {

size_t g_passed = 0, g_failed = 0;

struct CountingListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    (stats.totals.testCases.failed > 0 ? g_failed : g_passed)++;
  }
};
CATCH_REGISTER_LISTENER(CountingListener)

}  // namespace

int main(int argc, char** argv) {
  kvcs::init_crypto();
  const int result = Catch::Session().run(argc, argv);
  std::fprintf(stdout, "%zu passed, %zu failed\n", g_passed, g_failed);
  return result != 0 ? 1 : 0;
}
