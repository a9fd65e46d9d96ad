// yaml-cpp behind a face that does not throw: the document is walked once into JSON, with limits
// that stop a small text whose aliases unfold to a huge one.
#include "base/yaml.h"

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "base/bytes.h"

namespace kvcs {
namespace {

constexpr int kDepthMax = 32;
constexpr int kNodesMax = 200'000;

std::string at_line(std::string_view file_name, int line) {
  return std::string(file_name) + ", line " + std::to_string(line);
}

// Walks a parsed document into JSON and notes the line of every member.
class Converter final {
 public:
  Converter(std::string_view file_name, std::map<std::string, int>& lines)
      : file_name_(file_name), lines_(lines) {}

  Result<Json> convert(const YAML::Node& node, const std::string& path, int depth) {
    const int line = node.Mark().line + 1;
    if (++nodes_ > kNodesMax || depth > kDepthMax) {
      return invalid(at_line(file_name_, line) + ": the document is too large or too deep.");
    }
    if (node.IsScalar()) return Json(node.Scalar());
    if (node.IsSequence()) {
      Json array = Json::array();
      for (const auto& element : node) {
        const std::string child = path + "\n" + std::to_string(array.size());
        lines_[child] = element.Mark().line + 1;
        array.push_back(KVCS_TRY(convert(element, child, depth + 1)));
      }
      return array;
    }
    if (!node.IsMap()) return Json(nullptr);
    return convert_map(node, path, depth);
  }

 private:
  Result<Json> convert_map(const YAML::Node& node, const std::string& path, int depth) {
    Json object = Json::object();
    for (const auto& member : node) {
      const int line = member.first.Mark().line + 1;
      if (!member.first.IsScalar()) {
        return invalid(at_line(file_name_, line) + ": a member's name must be plain text.");
      }
      const std::string& name = member.first.Scalar();
      if (object.contains(name)) {
        return invalid(at_line(file_name_, line) + ": '" + printable(name) + "' appears twice.");
      }
      const std::string child = path + "\n" + name;
      lines_[child] = line;
      object[name] = KVCS_TRY(convert(member.second, child, depth + 1));
    }
    return object;
  }

  std::string_view file_name_;
  std::map<std::string, int>& lines_;
  int nodes_ = 0;
};

}  // namespace

YamlDocument::YamlDocument() : root_(std::make_unique<Json>()) {}
YamlDocument::YamlDocument(YamlDocument&&) noexcept = default;
YamlDocument& YamlDocument::operator=(YamlDocument&&) noexcept = default;
YamlDocument::~YamlDocument() = default;

Result<YamlDocument> YamlDocument::parse(std::string_view text, std::string_view file_name) {
  YamlDocument document;
  document.file_name_ = file_name;
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    Converter converter(file_name, document.lines_);
    *document.root_ = KVCS_TRY(converter.convert(root, "", 0));
  } catch (const YAML::Exception& e) {
    return invalid(at_line(file_name, e.mark.line + 1) + ": " + printable(e.msg) + ".");
  }
  return document;
}

std::string YamlDocument::where(const std::vector<std::string>& path) const {
  std::string key;
  int line = 1;
  for (const std::string& part : path) {
    key += "\n" + part;
    const auto it = lines_.find(key);
    if (it == lines_.end()) break;
    line = it->second;
  }
  return at_line(file_name_, line);
}

}  // namespace kvcs
