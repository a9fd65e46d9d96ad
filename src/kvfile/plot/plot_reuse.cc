// kvcdn's chart: the time of one use against the number of uses, both on logarithmic axes.
#include <algorithm>
#include <cmath>
#include <functional>

#include "base/decimal.h"
#include "kvfile/plot/plot_panel.h"

namespace kvcs::kvfile {
namespace {

constexpr int kCurvePoints = 160;
constexpr double kLabelEms = 2.9;  // Two lines and a gap.

// "2nd", "3rd", "11th"
std::string ordinal(double whole) {
  const auto number = static_cast<uint64_t>(whole);
  const uint64_t last = number % 10;
  const bool teen = number % 100 / 10 == 1;
  const char* const end = teen        ? "th"
                          : last == 1 ? "st"
                          : last == 2 ? "nd"
                          : last == 3 ? "rd"
                                      : "th";
  return grouped(whole) + end;
}

// The first use after which the uses together took less time. One use cannot: it is the prefill.
std::string uses_label(const BreakEven& row) {
  if (std::isinf(row.uses)) return "never pays: loading is no faster";
  return "pays from the " + ordinal(std::max(2.0, std::floor(row.uses) + 1)) + " use";
}

struct Label {
  std::string name, below;
};
std::vector<Label> labels_of(const std::vector<BreakEven>& rows) {
  std::vector<Label> labels;
  for (const BreakEven& row : rows) {
    labels.push_back(
        {grouped(static_cast<double>(row.tokens)) + " tokens" + (row.scaled ? ", scaled" : ""),
         uses_label(row)});
  }
  return labels;
}

Frame make_frame(const Panel& panel, const std::vector<BreakEven>& rows, double max_n, double top,
                 double label_width) {
  double low = HUGE_VAL, high = 0;
  for (const BreakEven& row : rows) {
    low = std::min({low, row.load_s, row.prefill_s});
    high = std::max({high, row.prefill_s + row.load_s});
  }
  const double em = panel.em;
  const double height_ems = std::max(24.0, static_cast<double>(rows.size()) * kLabelEms);
  Frame frame;
  frame.y = {low * 0.8, high * 1.5, top + em * height_ems, top, true};
  frame.y_ticks = log_ticks(frame.y, seconds_label);
  double tick_width = 0;
  for (const Tick& tick : frame.y_ticks) {
    tick_width = std::max(tick_width, panel.width_of(tick.label));
  }
  frame.x = {1, max_n, panel.left + tick_width + em * 2.8, panel.right - label_width - em * 1.6,
             true};
  frame.x_ticks = log_ticks(frame.x, grouped);
  frame.x_title = "uses of the same context";
  frame.y_title = "time per use";
  return frame;
}

void draw_curve(const Panel& panel, const Frame& frame, const BreakEven& row, Color color) {
  const double em = panel.em, max_n = frame.x.max;
  LineShape curve;
  for (int i = 0; i <= kCurvePoints; i++) {
    const double n = std::pow(max_n, static_cast<double>(i) / kCurvePoints);
    curve.points.push_back({frame.x.at(n), frame.y.at(row.prefill_s / n + row.load_s)});
  }
  // What was not measured is thinner and broken, and its dot is hollow.
  curve.stroke = {color, em * (row.scaled ? 0.1 : 0.16), row.scaled ? em * 0.9 : 0};
  panel.picture.add(std::move(curve));
  const double scratch = frame.y.at(row.prefill_s);
  panel.picture.line({frame.x.from, scratch}, {frame.x.to, scratch}, {color, em / 13, em * 0.4});
  if (row.uses > max_n) return;
  const Point meet{frame.x.at(row.uses), scratch};
  panel.picture.add(DotShape{meet, em * 0.46, {255, 255, 255}});
  panel.picture.add(DotShape{meet, em * 0.36, color});
  if (row.scaled) panel.picture.add(DotShape{meet, em * 0.22, {255, 255, 255}});
}

// Above each dashed line; above the highest alone when they are too close for words.
void label_scratch(const Panel& panel, const Frame& frame, const std::vector<BreakEven>& rows) {
  const double em = panel.em;
  std::vector<double> prefills;
  for (const BreakEven& row : rows) prefills.push_back(row.prefill_s);
  std::sort(prefills.begin(), prefills.end(), std::greater<>());
  for (size_t i = 1; i < prefills.size(); i++) {
    if (frame.y.at(prefills[i]) - frame.y.at(prefills[i - 1]) < em * 1.4) prefills.resize(1);
  }
  for (const double prefill_s : prefills) {
    panel.text({frame.x.to - em * 0.5, frame.y.at(prefill_s) - em * 0.4},
               "from scratch " + seconds_label(prefill_s),
               {.size = em, .color = kMuted, .anchor = Anchor::kEnd});
  }
}

}  // namespace

double draw_reuse(const Panel& panel, const BenchmarkReport& report, double max_n) {
  const std::vector<BreakEven> rows = break_even_points(report, max_n);
  const std::vector<Label> labels = labels_of(rows);
  const double em = panel.em;
  const bool any_scaled =
      std::any_of(rows.begin(), rows.end(), [](const BreakEven& row) { return row.scaled; });
  const double top = panel.heading(
      "What reuse saves",
      std::string(
          "Solid: prefill once, then load. Dashed, level: prefill each time. Dot: where the "
          "two meet. Prefill times are those of the file that was given, loads those of "
          "this machine's disk.") +
          (any_scaled ? " Long dashes: the load was scaled from a shorter context." : ""));
  double label_width = 0;
  for (const Label& label : labels) {
    label_width =
        std::max({label_width, panel.width_of(label.name, true), panel.width_of(label.below)});
  }
  const Frame frame = make_frame(panel, rows, max_n, top, label_width);
  draw_frame(panel, frame);
  std::vector<double> ends;
  for (size_t i = 0; i < rows.size(); i++) {
    draw_curve(panel, frame, rows[i], series_color(i));
    ends.push_back(frame.y.at(rows[i].prefill_s / max_n + rows[i].load_s));
  }
  label_scratch(panel, frame, rows);
  const std::vector<double> placed = spread(ends, em * kLabelEms, frame.y.to, frame.y.from);
  for (size_t i = 0; i < rows.size(); i++) {
    const double x = frame.x.to + em * 1.4, y = placed[i];
    panel.picture.line({frame.x.to, ends[i]}, {x - em * 0.3, y}, {series_color(i), em / 13});
    panel.text({x, y - em * 0.25}, labels[i].name,
               {.size = em, .color = series_color(i), .bold = true});
    panel.text({x, y + em * 1.05}, labels[i].below, {.size = em, .color = kMuted});
  }
  return frame.y.from + em * 4;
}

}  // namespace kvcs::kvfile
