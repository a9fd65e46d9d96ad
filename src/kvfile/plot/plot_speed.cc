// Each operation's throughput as a share of what this machine allows it.
#include <algorithm>

#include "base/bytes.h"
#include "base/decimal.h"
#include "kvfile/plot/plot_panel.h"

namespace kvcs::kvfile {
namespace {

// A file of another program may have shares beyond 100; the bar is cut there.
constexpr double kShareShown = 1.2;
// Below it opening, syncing and renaming a file take longer than its bytes.
constexpr uint64_t kSmallBytes = 16 << 20;

// As the benchmark's table has it.
std::string rate(double bytes_per_s) {
  return format_bytes(static_cast<uint64_t>(bytes_per_s)) + "/s";
}

std::string spoken(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name == "sha256" ? "SHA-256" : name;
}

std::string name_of(const Operation& operation) {
  const bool by_scheme = operation.name == "quantise" || operation.name == "dequantise";
  return spoken(operation.name) + (by_scheme ? " " + operation.scheme : "");
}

double share_of(const Operation& operation) {
  return operation.limit.empty() ? 0 : operation.limit_s / operation.timing.median_s;
}
double best_share_of(const Operation& operation) {
  if (operation.limit.empty() || operation.timing.min_s <= 0) return 0;
  return operation.limit_s / operation.timing.min_s;
}

std::string figures_of(const Operation& operation) {
  const double done = operation.timing.bytes_per_s();
  if (operation.limit.empty()) return rate(done);
  const double allowed = static_cast<double>(operation.timing.bytes) / operation.limit_s;
  return rate(done) + ", " + spoken(operation.limit) + " allows " + rate(allowed);
}

std::string limits_line(const BenchmarkReport& report) {
  std::string line = "One thread of this machine: ";
  for (size_t i = 0; i < report.limits.size(); i++) {
    if (i > 0) line += ", ";
    line += spoken(report.limits[i].name) + " " + rate(report.limits[i].timing.best_bytes_per_s());
  }
  if (report.limits.empty()) return "The file names no limits of the machine.";
  line += ". Bars are medians; the thin line ends at the fastest run.";
  uint64_t most = 0;
  for (const Operation& operation : report.operations) {
    most = std::max(most, operation.timing.bytes);
  }
  if (most < kSmallBytes) {
    line += " The artifact is small: what is shown is mostly opening and syncing files.";
  }
  return line;
}

}  // namespace

double draw_speed(const Panel& panel, const BenchmarkReport& report) {
  const double em = panel.em, step = em * 1.9;
  const double top = panel.heading("How near the machine's limits", limits_line(report));
  double names = 0, figures = 0, most = 1;
  for (const Operation& operation : report.operations) {
    names = std::max(names, panel.width_of(name_of(operation)));
    figures = std::max(figures, panel.width_of(figures_of(operation)));
    most = std::max(most, std::min(best_share_of(operation) * 1.02, kShareShown));
  }
  Frame frame;
  const double bottom = top + step * static_cast<double>(report.operations.size());
  frame.x = {0, most * 100, panel.left + names + em, panel.right - figures - em * 4.6};
  frame.y = {0, 1, bottom, top};
  frame.x_ticks = linear_ticks(frame.x, 5, [](double v) { return significant(v) + " %"; });
  frame.x_title = "throughput, as a share of the limit that the operation meets first";
  draw_frame(panel, frame);
  double y = top + step / 2;
  for (const Operation& operation : report.operations) {
    const double percent = share_of(operation) * 100, middle = y + em * 0.35;
    const bool cut = percent > frame.x.max;
    const double end = frame.x.at(std::min(percent, frame.x.max));
    panel.text({frame.x.from - em * 0.6, middle}, name_of(operation),
               {.size = em, .color = kInk, .anchor = Anchor::kEnd});
    panel.picture.add(
        BoxShape{{frame.x.from, y - em * 0.6}, frame.x.at(100) - frame.x.from, em * 1.2, kTrack});
    panel.picture.add(BoxShape{{frame.x.from, y - em * 0.6}, end - frame.x.from, em * 1.2, kBar});
    if (cut) {
      const double at = end - em * 1.2;
      panel.picture.line({at - em * 0.3, y + em * 0.8}, {at + em * 0.3, y - em * 0.8},
                         {{255, 255, 255}, em * 0.35});
    }
    const double best = frame.x.at(std::min(best_share_of(operation) * 100, frame.x.max));
    if (best > end + em * 0.1) {
      panel.picture.line({end, y}, {best, y}, {kInk, em / 9});
      panel.picture.line({best, y - em * 0.3}, {best, y + em * 0.3}, {kInk, em / 9});
    }
    const double x = frame.x.to + em * 3.6;
    if (percent > 0) {
      panel.text({x - em * 0.6, middle}, format_decimal(percent, 0) + " %",
                 {.size = em, .color = kInk, .bold = true, .anchor = Anchor::kEnd});
    }
    panel.text({x, middle}, figures_of(operation), {.size = em, .color = kMuted});
    y += step;
  }
  return bottom + em * 4;
}

}  // namespace kvcs::kvfile
