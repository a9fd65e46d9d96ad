// Pictures of a benchmark: what reuse saves, what each scheme costs in exactness, in all and layer
// by layer, and how near the machine's limits the operations come. Lines and dots are labelled
// where they are. Pure functions.
#pragma once
#include <vector>

#include "kvfile/plot/picture.h"
#include "kvfile/tools/benchmark.h"

namespace kvcs::kvfile {

inline constexpr double kPlotWidthMin = 600, kPlotWidthMax = 4000;
inline constexpr size_t kPlotRowsMax = 60;  // Of the reuse chart, which grows with them.

enum class Chart : uint8_t { kReuse, kError, kLayers, kSpeed };

struct PlotOptions {
  double width = 960;   // Pixels; letters and gaps grow with it.
  double max_n = 1000;  // The reuse chart ends at so many uses.
  bool dark = false;    // Light letters on a dark ground.
  std::vector<Chart> charts = {Chart::kReuse, Chart::kError, Chart::kLayers, Chart::kSpeed};
};

// One length of kvcdn's chart: n uses cost prefill + n·load with the cache, n·prefill without.
struct BreakEven {
  uint64_t tokens = 0;
  double prefill_s = 0, load_s = 0;
  double uses = 0;      // Where the costs meet; infinite when loading is no faster.
  double saved_s = 0;   // After max_n uses.
  bool scaled = false;  // The load was not measured.
};
std::vector<BreakEven> break_even_points(const BenchmarkReport& report, double max_n);

// The charts asked for of which the report has data, one below the other. Invalid when it has none
// for any, and when there are more than kPlotRowsMax reuse rows.
Result<Picture> draw_plot(const BenchmarkReport& report, const PlotOptions& options,
                          const PlotFonts& fonts);

}  // namespace kvcs::kvfile
