// Pictures as SVG. Letters are outlines, as in the PNG: an embedded font is ignored by many
// programs, and with another one texts are wider than the room that they have. What a text says
// stands in its aria-label.
#include <map>

#include "base/bytes.h"
#include "base/decimal.h"
#include "kvfile/plot/picture.h"

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

// Letters as the steps of one path.
class PathPen final : public PlotFonts::Pen {
 public:
  void move(Point to) override { step(path.empty() ? "M" : "ZM", {to}); }
  void line(Point to) override { step("L", {to}); }
  void curve(Point first, Point second, Point to) override { step("C", {first, second, to}); }
  std::string path;

 private:
  void step(const char* letter, std::initializer_list<Point> points) {
    path += letter;
    bool first = true;
    for (const Point& point : points) {
      path += (first ? "" : " ") + number(point.x) + " " + number(point.y);
      first = false;
    }
  }
};

constexpr double kLetterUnits = 1000;  // In which letters are defined.

struct Writer {
  const PlotFonts& fonts;
  std::string out = {}, letters = {};
  std::map<std::pair<bool, std::string>, size_t> known = {};  // Bold, character: its number.

  // The number of a letter, which is defined when it is met for the first time.
  size_t letter(const std::string& character, bool bold) {
    const auto [at, added] = known.emplace(std::pair(bold, character), known.size());
    if (added) {
      PathPen pen;
      fonts.outline(character, kLetterUnits, bold, pen);
      letters += "<path" + attribute("id", "l" + std::to_string(at->second)) +
                 attribute("d", pen.path + (pen.path.empty() ? "" : "Z")) + "/>\n";
    }
    return at->second;
  }

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
    const double width = fonts.width(shape.text, style.size, style.bold);
    const double share = style.anchor == Anchor::kStart ? 0 : style.anchor == Anchor::kEnd ? 1 : .5;
    const std::string x = number(shape.at.x - (style.upright ? 0 : width * share));
    const std::string y = number(shape.at.y + (style.upright ? width * share : 0));
    out += "<g role=\"img\"" + attribute("aria-label", escaped(shape.text)) +
           attribute("fill", color(style.color)) +
           attribute("transform", "translate(" + x + " " + y + ")" +
                                      (style.upright ? " rotate(-90)" : "") + " scale(" +
                                      format_decimal(style.size / kLetterUnits, 6) + ")") +
           ">";
    double at = 0;
    for (size_t begin = 0; begin < shape.text.size();) {
      size_t end = begin + 1;
      while (end < shape.text.size() && (shape.text[end] & 0xc0) == 0x80) end++;
      const std::string character = shape.text.substr(begin, end - begin);
      if (character != " ") {
        out += "<use xlink:href=\"#l" + std::to_string(letter(character, style.bold)) + "\"" +
               attribute("x", number(at)) + "/>";
      }
      at += fonts.width(character, kLetterUnits, style.bold);
      begin = end;
    }
    out += "</g>\n";
  }
};

}  // namespace

std::string picture_svg(const Picture& picture, std::string_view title, const PlotFonts& fonts) {
  const std::string width = number(picture.width()), height = number(picture.height());
  Writer writer{fonts};
  writer(BoxShape{{0, 0}, picture.width(), picture.height(), picture.background()});
  for (const Shape& shape : picture.shapes()) std::visit(writer, shape);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\"" +
         attribute("width", width) + attribute("height", height) +
         attribute("viewBox", "0 0 " + width + " " + height) + ">\n<title>" + escaped(title) +
         "</title>\n<defs>\n" + writer.letters + "</defs>\n" + writer.out + "</svg>\n";
}

}  // namespace kvcs::kvfile
