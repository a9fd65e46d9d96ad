// Pictures as PNG. cairo draws lines and filled paths; text is drawn as the outlines of its
// letters, so cairo needs no fonts of its own.
#include <cairo.h>

#include <cmath>

#include "kvfile/plot/picture.h"

namespace kvcs::kvfile {
namespace {

struct SurfaceDeleter {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
};
struct ContextDeleter {
  void operator()(cairo_t* context) const { cairo_destroy(context); }
};

// Letters are closed paths: the end of one is where the next begins.
class CairoPen final : public PlotFonts::Pen {
 public:
  explicit CairoPen(cairo_t* cairo) : cairo_(cairo) {}
  void move(Point to) override {
    cairo_close_path(cairo_);
    cairo_move_to(cairo_, to.x, to.y);
  }
  void line(Point to) override { cairo_line_to(cairo_, to.x, to.y); }
  void curve(Point first, Point second, Point to) override {
    cairo_curve_to(cairo_, first.x, first.y, second.x, second.y, to.x, to.y);
  }

 private:
  cairo_t* const cairo_;
};

class Painter {
 public:
  Painter(cairo_t* cairo, const PlotFonts& fonts) : cairo_(cairo), fonts_(fonts) {}

  void operator()(const LineShape& shape) {
    set_color(shape.stroke.color);
    cairo_set_line_width(cairo_, shape.stroke.width);
    const double dash = shape.stroke.dash;
    cairo_set_dash(cairo_, &dash, dash > 0 ? 1 : 0, 0);
    for (const Point& point : shape.points) cairo_line_to(cairo_, point.x, point.y);
    cairo_stroke(cairo_);
  }
  void operator()(const BoxShape& shape) {
    set_color(shape.fill);
    cairo_rectangle(cairo_, shape.at.x, shape.at.y, shape.width, shape.height);
    cairo_fill(cairo_);
  }
  void operator()(const DotShape& shape) {
    set_color(shape.fill);
    cairo_arc(cairo_, shape.at.x, shape.at.y, shape.radius, 0, 2 * M_PI);
    cairo_fill(cairo_);
  }
  void operator()(const TextShape& shape) {
    const TextStyle& style = shape.style;
    const double width = fonts_.width(shape.text, style.size, style.bold);
    // Where the anchor is along the text: at its start, middle or end.
    const double share = style.anchor == Anchor::kStart ? 0 : style.anchor == Anchor::kEnd ? 1 : .5;
    cairo_save(cairo_);
    cairo_translate(cairo_, shape.at.x, shape.at.y);
    if (style.upright) cairo_rotate(cairo_, -M_PI / 2);
    cairo_translate(cairo_, -width * share, 0);
    set_color(style.color);
    CairoPen pen(cairo_);
    fonts_.outline(shape.text, style.size, style.bold, pen);
    cairo_fill(cairo_);
    cairo_restore(cairo_);
  }

 private:
  void set_color(Color color) {
    cairo_set_source_rgb(cairo_, color.red / 255.0, color.green / 255.0, color.blue / 255.0);
  }
  cairo_t* const cairo_;
  const PlotFonts& fonts_;
};

cairo_status_t append_bytes(void* to, const unsigned char* data, unsigned size) {
  static_cast<std::string*>(to)->append(reinterpret_cast<const char*>(data), size);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

Result<std::string> picture_png(const Picture& picture, const PlotFonts& fonts) {
  const std::unique_ptr<cairo_surface_t, SurfaceDeleter> surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(std::lround(picture.width())),
                                 static_cast<int>(std::lround(picture.height()))));
  const std::unique_ptr<cairo_t, ContextDeleter> cairo(cairo_create(surface.get()));
  const Color paper = picture.background();
  cairo_set_source_rgb(cairo.get(), paper.red / 255.0, paper.green / 255.0, paper.blue / 255.0);
  cairo_paint(cairo.get());
  cairo_set_line_join(cairo.get(), CAIRO_LINE_JOIN_ROUND);
  Painter painter(cairo.get(), fonts);
  for (const Shape& shape : picture.shapes()) std::visit(painter, shape);
  std::string bytes;
  cairo_status_t status = cairo_status(cairo.get());
  if (status == CAIRO_STATUS_SUCCESS) {
    status = cairo_surface_write_to_png_stream(surface.get(), append_bytes, &bytes);
  }
  if (status != CAIRO_STATUS_SUCCESS) return internal(cairo_status_to_string(status));
  return bytes;
}

}  // namespace kvcs::kvfile
