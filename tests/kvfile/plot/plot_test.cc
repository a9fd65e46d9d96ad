// Goal: a plot says what the figures say, needs nothing of the machine, and is the same each time.
// Method: reports made by hand; the SVG is read as text, the PNG by cairo, and places of labels by
// the shapes themselves.
#include "kvfile/plot/plot.h"

#include <cairo.h>
#include <catch2/catch.hpp>

#include <cmath>

#include "base/bytes.h"
#include "kvfile/plot/plot_panel.h"
#include "kvfile/tools/benchmark_csv.h"

using namespace kvcs;
using namespace kvcs::kvfile;

namespace {

const std::string kKvcdnHeading =
    "tokens,prefill_s,kv_attn_s,kv_mb,prefill_gflops,speedup_compute\n";

BenchmarkReport full_report() {
  BenchmarkReport report;
  report.machine = {{"cpu", "A processor & <co>"}, {"cores", "2"}, {"kvcs", "1.0"}};
  report.artifact = {{"file", "folder/context.kv"}, {"size_bytes", "1048576"}};
  report.limits = {{"memcpy", {64 << 20, 3, 0.01, 0.011}}, {"sha256", {64 << 20, 3, 0.05, 0.06}}};
  report.operations = {{"verify", "plain", {1 << 20, 3, 0.001, 0.002}, "sha256", 0.001, 1 << 20},
                       {"quantise", "int8c", {1 << 20, 3, 0.001, 0.004}, "sha256", 0.001, 0},
                       {"upload", "", {1 << 20, 3, 0.001, 0.004}, "", 0, 0}};
  report.errors = {{"int8", 500, 1000, 35.3, 23.5, 0.078},
                   {"int8c", 506, 1000, 48, 39.1, 0.016},
                   {"exact", 990, 1000, INFINITY, INFINITY, 0.0}};
  report.layers = {{"exact", 0, INFINITY, INFINITY}, {"int8", 0, 35, 33}, {"int8", 1, 36, 30}};
  report.reuse = {{255, 0.4, 0.1, 29.2, {}}, {945, 1.6, 0.1, 108.4, 310.0}};
  return report;
}

std::vector<TextShape> texts_of(const Picture& picture) {
  std::vector<TextShape> texts;
  for (const Shape& shape : picture.shapes()) {
    if (const auto* text = std::get_if<TextShape>(&shape)) texts.push_back(*text);
  }
  return texts;
}

bool has_text(const Picture& picture, const std::string& wanted) {
  for (const TextShape& text : texts_of(picture)) {
    if (text.text == wanted) return true;
  }
  return false;
}

Picture must_draw(const BenchmarkReport& report, const PlotOptions& options = {}) {
  const PlotFonts fonts;
  Result<Picture> picture = draw_plot(report, options, fonts);
  INFO(picture.status().message());
  REQUIRE(picture.ok());
  return std::move(*picture);
}

// The rectangle that a level text covers.
struct Box {
  double left, right, top, bottom;
};
Box box_of(const TextShape& text, const PlotFonts& fonts) {
  const double width = fonts.width(text.text, text.style.size, text.style.bold);
  const Anchor anchor = text.style.anchor;
  const double left = text.at.x - (anchor == Anchor::kStart ? 0
                                   : anchor == Anchor::kEnd ? width
                                                            : width / 2);
  return {left, left + width, text.at.y - text.style.size * 0.75, text.at.y};
}

cairo_status_t read_bytes_of(void* from, unsigned char* data, unsigned size) {
  auto& rest = *static_cast<std::string_view*>(from);
  if (rest.size() < size) return CAIRO_STATUS_READ_ERROR;
  rest.copy(reinterpret_cast<char*>(data), size);
  rest.remove_prefix(size);
  return CAIRO_STATUS_SUCCESS;
}

// Width, height and the share of pixels that are not white.
struct Seen {
  int width, height;
  double ink;
};
Seen look_at(const std::string& png) {
  std::string_view rest = png;
  cairo_surface_t* const surface = cairo_image_surface_create_from_png_stream(read_bytes_of, &rest);
  REQUIRE(cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS);
  Seen seen{cairo_image_surface_get_width(surface), cairo_image_surface_get_height(surface), 0};
  const int stride = cairo_image_surface_get_stride(surface);
  const unsigned char* const data = cairo_image_surface_get_data(surface);
  for (int y = 0; y < seen.height; y++) {
    for (int x = 0; x < seen.width; x++) {
      if ((load_u32le(data + y * stride + 4 * x) & 0xffffff) != 0xffffff) seen.ink++;
    }
  }
  seen.ink /= static_cast<double>(seen.width) * seen.height;
  cairo_surface_destroy(surface);
  return seen;
}

}  // namespace

