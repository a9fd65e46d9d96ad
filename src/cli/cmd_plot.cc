// `kvcs plot`: the CSV of a benchmark as a picture, and the break-even points of reuse as a table;
// the work is in kvfile/plot.
#include <nlohmann/json.hpp>

#include <cmath>

#include "base/bytes.h"
#include "base/decimal.h"
#include "cli/commands.h"
#include "kvfile/plot/plot.h"
#include "kvfile/tools/benchmark_csv.h"

namespace kvcs::cli {
namespace {

using kvfile::BreakEven;
using kvfile::Chart;

// A benchmark has some hundred rows; a file beyond this is another file.
constexpr uint64_t kCsvBytesMax = 16 << 20;

// All charts unless one is named; the plot leaves out those that the file has no data for.
std::vector<Chart> charts_of(const Invocation& in) {
  const std::string chart = in.text("chart");
  if (chart == "reuse") return {Chart::kReuse};
  if (chart == "error") return {Chart::kError};
  if (chart == "layers") return {Chart::kLayers};
  if (chart == "speed") return {Chart::kSpeed};
  return {Chart::kReuse, Chart::kError, Chart::kLayers, Chart::kSpeed};
}

// The facts that are printed about the picture; the picture itself is in the file.
struct Drawn {
  std::vector<BreakEven> points;
  double width = 0, height = 0;
  uint64_t size_bytes = 0;
};

// Parses, draws and writes. The file is created only when the picture is complete.
Result<Drawn> draw(const Invocation& in) {
  const std::string path = in.text("csv-path"), out = in.text("out");
  const std::string csv = KVCS_TRY(kvfile::read_small_file(path, kCsvBytesMax));
  Result<kvfile::BenchmarkReport> parsed = kvfile::parse_benchmark(csv);
  if (!parsed.ok()) return std::move(parsed).status().with_context(printable(path));
  kvfile::PlotOptions options;
  options.width = static_cast<double>(in.number("width"));
  options.max_n = static_cast<double>(in.number("max-n"));
  options.dark = in.flag("dark");
  options.charts = charts_of(in);
  const kvfile::PlotFonts fonts;
  Result<kvfile::Picture> picture = kvfile::draw_plot(*parsed, options, fonts);
  if (!picture.ok()) return std::move(picture).status().with_context(printable(path));
  const std::string bytes = out.ends_with(".svg")
                                ? kvfile::picture_svg(*picture, "kvcs benchmark", fonts)
                                : KVCS_TRY(kvfile::picture_png(*picture, fonts));
  const auto file = KVCS_TRY(kvfile::AtomicFile::create(out, {path}));
  KVCS_TRY(file->write(0, bytes.data(), bytes.size()));
  KVCS_TRY(file->publish());
  return Drawn{kvfile::break_even_points(*parsed, options.max_n), picture->width(),
               picture->height(), bytes.size()};
}

// From how many uses on a stored cache is quicker than computing it again; "never" when loading it
// takes longer than the prefill.
void print_points(const std::vector<BreakEven>& points, int64_t max_n, Console& console) {
  std::vector<std::vector<std::string>> rows = {
      {"tokens", "prefill", "load", "break-even", "saved after " + std::to_string(max_n)}};
  for (const BreakEven& point : points) {
    rows.push_back({std::to_string(point.tokens), format_decimal(point.prefill_s, 4) + " s",
                    format_decimal(point.load_s, 5) + " s",
                    std::isinf(point.uses) ? "never" : format_decimal(point.uses, 2) + " uses",
                    format_decimal(point.saved_s, 2) + " s"});
  }
  console.print_table(rows);
}

// The ending decides the format, so another ending is a usage error.
int run_plot(const Invocation& in, Console& console) {
  const std::string out = in.text("out");
  if (!out.ends_with(".png") && !out.ends_with(".svg")) {
    return console.misused(
        invalid("--out: '" + printable(out, kShownValue) + "' must end in .png or .svg"));
  }
  const Result<Drawn> drawn = draw(in);
  if (!drawn.ok()) return console.fail(drawn.status());
  if (console.mode().json) {
    Json points = Json::array();
    for (const BreakEven& point : drawn->points) {
      points.push_back({{"tokens", point.tokens},
                        {"prefill_s", point.prefill_s},
                        {"load_s", point.load_s},
                        {"break_even_uses", std::isinf(point.uses) ? Json() : Json(point.uses)},
                        {"saved_s", point.saved_s}});
    }
    console.print_json(Json{{"output", out},
                            {"width", std::lround(drawn->width)},
                            {"height", std::lround(drawn->height)},
                            {"size_bytes", drawn->size_bytes},
                            {"max_n", in.number("max-n")},
                            {"reuse", std::move(points)}});
    return kExitOk;
  }
  if (!drawn->points.empty() && !console.mode().quiet) {
    print_points(drawn->points, in.number("max-n"), console);
  }
  console.print(printable(out) + ": " + format_decimal(drawn->width, 0) + " \xc3\x97 " +
                format_decimal(drawn->height, 0) + ", " + format_bytes(drawn->size_bytes));
  return kExitOk;
}

}  // namespace

std::vector<Command> plot_commands() {
  return {{.name = "plot",
           .summary = "Draw a benchmark as PNG or SVG.",
           .options = {{.name = "--csv-path",
                        .help = "A file of `kvcs benchmark`, or of kvcdn's benchmark.",
                        .value_name = "B.csv",
                        .required = true},
                       {.name = "--out",
                        .help = "The picture; .png or .svg.",
                        .value_name = "P.png",
                        .required = true},
                       {.name = "--chart",
                        .help = "Which chart; all that the file has data for.",
                        .fallback = "all",
                        .choices = {"all", "reuse", "error", "layers", "speed"}},
                       {.name = "--dark",
                        .kind = ValueKind::kFlag,
                        .help = "Light letters on a dark ground."},
                       {.name = "--max-n",
                        .kind = ValueKind::kNumber,
                        .help = "The reuse chart ends at N uses.",
                        .value_name = "N",
                        .fallback = "1000",
                        .min = 2,
                        .max = 1'000'000'000},
                       {.name = "--width",
                        .kind = ValueKind::kNumber,
                        .help = "Pixels; letters grow with it.",
                        .value_name = "N",
                        .fallback = "960",
                        .min = static_cast<int64_t>(kvfile::kPlotWidthMin),
                        .max = static_cast<int64_t>(kvfile::kPlotWidthMax)}},
           .examples = {{"kvcs plot --csv-path bench.csv --out bench.png", "Every chart."},
                        {"kvcs plot --csv-path reuse.csv --out reuse.svg --chart reuse",
                         "Where a stored cache pays for itself."}},
           .run = run_plot,
           .details = "Needs no installed fonts. The same file gives the same picture."}};
}

}  // namespace kvcs::cli
