// Lines of the log of which many come, one for each request: while a Gatherer lives they are
// written several at a time, a few dozen milliseconds later; a write for each was a tenth of what a
// short request costs. Only a process that is killed, or aborts, takes them with it. Thread-safe.
#pragma once
#include <memory>
#include <string_view>

namespace kvcs::log {

// Gathered lines are written together up to this: a pipe takes so many bytes whole.
inline constexpr size_t kGatheredMaxBytes = 4096;
inline constexpr int64_t kGatherMs = 50;

// Like raw_line(), but may wait. What is gathered goes before any line that is not.
void gathered_line(std::string_view line);

// Has a thread, "log", which sleeps while nothing is gathered. Its end writes what waits; without
// one every line is written at once.
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
