// Widths and outlines of letters. The only file that includes FreeType; the fonts themselves are in
// plot_fonts.S.
#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H

#include <algorithm>

#include "kvfile/plot/picture.h"

extern "C" {
extern const unsigned char kvcs_plot_regular[], kvcs_plot_regular_end[];
extern const unsigned char kvcs_plot_semibold[], kvcs_plot_semibold_end[];
}

namespace kvcs::kvfile {
namespace {

// Takes one code point from `at` on. A byte that is not UTF-8 counts as one '?'.
uint32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const uint32_t first = byte(at++);
  if (first < 0x80) return first;
  const size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
  if (more == 0) return '?';
  uint32_t code = first & (0x3fU >> more);
  for (size_t i = 0; i < more; i++) {
    if ((byte(at) & 0xc0) != 0x80) return '?';
    code = code << 6 | (byte(at++) & 0x3f);
  }
  return code;
}

// Turns FreeType's callbacks into steps of a pen. FreeType counts in units of the font with y
// upward, the pen in pixels with y downward.
struct Tracer {
  PlotFonts::Pen& pen;
  double scale, x;
  Point last;

  Point place(const FT_Vector* v) const {
    return {x + static_cast<double>(v->x) * scale, -static_cast<double>(v->y) * scale};
  }
  static Tracer& of(void* user) { return *static_cast<Tracer*>(user); }
  static int move(const FT_Vector* to, void* user) {
    Tracer& tracer = of(user);
    tracer.pen.move(tracer.last = tracer.place(to));
    return 0;
  }
  static int line(const FT_Vector* to, void* user) {
    Tracer& tracer = of(user);
    tracer.pen.line(tracer.last = tracer.place(to));
    return 0;
  }
  // The same curve with two control points: each lies two thirds of the way from an end to the one
  // control point of the quadratic curve.
  static int conic(const FT_Vector* control, const FT_Vector* to, void* user) {
    Tracer& tracer = of(user);
    const Point from = tracer.last, via = tracer.place(control), end = tracer.place(to);
    const auto blend = [](Point a, Point b) {
      return Point{a.x + (b.x - a.x) * 2 / 3, a.y + (b.y - a.y) * 2 / 3};
    };
    tracer.pen.curve(blend(from, via), blend(end, via), end);
    tracer.last = end;
    return 0;
  }
  static int cubic(const FT_Vector* first, const FT_Vector* second, const FT_Vector* to,
                   void* user) {
    Tracer& tracer = of(user);
    tracer.pen.curve(tracer.place(first), tracer.place(second), tracer.place(to));
    tracer.last = tracer.place(to);
    return 0;
  }
};

}  // namespace

struct PlotFonts::Faces {
  FT_Library library = nullptr;
  FT_Face regular = nullptr, semibold = nullptr;

  // The glyph of each character is loaded, unscaled, and handed on.
  template <typename Use>
  void each_glyph(std::string_view text, bool bold, Use use) const {
    const FT_Face face = bold ? semibold : regular;
    for (size_t at = 0; at < text.size();) {
      FT_UInt glyph = FT_Get_Char_Index(face, next_code_point(text, at));
      if (glyph == 0) glyph = FT_Get_Char_Index(face, '?');
      KVCS_ASSERT(FT_Load_Glyph(face, glyph, FT_LOAD_NO_SCALE) == 0);
      use(face);
    }
  }
};

PlotFonts::PlotFonts() : faces_(std::make_unique<Faces>()) {
  KVCS_ASSERT(FT_Init_FreeType(&faces_->library) == 0);
  const auto load = [this](const unsigned char* begin, const unsigned char* end, FT_Face* face) {
    KVCS_ASSERT(FT_New_Memory_Face(faces_->library, begin, end - begin, 0, face) == 0);
  };
  load(kvcs_plot_regular, kvcs_plot_regular_end, &faces_->regular);
  load(kvcs_plot_semibold, kvcs_plot_semibold_end, &faces_->semibold);
}

PlotFonts::~PlotFonts() {
  FT_Done_FreeType(faces_->library);  // Ends the faces too.
}

double PlotFonts::width(std::string_view text, double size, bool bold) const {
  double units = 0;
  faces_->each_glyph(text, bold, [&](FT_Face face) {
    units += static_cast<double>(face->glyph->advance.x) / face->units_per_EM;
  });
  return units * size;
}

void PlotFonts::outline(std::string_view text, double size, bool bold, Pen& pen) const {
  static const FT_Outline_Funcs kSteps = {
      Tracer::move, Tracer::line, Tracer::conic, Tracer::cubic, 0, 0};
  double x = 0;
  faces_->each_glyph(text, bold, [&](FT_Face face) {
    Tracer tracer{pen, size / face->units_per_EM, x, {}};
    KVCS_ASSERT(FT_Outline_Decompose(&face->glyph->outline, &kSteps, &tracer) == 0);
    x += static_cast<double>(face->glyph->advance.x) * tracer.scale;
  });
}

}  // namespace kvcs::kvfile
