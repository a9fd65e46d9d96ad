// The tree of values: two builders and the printer. Most texts go through simdjson's parser into
// the tree; a text that it declines (too large, a number that must stay exact, a fault) goes
// through nlohmann's, which is strict and words the fault. Both give the same tree, which
// tests/base/json_decimal_test.cc compares.
#include "base/json.h"

#include <nlohmann/json.hpp>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/json_size.h"
#include "base/quick_json.h"

namespace kvcs {
namespace {

// The memory that a thread keeps for the quick parser stays small, and the names of an object are
// compared each with each, which is quick for few members only.
constexpr size_t kQuickMaxBytes = 64 << 10;
constexpr size_t kQuickMembersMax = 64;
constexpr size_t kLongDepthMax = 64;

// Builds the document while refusing depth, duplicate members and too many values before memory is
// spent on them.
class StrictBuilder final : public nlohmann::json_sax<Json> {
 public:
  StrictBuilder(size_t depth_max, size_t values_max, bool exact)
      : depth_max_(depth_max), values_max_(values_max), exact_(exact) {}
  Json take() { return std::move(root_); }
  const std::string& fault() const { return fault_; }
  bool too_many() const { return values_ > values_max_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool v) override { return add(v); }
  bool number_integer(int64_t v) override { return add(v); }
  bool number_unsigned(uint64_t v) override { return add(v); }
  bool number_float(double v, const std::string& text) override {
    return exact_ ? add(json_decimal(text)) : add(v);
  }
  bool string(std::string& v) override { return add(std::move(v)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    if (!keys_.back().insert(name).second) {
      fault_ = "the member '" + printable(name, kShownName) + "' appears twice";
      return false;
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    fault_ = "syntax error at byte " + std::to_string(position);
    return false;
  }

 private:
  Json* place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // Push straight onto the member vector: operator[] would search it (duplicates are known not
    // to exist), which is quadratic on objects with many members.
    auto& members = parent.get_ref<Json::object_t&>();
    members.push_back(Json::object_t::value_type(key_, std::move(value)));
    return &members.back().second;
  }
  bool add(Json value) {
    values_++;
    if (too_many()) return false;
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (stack_.size() >= depth_max_) {
      fault_ = "more than " + std::to_string(depth_max_) + " nested levels";
      return false;
    }
    values_++;
    if (too_many()) return false;
    stack_.push_back(place(std::move(value)));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }

  size_t depth_max_, values_max_, values_ = 0;
  bool exact_;
  Json root_;
  std::vector<Json*> stack_;
  std::vector<std::set<std::string>> keys_;
  std::string key_;
  std::string fault_;
};

// A number's text rides in a binary value of this subtype, which no parser of ours produces
// otherwise.
constexpr uint64_t kDecimalSubtype = 0xdec;

bool is_decimal(const Json& value) {
  return value.is_binary() && value.get_binary().has_subtype() &&
         value.get_binary().subtype() == kDecimalSubtype;
}
std::string decimal_text(const Json& value) {
  const Json::binary_t& bytes = value.get_binary();
  return {bytes.begin(), bytes.end()};
}

// The quick way for most bodies and records: well-formed text that is not too large, and whose
// numbers are whole when they must keep their text. It gives up on every other text, and the strict
// parser then makes the value, or words the fault.
class QuickBuilder final {
 public:
  explicit QuickBuilder(size_t depth_max) : depth_max_(depth_max) {}

  bool build(simdjson::dom::element from, bool exact, size_t depth, Json& out) const {
    using Type = simdjson::dom::element_type;
    switch (from.type()) {
      case Type::OBJECT:
        return build_object(simdjson::dom::object(from), exact, depth + 1, out);
      case Type::ARRAY: {
        if (depth >= depth_max_) return false;
        out = Json::array();
        auto& items = out.get_ref<Json::array_t&>();
        for (const simdjson::dom::element item : simdjson::dom::array(from)) {
          if (!build(item, exact, depth + 1, items.emplace_back())) return false;
        }
        return true;
      }
      case Type::STRING:
        out = std::string(std::string_view(from));
        return true;
      case Type::INT64: {
        const int64_t number(from);
        // As the strict parser has it: only a negative number is signed.
        out = number < 0 ? Json(number) : Json(static_cast<uint64_t>(number));
        return true;
      }
      case Type::UINT64:
        out = uint64_t(from);
        return true;
      case Type::DOUBLE:
        if (exact) return false;
        out = double(from);
        return true;
      case Type::BOOL:
        out = bool(from);
        return true;
      case Type::NULL_VALUE:
        return true;
    }
    return false;
  }

