// Log lines that come with every request: while a Gatherer lives they are written several at a
// time, a few dozen milliseconds later, because a write for each was a tenth of what a short
// request costs. Lines that still wait are lost only when the process is killed or aborts.
// Thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

namespace kvcs::log {

// Gathered lines are written together up to this: a pipe takes so many bytes whole.
inline constexpr size_t kGatheredMaxBytes = 4096;
inline constexpr int64_t kGatherMs = 50;

// Like raw_line(), but the line may wait. Gathered lines are written before any later line that
// does not wait, so that the log keeps its order.
void gathered_line(std::string_view line);

// Lines that were lost since the process began, because stderr took none: it was closed, or nobody
// read the pipe for longer than the lines that may wait (some thousands). Nobody waits for stderr
// but drain().
uint64_t dropped_lines();

// For the end of the process, once no Gatherer lives: waits up to so long for a reader that is slow
// to take the lines that still wait. False when some are left.
bool drain(int64_t wait_ms);

// Owns the thread "log", which sleeps while nothing is gathered. Its destructor writes the lines
// that wait; while no Gatherer lives every line is written at once.
class Gatherer final {
 public:
  Gatherer();
  ~Gatherer();
  Gatherer(const Gatherer&) = delete;
  Gatherer& operator=(const Gatherer&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::log