TEST_CASE("plot: the break-even point is where prefill and load meet", "[unit][kvfile][plot]") {
  BenchmarkReport report;
  report.reuse = {{255, 0.4, 0.1, 0, {}}, {10, 0.1, 0.2, 0, {}}};
  const auto points = break_even_points(report, 100);
  REQUIRE(points.size() == 2);
  CHECK(points[0].uses == Approx(0.4 / 0.3));
  CHECK(points[0].saved_s == Approx(100 * 0.4 - (0.4 + 100 * 0.1)));
  CHECK(std::isinf(points[1].uses));
  const Picture picture = must_draw(report);
  CHECK(has_text(picture, "pays from the 2nd use"));
  CHECK(has_text(picture, "never pays: loading is no faster"));
  CHECK(has_text(picture, "255 tokens"));
  CHECK(has_text(picture, "from scratch 400 ms"));
}

TEST_CASE("plot: every chart names what it shows", "[unit][kvfile][plot]") {
  const Picture picture = must_draw(full_report());
  for (const char* wanted :
       {"What reuse saves", "uses of the same context", "time per use", "What each scheme loses",
        "size, as a share of the original", "error of the attention output", "int8c",
        "1.6 %, keys 48.0 dB, values 39.1 dB", "0 %, keys exact, values exact",
        "Where each scheme loses it", "signal to noise", "worst: values of layer 1, 30.0 dB",
        "How near the machine's limits", "quantise int8c", "verify", "50 %", "upload"}) {
    INFO(wanted);
    CHECK(has_text(picture, wanted));
  }
  PlotOptions one;
  one.charts = {Chart::kError};
  CHECK_FALSE(has_text(must_draw(full_report(), one), "What reuse saves"));
}

TEST_CASE("plot: texts stay inside and off each other at every width", "[unit][kvfile][plot]") {
  BenchmarkReport crowded = full_report();
  for (uint64_t i = 2; i < kPlotRowsMax; i++) {
    crowded.reuse.push_back({i * 1000, 0.4 + 0.001 * static_cast<double>(i), 0.1, 0, {}});
  }
  for (int i = 0; i < 5; i++) crowded.errors.push_back({"near", 505, 1000, 48, 39.1, 0.0161});
  const PlotFonts fonts;
  for (const double width : {600.0, 960.0, 2400.0}) {
    for (const BenchmarkReport& report : {full_report(), crowded}) {
      PlotOptions options;
      options.width = width;
      const Picture picture = must_draw(report, options);
      std::vector<std::pair<Box, std::string>> boxes;
      for (const TextShape& text : texts_of(picture)) {
        if (text.style.upright) continue;
        const Box box = box_of(text, fonts);
        INFO(width << ": " << text.text);
        CHECK(box.left >= 0);
        CHECK(box.right <= width);
        CHECK(box.bottom <= picture.height());
        for (const auto& [other, words] : boxes) {
          INFO(words);
          const bool apart = box.left >= other.right || box.right <= other.left ||
                             box.top >= other.bottom || box.bottom <= other.top;
          CHECK(apart);
        }
        boxes.emplace_back(box, text.text);
      }
    }
  }
}

TEST_CASE("plot: the SVG draws its letters itself and says what they are", "[unit][kvfile][plot]") {
  const PlotFonts fonts;
  const std::string svg = picture_svg(must_draw(full_report()), "a <title>", fonts);
  CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "));
  CHECK(svg.find(" width=\"960\"") < 120);
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find("<title>a &lt;title></title>") != std::string::npos);
  CHECK(svg.find("aria-label=\"pays from the 2nd use\"") != std::string::npos);
  CHECK(svg.find("A processor &amp; &lt;co>") != std::string::npos);
  // No program has to know a font.
  CHECK(svg.find("<text") == std::string::npos);
  CHECK(svg.find("font-") == std::string::npos);
  CHECK(svg.size() < 200'000);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
  CHECK(svg == picture_svg(must_draw(full_report()), "a <title>", fonts));
}

TEST_CASE("plot: the PNG has its size and ink, without installed fonts", "[unit][kvfile][plot]") {
  const PlotFonts fonts;
  for (const double width : {600.0, 1920.0}) {
    PlotOptions options;
    options.width = width;
    const Picture picture = must_draw(full_report(), options);
    const auto png = picture_png(picture, fonts);
    REQUIRE(png.ok());
    const Seen seen = look_at(*png);
    CHECK(seen.width == static_cast<int>(width));
    CHECK(seen.height == static_cast<int>(picture.height()));
    CHECK(seen.ink > 0.02);
    CHECK(*picture_png(must_draw(full_report(), options), fonts) == *png);
  }
  // A word alone leaves ink: the letters are there, and "?" stands for what they lack.
  Picture word(100, 40);
  word.add(TextShape{{5, 30}, "\xe6\xbc\xa2", {.size = 30}});
  Picture mark(100, 40);
  mark.add(TextShape{{5, 30}, "?", {.size = 30}});
  CHECK(look_at(*picture_png(mark, fonts)).ink > 0.01);
  CHECK(*picture_png(word, fonts) == *picture_png(mark, fonts));
  for (const char* const letter : {"\xc3\xa9", "\xc5\x82", "\xce\xbb", "\xd0\xb6"}) {
    Picture other(100, 40);
    other.add(TextShape{{5, 30}, letter, {.size = 30}});
    CHECK(*picture_png(other, fonts) != *picture_png(mark, fonts));
  }
}

