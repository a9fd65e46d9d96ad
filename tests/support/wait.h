// Waiting, with an end, for a state that nobody announces: a counter, a line in a file, another
// process. What can be announced is waited for by a CondVar instead. Any thread.
#pragma once
#include <functional>
#include <string>

namespace kvcs::test {

inline constexpr int kWaitMs = 30'000;  // Sanitizers on a busy machine need seconds.

// Asks until `condition` holds: true. False after `timeout_ms`, with a last look.
[[nodiscard]] bool comes_true(const std::function<bool()>& condition, int timeout_ms = kWaitMs);

// As comes_true, and fails the test case with `what` when the time is up. For the thread of the
// test case alone: elsewhere Catch's exception would end the process.
void wait_until(const std::function<bool()>& condition, const std::string& what);

}  // namespace kvcs::test
