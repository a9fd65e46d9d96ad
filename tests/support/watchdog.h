// Ends the test process when a test case does not end, so that a test that hangs is a failure with
// a name and not a build that never finishes. Made once, by main, which tells it what runs; a
// thread of its own waits for the limit.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kvcs::test {

// Seconds that a case with these tags may take. KVCS_TEST_LIMIT_S, when it is a number above 0, is
// the limit of every case.
int case_limit_s(const std::vector<std::string>& tags);

class Watchdog final {
 public:
  // What it says; called at most once, by the watchdog's thread, while the test case hangs. The
  // function must not return to a process that goes on.
  using Bark = std::function<void(const std::string& words)>;
  explicit Watchdog(Bark bark);
  ~Watchdog();

  void begin_case(const std::string& name, int limit_s);
  void begin_section(const std::string& name);
  void end_section();
  void end_case();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::test
