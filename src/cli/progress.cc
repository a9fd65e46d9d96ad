// Draws the progress bar: one line that is written over, at most ten times a second, on a terminal
// alone.
#include "cli/progress.h"

#include <algorithm>

#include "base/bytes.h"

namespace kvcs::cli {
namespace {
// The bar without its texts.
constexpr int kBarColumns = 40;
constexpr int64_t kRedrawUs = 100'000;
}  // namespace

Progress::Progress(Console& console, std::string what, uint64_t total_bytes)
    : console_(console),
      what_(std::move(what)),
      total_bytes_(total_bytes),
      shown_(console.mode().terminal && !console.mode().quiet && !console.mode().json),
      started_us_(clock_->mono_us()) {}

// Carriage return and "erase to the end of the line" (ECMA-48 EL), so that the next output starts
// on a clean line.
Progress::~Progress() {
  if (drawn_) console_.write_error("\r\x1b[K");
}

void Progress::update(uint64_t done_bytes) {
  if (!shown_) return;
  const int64_t now_us = clock_->mono_us();
  // The first call always draws; a last one at 100 percent may be left out, as the line is cleared
  // anyway.
  if (drawn_ && now_us - drawn_us_ < kRedrawUs) return;
  drawn_ = true;
  drawn_us_ = now_us;
  const double part =
      total_bytes_ == 0 ? 1.0 : std::min(1.0, double(done_bytes) / double(total_bytes_));
  const int full = static_cast<int>(part * kBarColumns);
  const double seconds = double(now_us - started_us_) / 1e6;
  // Bytes a second since the start, the pauses between attempts included.
  const uint64_t rate = seconds > 0 ? static_cast<uint64_t>(double(done_bytes) / seconds) : 0;
  std::string line = "\r" + what_ + " [" + std::string(full, '#') +
                     std::string(kBarColumns - full, '-') + "] " + format_bytes(done_bytes) + "/" +
                     format_bytes(total_bytes_) + " " + format_bytes(rate) + "/s";
  if (rate > 0 && total_bytes_ > done_bytes) {
    line += " ETA " + std::to_string((total_bytes_ - done_bytes) / rate) + " s";
  }
  console_.write_error(line + "\x1b[K");
}

}  // namespace kvcs::cli