 private:
  bool build_object(simdjson::dom::object from, bool exact, size_t depth, Json& out) const {
    if (depth > depth_max_ || from.size() > kQuickMembersMax) return false;
    out = Json::object();
    auto& members = out.get_ref<Json::object_t&>();
    members.reserve(from.size());
    for (const auto& [name, value] : from) {
      for (const auto& member : members) {
        if (member.first == name) return false;
      }
      members.emplace_back(std::string(name), Json());
      if (!build(value, exact, depth, members.back().second)) return false;
    }
    return true;
  }

  const size_t depth_max_;
};

bool parse_quickly(std::string_view text, size_t depth_max, bool exact, Json& out) {
  if (text.size() > kQuickMaxBytes) return false;
  thread_local QuickParser parser;
  simdjson::dom::element root;
  if (!parser.parse(text, root)) return false;
  return QuickBuilder(depth_max).build(root, exact, 0, out);
}

// A text that is short enough for the quick way has fewer values than any limit.
static_assert(kQuickMaxBytes / 2 < kJsonValuesMax);

Result<Json> parse_strict(std::string_view text, size_t depth_max, size_t values_max, bool exact) {
  if (Json quick; parse_quickly(text, depth_max, exact, quick)) return quick;
  if (!is_valid_utf8(text)) return invalid("The JSON text is not valid UTF-8.");
  StrictBuilder builder(depth_max, values_max, exact);
  // sax_parse reports through parse_error() and does not throw on bad text.
  if (Json::sax_parse(text.begin(), text.end(), &builder)) return builder.take();
  if (builder.too_many()) {
    return too_large("The JSON text has more than " + std::to_string(values_max) +
                     " values (numbers, strings, lists, …); send less at once.");
  }
  return invalid("The JSON text is malformed: " + builder.fault() + ".");
}

// The same text as the library's dump(), which is called only where there is something to escape:
// it makes a serializer with its buffers for each value.
void append_string_value(std::string& out, const std::string& text) {
  if (plain_prefix(text) < text.size()) {
    out += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

// `indent` < 0: compact. The library cannot print a number from its text, hence our own walk.
void append_json(std::string& out, const Json& value, int indent, int level) {
  const auto new_line = [&](int at_level) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent) * static_cast<size_t>(at_level), ' ');
  };
  if (value.is_string()) {
    append_string_value(out, value.get_ref<const std::string&>());
  } else if (value.is_number_integer()) {
    char digits[24];
    const auto end = value.is_number_unsigned()
                         ? std::to_chars(digits, digits + sizeof digits, value.get<uint64_t>())
                         : std::to_chars(digits, digits + sizeof digits, value.get<int64_t>());
    out.append(digits, end.ptr);
  } else if (is_decimal(value)) {
    out += decimal_text(value);
  } else if (!value.is_structured()) {
    out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
  } else if (value.empty()) {
    out += value.is_array() ? "[]" : "{}";
  } else {
    out += value.is_array() ? '[' : '{';
    bool first = true;
    const auto begin_member = [&] {
      if (!first) out += ',';
      first = false;
      new_line(level + 1);
    };
    if (value.is_array()) {
      for (const Json& item : value.get_ref<const Json::array_t&>()) {
        begin_member();
        append_json(out, item, indent, level + 1);
      }
    } else {
      for (const auto& [name, member] : value.get_ref<const Json::object_t&>()) {
        begin_member();
        append_string_value(out, name);
        out += indent < 0 ? ":" : ": ";
        append_json(out, member, indent, level + 1);
      }
    }
    new_line(level);
    out += value.is_array() ? ']' : '}';
  }
}

}  // namespace

Result<Json> parse_json(std::string_view text, size_t depth_max) {
  return parse_strict(text, depth_max, kJsonValuesMax, false);
}
Result<Json> parse_json_exact(std::string_view text, size_t depth_max) {
  return parse_strict(text, depth_max, kJsonValuesMax, true);
}
Result<Json> parse_long_json_exact(std::string_view text, size_t values_max) {
  return parse_strict(text, kLongDepthMax, values_max, true);
}
Json json_decimal(std::string_view number_text) {
  return Json::binary({number_text.begin(), number_text.end()}, kDecimalSubtype);
}

std::string dump_json(const Json& value) {
  std::string out;
  append_json(out, value, -1, 0);
  return out;
}
std::string dump_json_pretty(const Json& value) {
  std::string out;
  append_json(out, value, 2, 0);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  const size_t plain = plain_prefix(text);
  out += '"';
  out.append(text, 0, plain);
  if (plain == text.size()) {  // Most texts end here.
    out += '"';
    return;
  }
  text.remove_prefix(plain);
  // Bytes of invalid UTF-8 are shown as \u00XX, one by one: a log line must stay valid JSON
  // whatever a client sent.
  const bool utf8 = is_valid_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
      out += "\\u00";
      out += to_hex({&c, 1});
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace kvcs
