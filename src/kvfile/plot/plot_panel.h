// Parts that the charts share: scales, axes, and labels that keep out of each other's way.
// Distances are in ems, the height of a letter line of the plot. Used by the plot*.cc files alone.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "kvfile/plot/plot.h"

namespace kvcs::kvfile {

inline constexpr Color kInk{17, 24, 39}, kMuted{107, 114, 128}, kGrid{229, 231, 235};
inline constexpr Color kTrack{224, 231, 255}, kBar{59, 91, 219};
Color series_color(size_t index);
// The same colour for a scheme in every chart; grey for a reference.
Color scheme_color(const BenchmarkReport& report, const std::string& scheme);

// Values onto pixels, by their logarithm or as they are.
struct Scale {
  double min = 0, max = 1, from = 0, to = 1;
  bool log = false;
  double at(double value) const;
};
struct Tick {
  double value = 0;
  std::string label;
};
using Labeller = std::function<std::string(double)>;
// Powers of ten within the scale, with 2 and 5 when there are few.
std::vector<Tick> log_ticks(const Scale& scale, const Labeller& label);
// Round steps, about so many.
std::vector<Tick> linear_ticks(const Scale& scale, int about, const Labeller& label);

std::string seconds_label(double seconds);  // "12.3 s", "40 ms", "250 µs"
std::string grouped(double whole);          // "1,888"
std::string significant(double value);      // Three digits: "0.0123", "1.23", "123"

// Where a chart goes: `top` and the outer sides are given, the chart says how high it became.
struct Panel {
  Picture& picture;
  const PlotFonts& fonts;
  double em;  // Text size in pixels.
  double left, right, top;

  void text(Point at, const std::string& text, TextStyle style) const;
  double width_of(const std::string& text, bool bold = false) const;
  // Title and what is said below it, in as many lines as it needs; returns where the chart may
  // begin.
  double heading(const std::string& title, const std::string& below) const;
};

struct Frame {
  Scale x, y;
  std::string x_title, y_title;
  std::vector<Tick> x_ticks, y_ticks;
};
// Grid, ticks and titles around the scales' pixels.
void draw_frame(const Panel& panel, const Frame& frame);

// Moves centres of labels apart, each `height` high, within [top, bottom], in the order of
// `wanted`.
std::vector<double> spread(const std::vector<double>& wanted, double height, double top,
                           double bottom);

// Each draws below panel.top and returns its bottom.
double draw_reuse(const Panel& panel, const BenchmarkReport& report, double max_n);
double draw_error(const Panel& panel, const BenchmarkReport& report);
double draw_layers(const Panel& panel, const BenchmarkReport& report);
double draw_speed(const Panel& panel, const BenchmarkReport& report);

}  // namespace kvcs::kvfile
