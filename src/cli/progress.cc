// Draws the progress bar: one line that is written over, at most ten times a second, on a terminal
// alone. It never reaches the last column, so that no terminal begins a new line by itself.
#include "cli/progress.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "cli/terminal.h"

namespace kvcs::cli {
namespace {

// The bar without its texts.
constexpr size_t kBarMost = 40, kBarLeast = 10;
constexpr size_t kStandardColumns = 80;
constexpr int64_t kRedrawUs = 100'000;

std::string bar_of(double part, size_t columns) {
  const auto full = static_cast<size_t>(part * static_cast<double>(columns));
  return "[" + std::string(full, '#') + std::string(columns - full, '-') + "]";
}

// `tails` from the longest to the shortest: the first that leaves room for a bar is taken. Where
// none does, what fits of the words and the percentage.
std::string line_of(const std::string& what, double part, const std::vector<std::string>& tails,
                    size_t cells) {
  for (const std::string& tail : tails) {
    const size_t texts = cells_of(what) + cells_of(tail) + 4;  // A space each, and the brackets.
    if (texts + kBarLeast > cells) continue;
    return what + " " + bar_of(part, std::min(kBarMost, cells - texts)) + " " + tail;
  }
  const std::string percent = std::to_string(static_cast<int>(part * 100)) + " %";
  const std::string sizes = what + " " + tails.back();
  return cells_of(sizes) <= cells ? sizes : fit_cells(what + " " + percent, cells);
}

}  // namespace

Progress::Progress(Console& console, std::string what, uint64_t total_bytes)
    : console_(console),
      what_(std::move(what)),
      total_bytes_(total_bytes),
      shown_(console.mode().terminal && !console.mode().quiet && !console.mode().json),
      started_us_(clock_->mono_us()) {}

Progress::~Progress() {
  console_.wipe();
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
  const double seconds = double(now_us - started_us_) / 1e6;
  // Bytes a second since the start, the pauses between attempts included.
  const uint64_t rate = seconds > 0 ? static_cast<uint64_t>(double(done_bytes) / seconds) : 0;
  const std::string sizes = format_bytes(done_bytes) + "/" + format_bytes(total_bytes_);
  const std::string with_rate = sizes + " " + format_bytes(rate) + "/s";
  std::vector<std::string> tails = {with_rate, sizes};
  if (rate > 0 && total_bytes_ > done_bytes) {
    const uint64_t left_s = (total_bytes_ - done_bytes) / rate;
    tails.insert(tails.begin(), with_rate + " ETA " + std::to_string(left_s) + " s");
  }
  const auto& columns = console_.mode().error_columns;
  const size_t width = columns ? columns() : kStandardColumns;
  const std::string line = line_of(what_, part, tails, (width > 0 ? width : kStandardColumns) - 1);
  console_.draw(line);
}

}  // namespace kvcs::cli
