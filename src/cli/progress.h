// A progress bar on a terminal's stderr; nothing in a pipe, with --quiet or with --json.
#pragma once
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "cli/command.h"

namespace kvcs::cli {

class Progress final {
 public:
  // `what` stands before the bar ("Uploading"); the console must outlive this object.
  Progress(Console& console, std::string what, uint64_t total_bytes);
  ~Progress();  // Clears the line.
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(uint64_t done_bytes);  // Draws at most ten times a second.

 private:
  Console& console_;
  const std::string what_;
  const uint64_t total_bytes_;
  // Decided once: the mode of a console does not change.
  const bool shown_;
  std::unique_ptr<Clock> clock_ = make_system_clock();
  const int64_t started_us_;
  int64_t drawn_us_ = 0;
  bool drawn_ = false;
};

}  // namespace kvcs::cli