TEST_CASE("plot: what was scaled and not measured looks otherwise", "[unit][kvfile][plot]") {
  BenchmarkReport report;
  report.reuse = {{255, 0.4, 0.1, 0, {}}, {10'000, 4, 0.5, 0, {}, 585}};
  const auto dashed = [](const Picture& picture) {
    size_t count = 0;
    for (const Shape& shape : picture.shapes()) {
      const auto* const line = std::get_if<LineShape>(&shape);
      if (line != nullptr && line->points.size() > 2 && line->stroke.dash > 0) count++;
    }
    return count;
  };
  CHECK(has_text(must_draw(report), "10,000 tokens, scaled"));
  CHECK(has_text(must_draw(report), "255 tokens"));
  CHECK(dashed(must_draw(report)) == 1);
  report.reuse[1].scaled_from = 0;
  CHECK(dashed(must_draw(report)) == 0);
  const auto back = parse_benchmark(
      "section,text,tokens,prefill_s,kv_attn_s,kv_mb,prefill_gflops\n"
      "reuse,scaled from 585,10000,4,0.5,1,\n");
  INFO(back.status().message());
  REQUIRE(back.ok());
  CHECK(back->reuse[0].scaled_from == 585);
}

TEST_CASE("plot: the dark theme has the same shapes in other colours", "[unit][kvfile][plot]") {
  PlotOptions dark;
  dark.dark = true;
  const Picture night = must_draw(full_report(), dark), day = must_draw(full_report());
  CHECK(day.background() == Color{255, 255, 255});
  CHECK(night.background() == Color{13, 17, 23});
  REQUIRE(night.shapes().size() == day.shapes().size());
  const auto light_of = [](Color color) { return color.red + color.green + color.blue; };
  const std::vector<TextShape> texts = texts_of(night), same = texts_of(day);
  for (size_t i = 0; i < texts.size(); i++) {
    CHECK(texts[i].text == same[i].text);
    CHECK(light_of(texts[i].style.color) > 280);
  }
}

TEST_CASE("plot: a use that pays is named as people count", "[unit][kvfile][plot]") {
  const std::pair<double, const char*> rows[] = {{0.001, "pays from the 2nd use"},
                                                 {0.6, "pays from the 3rd use"},
                                                 {0.91, "pays from the 12th use"},
                                                 {0.953, "pays from the 22nd use"}};
  for (const auto& [load_s, words] : rows) {
    BenchmarkReport report;
    report.reuse = {{255, 1, load_s, 0, {}}};
    INFO(load_s);
    CHECK(has_text(must_draw(report), words));
  }
}

TEST_CASE("plot: kvcdn's own file is drawn", "[unit][kvfile][plot]") {
  const auto report = parse_benchmark(kKvcdnHeading + "255,0.4210,0.02155,29.20,310.1,19.53\n\n" +
                                      "3774,9.1000,0.06200,432.80,295.3,146.77\n");
  REQUIRE(report.ok());
  const Picture picture = must_draw(*report);
  CHECK(has_text(picture, "3,774 tokens"));
  CHECK(has_text(picture, "pays from the 2nd use"));
}

TEST_CASE("plot: what cannot be drawn is refused by line and column", "[unit][kvfile][plot]") {
  const auto refuses = [](const std::string& csv, const std::string& why) {
    const auto report = parse_benchmark(csv);
    const PlotFonts fonts;
    const Status status = report.ok() ? draw_plot(*report, {}, fonts).status() : report.status();
    INFO(csv << " -> " << status.message());
    CHECK(status.code() == Code::kInvalid);
    CHECK(status.message().find(why) != std::string::npos);
  };
  refuses("", "empty");
  refuses("a,b\n1,2\n", "no file of `kvcs benchmark`");
  refuses(kKvcdnHeading, "no rows to draw");
  refuses(kKvcdnHeading + "255,0,0.02,1,1,1\n", "line 2, prefill_s: it must be above zero");
  refuses(kKvcdnHeading + "255,0.4,-1,1,1,1\n", "line 2, kv_attn_s: -1 is below zero");
  refuses(kKvcdnHeading + "255,0.4,abc,1,1,1\n", "'abc' is not a number");
  refuses(kKvcdnHeading + "255,0.4,nan,1,1,1\n", "'nan' is not a number");
  refuses(kKvcdnHeading + "255,0.4,1\n", "3 cells under 6 columns");
  refuses(kKvcdnHeading + "x,0.4,1,1,1,1\n", "line 2, tokens");
  refuses("prefill_s,kv_attn_s\n1,2\n", "column 'tokens' is missing");
  refuses("section,name\nother,x\n", "section 'other'");
  refuses("section,name\noperation,x\n", "column 'scheme' is missing");
  refuses("tokens,prefill_s,kv_attn_s\n\"1,2,3\n", "a quote without its end");
  std::string many = kKvcdnHeading;
  for (int i = 1; i < 62; i++) many += std::to_string(i) + ",0.4,0.1,1,1,1\n";
  refuses(many, "61 lengths; a chart holds 60");
}
