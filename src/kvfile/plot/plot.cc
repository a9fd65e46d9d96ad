// The page of a plot: which charts have data, one below the other, with a line for the artifact
// above them and one for the machine below.
#include "kvfile/plot/plot.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "kvfile/plot/plot_panel.h"

namespace kvcs::kvfile {
namespace {

constexpr double kEmAtDefault = 13, kDefaultWidth = 960;

std::string fact(const std::vector<Fact>& facts, std::string_view name) {
  for (const Fact& one : facts) {
    if (one.name == name) return one.text;
  }
  return {};
}

// The words that are not empty, with middle dots between.
std::string joined_facts(std::initializer_list<std::string> words) {
  std::string line;
  for (const std::string& word : words) {
    if (word.empty()) continue;
    if (!line.empty()) line += " \xc2\xb7 ";
    line += word;
  }
  return line;
}

std::string with(const std::string& value, const char* unit) {
  return value.empty() ? "" : value + unit;
}

std::string artifact_line(const BenchmarkReport& report) {
  const auto get = [&](const char* name) { return fact(report.artifact, name); };
  const Result<uint64_t> bytes = parse_u64(get("size_bytes"), "size");
  const std::string path = get("file");
  return joined_facts({path.substr(path.rfind('/') + 1), bytes.ok() ? format_bytes(*bytes) : "",
                       joined_facts({get("dtype")}), with(get("layers"), " layers"),
                       with(get("tokens"), " tokens")});
}

std::string machine_line(const BenchmarkReport& report) {
  const auto get = [&](const char* name) { return fact(report.machine, name); };
  const Result<uint64_t> bytes = parse_u64(get("memory_bytes"), "memory");
  return joined_facts({get("cpu"), with(get("cores"), " cores"),
                       bytes.ok() ? format_bytes(*bytes) : "", get("kernel"), get("filesystem"),
                       with(get("kvcs"), "").empty() ? "" : "kvcs " + get("kvcs")});
}

// The text, cut to the width and ended with an ellipsis when it is too long.
std::string fitted(const Panel& panel, std::string text, double width) {
  if (panel.width_of(text) <= width) return text;
  while (!text.empty() && panel.width_of(text + "\xe2\x80\xa6") > width) {
    text.pop_back();
    // Not in the middle of a character.
    while (!text.empty() && !is_valid_utf8(text)) text.pop_back();
  }
  return text + "\xe2\x80\xa6";
}

bool has_data(const BenchmarkReport& report, Chart chart) {
  switch (chart) {
    case Chart::kReuse:
      return !report.reuse.empty();
    case Chart::kError:
      return !report.errors.empty();
    case Chart::kLayers:
      return report.layers.size() > 0 && report.layers.back().layer > 0;
    case Chart::kSpeed:
      break;
  }
  return !report.operations.empty();
}

double draw_chart(const Panel& panel, const BenchmarkReport& report, Chart chart, double max_n) {
  switch (chart) {
    case Chart::kReuse:
      return draw_reuse(panel, report, max_n);
    case Chart::kError:
      return draw_error(panel, report);
    case Chart::kLayers:
      return draw_layers(panel, report);
    case Chart::kSpeed:
      break;
  }
  return draw_speed(panel, report);
}

constexpr Color kWhite{255, 255, 255}, kDarkGround{13, 17, 23};

// The colours of the dark theme. Greys have one of their own each; the others become lighter, as
// they stand for the same things.
Color darkened(Color color) {
  static constexpr std::pair<Color, Color> kPairs[] = {{kWhite, kDarkGround},
                                                       {kInk, {230, 237, 243}},
                                                       {kMuted, {157, 167, 179}},
                                                       {kGrid, {48, 54, 61}},
                                                       {kTrack, {33, 38, 60}}};
  for (const auto& [light, dark] : kPairs) {
    if (color == light) return dark;
  }
  const auto lighter = [](uint8_t part) {
    return static_cast<uint8_t>(part + (255 - part) * 2 / 5);
  };
  return {lighter(color.red), lighter(color.green), lighter(color.blue)};
}

struct Darkener {
  void operator()(LineShape& shape) const { shape.stroke.color = darkened(shape.stroke.color); }
  void operator()(BoxShape& shape) const { shape.fill = darkened(shape.fill); }
  void operator()(DotShape& shape) const { shape.fill = darkened(shape.fill); }
  void operator()(TextShape& shape) const { shape.style.color = darkened(shape.style.color); }
};

Status check_rows(const BenchmarkReport& report, const std::vector<Chart>& charts) {
  if (std::find(charts.begin(), charts.end(), Chart::kReuse) == charts.end()) return ok();
  if (report.reuse.size() > kPlotRowsMax) {
    return invalid("the file has " + std::to_string(report.reuse.size()) +
                   " lengths; a chart holds " + std::to_string(kPlotRowsMax));
  }
  return ok();
}

}  // namespace

// With the cache n uses cost one prefill and n loads, without it n prefills; they meet at n =
// prefill / (prefill - load).
std::vector<BreakEven> break_even_points(const BenchmarkReport& report, double max_n) {
  std::vector<BreakEven> points;
  for (const ReuseRow& row : report.reuse) {
    BreakEven point{row.tokens, row.prefill_s, row.kv_attn_s, HUGE_VAL, 0, row.scaled_from > 0};
    if (row.prefill_s > row.kv_attn_s) point.uses = row.prefill_s / (row.prefill_s - row.kv_attn_s);
    point.saved_s = max_n * row.prefill_s - (row.prefill_s + max_n * row.kv_attn_s);
    points.push_back(point);
  }
  return points;
}

Result<Picture> draw_plot(const BenchmarkReport& report, const PlotOptions& options,
                          const PlotFonts& fonts) {
  std::vector<Chart> charts;
  for (const Chart chart : options.charts) {
    if (has_data(report, chart)) charts.push_back(chart);
  }
  if (charts.empty()) return invalid("the file has no rows to draw");
  KVCS_TRY(check_rows(report, charts));
  const double em = kEmAtDefault * std::max(0.85, options.width / kDefaultWidth);
  // The charts are drawn first, on a picture without height: only then is the height known.
  Picture drawing(options.width, 0);
  Panel panel{drawing, fonts, em, em * 2, options.width - em * 2, em * 1.5};
  const std::string artifact = artifact_line(report), machine = machine_line(report);
  const double width = panel.right - panel.left;
  if (!artifact.empty()) {
    panel.text({panel.left, panel.top + em}, fitted(panel, artifact, width),
               {.size = em, .color = kInk});
    panel.top += em * 2.4;
  }
  for (const Chart chart : charts) {
    panel.top = draw_chart(panel, report, chart, options.max_n) + em * 1.5;
  }
  if (!machine.empty()) {
    panel.text({panel.left, panel.top}, fitted(panel, machine, width),
               {.size = em, .color = kMuted});
    panel.top += em;
  }
  Picture picture(options.width, std::ceil(panel.top + em * 0.5),
                  options.dark ? kDarkGround : kWhite);
  for (Shape shape : drawing.shapes()) {
    if (options.dark) std::visit(Darkener{}, shape);
    picture.add(std::move(shape));
  }
  return picture;
}

}  // namespace kvcs::kvfile
