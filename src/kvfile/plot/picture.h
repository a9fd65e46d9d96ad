// A drawing as a list of shapes, and its two forms: SVG, and PNG by cairo. Coordinates are
// pixels from the top left, y grows downward. Letters come from fonts inside the binary, so that no
// installed one is needed and both forms agree on how wide a text is. The same shapes give the same
// bytes on every machine, which lets tests compare pictures. One thread.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace kvcs::kvfile {

struct Color {
  uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Color&) const = default;
};
struct Point {
  double x = 0, y = 0;
};

enum class Anchor : uint8_t { kStart, kMiddle, kEnd };

struct Stroke {
  Color color;
  double width = 1;
  double dash = 0;  // The length of dashes and gaps; 0: none.
};
struct TextStyle {
  double size = 13;
  Color color;
  bool bold = false;
  Anchor anchor = Anchor::kStart;
  bool upright = false;  // Turned by a quarter, to be read from below.
};

struct LineShape {
  std::vector<Point> points;
  Stroke stroke;
};
struct BoxShape {
  Point at;
  double width = 0, height = 0;
  Color fill;
};
struct DotShape {
  Point at;
  double radius = 0;
  Color fill;
};
struct TextShape {
  Point at;  // On the baseline.
  std::string text;
  TextStyle style;
};
using Shape = std::variant<LineShape, BoxShape, DotShape, TextShape>;

// The letters: widths and outlines. A character that the fonts lack is shown as '?'.
class PlotFonts final {
 public:
  PlotFonts();
  ~PlotFonts();
  PlotFonts(const PlotFonts&) = delete;
  PlotFonts& operator=(const PlotFonts&) = delete;

  double width(std::string_view text, double size, bool bold) const;
  // Draws the outline of a text with a pen: the baseline is y = 0, the text begins at x = 0, and y
  // grows downward.
  struct Pen {
    virtual ~Pen() = default;
    virtual void move(Point to) = 0;
    virtual void line(Point to) = 0;
    virtual void curve(Point first, Point second, Point to) = 0;
  };
  void outline(std::string_view text, double size, bool bold, Pen& pen) const;

 private:
  struct Faces;
  std::unique_ptr<Faces> faces_;
};

class Picture final {
 public:
  Picture(double width, double height, Color background = {255, 255, 255})
      : width_(width), height_(height), background_(background) {}
  double width() const { return width_; }
  double height() const { return height_; }
  Color background() const { return background_; }
  const std::vector<Shape>& shapes() const { return shapes_; }
  void add(Shape shape) { shapes_.push_back(std::move(shape)); }
  void line(Point from, Point to, Stroke stroke) { add(LineShape{{from, to}, stroke}); }

 private:
  double width_, height_;
  Color background_;
  std::vector<Shape> shapes_;
};

std::string picture_svg(const Picture& picture, std::string_view title, const PlotFonts& fonts);
Result<std::string> picture_png(const Picture& picture, const PlotFonts& fonts);

}  // namespace kvcs::kvfile
