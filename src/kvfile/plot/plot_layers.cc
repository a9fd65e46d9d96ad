// The error of each layer's keys and values: a line for each scheme, so that a layer that suffers
// more than the others is seen.
#include <algorithm>
#include <cmath>

#include "base/decimal.h"
#include "kvfile/plot/plot_panel.h"

namespace kvcs::kvfile {
namespace {

constexpr double kHeightEms = 20, kLabelEms = 2.9;

struct Series {
  std::string scheme;
  std::vector<double> keys, values;  // dB; infinite where nothing was lost.
};

// Schemes in the order of the report. One that loses nothing has no line.
std::vector<Series> series_of(const BenchmarkReport& report) {
  std::vector<Series> all;
  for (const LayerLoss& layer : report.layers) {
    if (all.empty() || all.back().scheme != layer.scheme) all.push_back({layer.scheme, {}, {}});
    all.back().keys.push_back(layer.keys_snr_db);
    all.back().values.push_back(layer.values_snr_db);
  }
  const auto is_exact = [](const Series& one) {
    const auto finite = [](double db) { return std::isfinite(db); };
    return std::none_of(one.keys.begin(), one.keys.end(), finite) &&
           std::none_of(one.values.begin(), one.values.end(), finite);
  };
  all.erase(std::remove_if(all.begin(), all.end(), is_exact), all.end());
  return all;
}

// "worst: keys of layer 12, 31.2 dB"
std::string worst_of(const Series& series) {
  const auto keys = std::min_element(series.keys.begin(), series.keys.end());
  const auto values = std::min_element(series.values.begin(), series.values.end());
  const bool by_keys = *keys <= *values;
  const auto layer = by_keys ? keys - series.keys.begin() : values - series.values.begin();
  return std::string("worst: ") + (by_keys ? "keys" : "values") + " of layer " +
         std::to_string(layer) + ", " + format_decimal(by_keys ? *keys : *values, 1) + " dB";
}

void draw_line(const Panel& panel, const Frame& frame, const std::vector<double>& decibels,
               Stroke stroke) {
  LineShape line;
  line.stroke = stroke;
  const auto flush = [&] {
    if (line.points.size() > 1) panel.picture.add(line);
    line.points.clear();
  };
  for (size_t layer = 0; layer < decibels.size(); layer++) {
    if (!std::isfinite(decibels[layer])) {
      flush();
      continue;
    }
    line.points.push_back({frame.x.at(static_cast<double>(layer)), frame.y.at(decibels[layer])});
  }
  flush();
}

Frame make_frame(const Panel& panel, const std::vector<Series>& all, double top,
                 double label_width) {
  double low = HUGE_VAL, high = -HUGE_VAL, last = 1;
  for (const Series& one : all) {
    for (const auto* const part : {&one.keys, &one.values}) {
      for (const double db : *part) {
        if (!std::isfinite(db)) continue;
        low = std::min(low, db);
        high = std::max(high, db);
      }
    }
    last = std::max(last, static_cast<double>(one.keys.size()) - 1);
  }
  const double em = panel.em;
  const double height = std::max(kHeightEms, static_cast<double>(all.size()) * kLabelEms);
  Frame frame;
  frame.y = {std::min(0.0, low), high + 3, top + em * height, top};
  frame.y_ticks = linear_ticks(frame.y, 6, [](double v) { return significant(v) + " dB"; });
  double tick_width = 0;
  for (const Tick& tick : frame.y_ticks) {
    tick_width = std::max(tick_width, panel.width_of(tick.label));
  }
  frame.x = {0, last, panel.left + tick_width + em * 2.8, panel.right - label_width - em * 2.4};
  // Layers are whole: no tick stands between two of them.
  frame.x_ticks = linear_ticks(frame.x, 8, grouped);
  frame.x_ticks.erase(
      std::remove_if(frame.x_ticks.begin(), frame.x_ticks.end(),
                     [](const Tick& tick) { return tick.value != std::floor(tick.value); }),
      frame.x_ticks.end());
  frame.x_title = "layer";
  frame.y_title = "signal to noise";
  return frame;
}

}  // namespace

double draw_layers(const Panel& panel, const BenchmarkReport& report) {
  const std::vector<Series> all = series_of(report);
  const double em = panel.em;
  const double top =
      panel.heading("Where each scheme loses it", "Higher is better. Solid: keys. Dashed: values.");
  if (all.empty()) {
    panel.text({panel.left, top + em}, "No scheme loses anything.", {.size = em, .color = kMuted});
    return top + em * 2;
  }
  double label_width = 0;
  for (const Series& one : all) {
    label_width =
        std::max({label_width, panel.width_of(one.scheme, true), panel.width_of(worst_of(one))});
  }
  const Frame frame = make_frame(panel, all, top, label_width);
  draw_frame(panel, frame);
  std::vector<double> ends;
  for (const Series& one : all) {
    const Color color = scheme_color(report, one.scheme);
    draw_line(panel, frame, one.keys, {color, em * 0.14});
    draw_line(panel, frame, one.values, {color, em * 0.1, em * 0.35});
    const double end = std::isfinite(one.keys.back()) ? one.keys.back() : one.values.back();
    ends.push_back(frame.y.at(std::clamp(end, frame.y.min, frame.y.max)));
  }
  const std::vector<double> placed = spread(ends, em * kLabelEms, frame.y.to, frame.y.from);
  for (size_t i = 0; i < all.size(); i++) {
    const Color color = scheme_color(report, all[i].scheme);
    const double x = frame.x.to + em * 1.4;
    panel.picture.line({frame.x.to, ends[i]}, {x - em * 0.3, placed[i]}, {color, em / 13});
    panel.text({x, placed[i] - em * 0.25}, all[i].scheme,
               {.size = em, .color = color, .bold = true});
    panel.text({x, placed[i] + em * 1.05}, worst_of(all[i]), {.size = em, .color = kMuted});
  }
  return frame.y.from + em * 4;
}

}  // namespace kvcs::kvfile
