// Pictures as SVG. Both fonts are embedded as base64, so a picture looks the same where they are
// not installed.
#include "base/bytes.h"
#include "base/decimal.h"
#include "kvfile/plot/picture.h"

extern "C" {
extern const char kvcs_plot_regular[], kvcs_plot_regular_end[];
extern const char kvcs_plot_semibold[], kvcs_plot_semibold_end[];
}

namespace kvcs::kvfile {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text, kShownText)) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += c;
    }
  }
  return out;
}

// Two decimals without zeros behind, the same for every locale.
std::string number(double value) {
  std::string text = format_decimal(value, 2);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string attribute(const char* name, std::string_view value) {
  return std::string(" ") + name + "=\"" + std::string(value) + "\"";
}

std::string color(Color value) {
  const char bytes[] = {static_cast<char>(value.red), static_cast<char>(value.green),
                        static_cast<char>(value.blue)};
  return "#" + to_hex({bytes, 3});
}

struct Writer {
  std::string out;

  void operator()(const LineShape& shape) {
    std::string points;
    for (const Point& point : shape.points) {
      if (!points.empty()) points += ' ';
      points += number(point.x) + "," + number(point.y);
    }
    out += "<polyline fill=\"none\"" + attribute("points", points) +
           attribute("stroke", color(shape.stroke.color)) +
           attribute("stroke-width", number(shape.stroke.width));
    if (shape.stroke.dash > 0) out += attribute("stroke-dasharray", number(shape.stroke.dash));
    out += "/>\n";
  }
  void operator()(const BoxShape& shape) {
    out += "<rect" + attribute("x", number(shape.at.x)) + attribute("y", number(shape.at.y)) +
           attribute("width", number(shape.width)) + attribute("height", number(shape.height)) +
           attribute("fill", color(shape.fill)) + "/>\n";
  }
  void operator()(const DotShape& shape) {
    out += "<circle" + attribute("cx", number(shape.at.x)) + attribute("cy", number(shape.at.y)) +
           attribute("r", number(shape.radius)) + attribute("fill", color(shape.fill)) + "/>\n";
  }
  void operator()(const TextShape& shape) {
    const TextStyle& style = shape.style;
    out += "<text" + attribute("font-size", number(style.size)) +
           attribute("fill", color(style.color));
    if (style.bold) out += attribute("font-weight", "600");
    if (style.anchor == Anchor::kMiddle) out += attribute("text-anchor", "middle");
    if (style.anchor == Anchor::kEnd) out += attribute("text-anchor", "end");
    const std::string x = number(shape.at.x), y = number(shape.at.y);
    if (style.upright) {
      out += attribute("transform", "translate(" + x + " " + y + ") rotate(-90)");
    } else {
      out += attribute("x", x) + attribute("y", y);
    }
    out += ">" + escaped(shape.text) + "</text>\n";
  }
};

std::string font_face(const char* weight, const char* begin, const char* end) {
  return std::string("@font-face{font-family:'kvcs plot';font-weight:") + weight +
         ";src:url(data:font/ttf;base64," + to_base64({begin, static_cast<size_t>(end - begin)}) +
         ")}\n";
}

}  // namespace

std::string picture_svg(const Picture& picture, std::string_view title) {
  const std::string width = number(picture.width()), height = number(picture.height());
  Writer writer;
  writer.out = "<svg xmlns=\"http://www.w3.org/2000/svg\"" + attribute("width", width) +
               attribute("height", height) + attribute("viewBox", "0 0 " + width + " " + height) +
               " role=\"img\">\n<title>" + escaped(title) + "</title>\n<style>\n" +
               font_face("400", kvcs_plot_regular, kvcs_plot_regular_end) +
               font_face("600", kvcs_plot_semibold, kvcs_plot_semibold_end) +
               "text{font-family:'kvcs plot','Open Sans','Segoe UI',sans-serif}\n</style>\n";
  writer({{0, 0}, picture.width(), picture.height(), {255, 255, 255}});
  for (const Shape& shape : picture.shapes()) std::visit(writer, shape);
  return std::move(writer.out) + "</svg>\n";
}

}  // namespace kvcs::kvfile
