// Scales, ticks, labels and frames that all charts use.
#include "kvfile/plot/plot_panel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/bytes.h"
#include "base/decimal.h"

namespace kvcs::kvfile {

Color series_color(size_t index) {
  static constexpr std::array<Color, 7> kColors = {{{37, 99, 235},
                                                    {220, 38, 38},
                                                    {22, 128, 61},
                                                    {147, 51, 234},
                                                    {194, 95, 6},
                                                    {14, 116, 144},
                                                    {190, 24, 93}}};
  return kColors[index % kColors.size()];
}

Color scheme_color(const BenchmarkReport& report, const std::string& scheme) {
  size_t index = 0;
  for (const SchemeError& error : report.errors) {
    if (error.scheme == scheme) return error.is_reference() ? kMuted : series_color(index);
    if (!error.is_reference()) index++;
  }
  return kMuted;
}

double Scale::at(double value) const {
  const auto place = [this](double v) { return log ? std::log10(v) : v; };
  return from + (place(value) - place(min)) / (place(max) - place(min)) * (to - from);
}

std::vector<Tick> log_ticks(const Scale& scale, const Labeller& label) {
  const bool few = std::log10(scale.max / scale.min) < 2.5;
  std::vector<Tick> ticks;
  const int first = static_cast<int>(std::floor(std::log10(scale.min)));
  for (int exponent = first; std::pow(10.0, exponent) <= scale.max * 1.0001; exponent++) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double value = step * std::pow(10.0, exponent);
      const bool inside = value >= scale.min * 0.9999 && value <= scale.max * 1.0001;
      if (inside && (step == 1 || few)) ticks.push_back({value, label(value)});
    }
  }
  return ticks;
}

// Steps of 1, 2 or 5 times a power of ten: the smallest one that gives no more ticks than asked.
std::vector<Tick> linear_ticks(const Scale& scale, int about, const Labeller& label) {
  const double rough = (scale.max - scale.min) / about;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = power * 10;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  }
  std::vector<Tick> ticks;
  const auto last = static_cast<int64_t>(std::floor(scale.max / step + 1e-9));
  for (auto i = static_cast<int64_t>(std::ceil(scale.min / step - 1e-9)); i <= last; i++) {
    const double value = static_cast<double>(i) * step;
    ticks.push_back({value, label(value)});
  }
  return ticks;
}

std::string significant(double value) {
  if (value == 0) return "0";
  const int whole = static_cast<int>(std::floor(std::log10(std::fabs(value)))) + 1;
  std::string text = format_decimal(value, std::clamp(3 - whole, 0, 12));
  if (text.find('.') == std::string::npos) return text;
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string grouped(double whole) {
  const std::string digits = format_decimal(whole, 0);
  std::string text;
  for (size_t i = 0; i < digits.size(); i++) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string seconds_label(double seconds) {
  if (seconds >= 1000) return grouped(seconds) + " s";
  if (seconds >= 1) return significant(seconds) + " s";
  if (seconds >= 1e-3) return significant(seconds * 1e3) + " ms";
  return significant(seconds * 1e6) + " \xc2\xb5s";
}

void Panel::text(Point at, const std::string& words, TextStyle style) const {
  picture.add(TextShape{at, words, style});
}

double Panel::width_of(const std::string& words, bool bold) const {
  return fonts.width(words, em, bold);
}

double Panel::heading(const std::string& title, const std::string& below) const {
  text({left, top + em * 1.2}, title, {.size = em * 1.25, .color = kInk, .bold = true});
  double y = top + em * 2.7;
  std::string line;
  const auto put = [&] {
    text({left, y}, line, {.size = em, .color = kMuted});
    y += em * 1.4;
    line.clear();
  };
  for (const std::string_view word : split(below, ' ')) {
    const std::string longer = line.empty() ? std::string(word) : line + " " + std::string(word);
    if (!line.empty() && width_of(longer) > right - left) put();
    line = line.empty() ? std::string(word) : longer;
  }
  put();
  return y + em * 0.1;
}

void draw_frame(const Panel& panel, const Frame& frame) {
  const double em = panel.em, thin = em / 13;
  const double left = frame.x.from, right = frame.x.to, top = frame.y.to, bottom = frame.y.from;
  for (const Tick& tick : frame.x_ticks) {
    const double x = frame.x.at(tick.value);
    panel.picture.line({x, top}, {x, bottom}, {kGrid, thin});
    panel.text({x, bottom + em * 1.4}, tick.label,
               {.size = em, .color = kMuted, .anchor = Anchor::kMiddle});
  }
  for (const Tick& tick : frame.y_ticks) {
    const double y = frame.y.at(tick.value);
    panel.picture.line({left, y}, {right, y}, {kGrid, thin});
    panel.text({left - em * 0.6, y + em * 0.35}, tick.label,
               {.size = em, .color = kMuted, .anchor = Anchor::kEnd});
  }
  panel.picture.line({left, bottom}, {right, bottom}, {kMuted, thin});
  panel.text({(left + right) / 2, bottom + em * 3.1}, frame.x_title,
             {.size = em, .color = kInk, .anchor = Anchor::kMiddle});
  if (frame.y_title.empty()) return;
  panel.text({panel.left + em, (top + bottom) / 2}, frame.y_title,
             {.size = em, .color = kInk, .anchor = Anchor::kMiddle, .upright = true});
}

std::vector<double> spread(const std::vector<double>& wanted, double height, double top,
                           double bottom) {
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return wanted[a] < wanted[b]; });
  std::vector<double> placed = wanted;
  double free = top + height / 2;
  for (const size_t i : order) {
    placed[i] = std::max(placed[i], free);
    free = placed[i] + height;
  }
  // The first pass moved labels down until none overlaps. Those that were moved beyond the bottom
  // come back now, and push the ones above them up.
  free = bottom - height / 2;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    placed[*i] = std::min(placed[*i], free);
    free = placed[*i] - height;
  }
  return placed;
}

}  // namespace kvcs::kvfile
