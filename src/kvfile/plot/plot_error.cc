// The chart of each scheme's error against the size of the artifact that it makes.
#include <algorithm>
#include <cmath>

#include "base/decimal.h"
#include "kvfile/plot/plot_panel.h"

namespace kvcs::kvfile {
namespace {

constexpr double kLabelEms = 3;  // Two lines and a gap.

std::string decibels(double value) {
  return std::isinf(value) ? "exact" : format_decimal(value, 1) + " dB";
}

std::string figures_of(const SchemeError& error) {
  std::string text;
  if (error.attention_error) text = significant(*error.attention_error * 100) + " %, ";
  return text + "keys " + decibels(error.keys_snr_db) + ", values " + decibels(error.values_snr_db);
}

std::string explanation(const std::vector<SchemeError>& errors) {
  std::string text =
      "Lower left is better. Beside a name: attention error, and SNR of keys and of values. Grey: "
      "a cast, which is taken for harmless. Attention error is of 4 layers and 64 synthetic "
      "queries "
      "a head; neither it nor SNR shows whether a model still answers well.";
  for (const SchemeError& error : errors) {
    if (!error.note.empty()) text += " " + error.scheme + ": " + error.note + ".";
  }
  return text;
}

double size_percent(const SchemeError& error) {
  return 100 * static_cast<double>(error.bytes) / static_cast<double>(error.original_bytes);
}

// The height of a dot: the attention error in percent, or the signal-to-noise ratio as a relative
// error when attention was not measured.
double error_percent(const SchemeError& error) {
  if (error.attention_error) return *error.attention_error * 100;
  return 100 * std::pow(10.0, -std::min(error.keys_snr_db, error.values_snr_db) / 20);
}

Frame make_frame(const Panel& panel, const std::vector<SchemeError>& errors, double top,
                 double label_width) {
  double low = HUGE_VAL, high = 0, large = 100;
  for (const SchemeError& error : errors) {
    const double lost = error_percent(error);
    if (lost > 0 && std::isfinite(lost)) {
      low = std::min(low, lost);
      high = std::max(high, lost);
    }
    large = std::max(large, size_percent(error));
  }
  if (high == 0) low = high = 1;  // All exact.
  const double em = panel.em;
  Frame frame;
  const double height = std::max(22.0, static_cast<double>(errors.size()) * kLabelEms);
  frame.y = {low / 1.8, high * 1.8, top + em * height, top, true};
  frame.y_ticks = log_ticks(frame.y, [](double v) { return significant(v) + " %"; });
  double tick_width = 0;
  for (const Tick& tick : frame.y_ticks) {
    tick_width = std::max(tick_width, panel.width_of(tick.label));
  }
  frame.x = {0, large * 1.02, panel.left + tick_width + em * 2.8,
             panel.right - label_width - em * 2.4};
  frame.x_ticks = linear_ticks(frame.x, 5, [](double v) { return significant(v) + " %"; });
  frame.x_title = "size, as a share of the original";
  frame.y_title = "error of the attention output";
  return frame;
}

}  // namespace

double draw_error(const Panel& panel, const BenchmarkReport& report) {
  std::vector<SchemeError> errors = report.errors;
  const double em = panel.em;
  const double top = panel.heading("What each scheme loses", explanation(errors));
  double label_width = 0;
  for (const SchemeError& error : errors) {
    label_width = std::max(
        {label_width, panel.width_of(error.scheme, true), panel.width_of(figures_of(error))});
  }
  const Frame frame = make_frame(panel, errors, top, label_width);
  draw_frame(panel, frame);
  std::vector<double> heights;
  for (const SchemeError& error : errors) {
    heights.push_back(frame.y.at(std::clamp(error_percent(error), frame.y.min, frame.y.max)));
  }
  const std::vector<double> placed = spread(heights, em * kLabelEms, frame.y.to, frame.y.from);
  for (size_t i = 0; i < errors.size(); i++) {
    const Point dot{frame.x.at(size_percent(errors[i])), heights[i]};
    const double x = frame.x.to + em * 1.4;
    const Color color = scheme_color(report, errors[i].scheme);
    // Straight to its label: dots that lie at one height have lines of their own.
    panel.picture.line(dot, {x - em * 0.4, placed[i]}, {color, em / 13, em * 0.25});
    panel.picture.add(DotShape{dot, em * 0.42, color});
    panel.text({x, placed[i] - em * 0.25}, errors[i].scheme,
               {.size = em, .color = color, .bold = true});
    panel.text({x, placed[i] + em * 1.05}, figures_of(errors[i]), {.size = em, .color = kMuted});
  }
  return frame.y.from + em * 4;
}

}  // namespace kvcs::kvfile
