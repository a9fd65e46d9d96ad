// Projects the text of a JSON answer by a tree of names: members that are selected are copied byte
// by byte, the others are skipped unread. One cursor goes down and on through a value, so that each
// byte is passed once however deep it lies.
#include "gateway/call/fields.h"

#include <array>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/json_cursor.h"

namespace kvcs::gateway {

struct FieldSelection::Node {
  bool whole = false;  // The path ends here: the value as it is.
  std::map<std::string, std::unique_ptr<Node>, std::less<>> members;

  const Node* find(std::string_view name) const {
    const auto it = members.find(name);
    return it == members.end() ? nullptr : it->second.get();
  }
};

namespace {

using Node = FieldSelection::Node;
// The nodes that a value is under at once, since "*" and a name may both match.
using Nodes = std::vector<const Node*>;

constexpr std::array<std::string_view, 9> kCollections = {
    "results", "data", "items", "value", "records", "rows", "elements", "objects", "list"};

bool any_whole(const Nodes& nodes) {
  for (const Node* node : nodes) {
    if (node->whole) return true;
  }
  return false;
}

// The nodes below `nodes` that match a member's name.
Nodes step(const Nodes& nodes, std::string_view name) {
  Nodes below;
  for (const Node* node : nodes) {
    if (const Node* exact = node->find(name)) below.push_back(exact);
    if (const Node* any = node->find("*")) below.push_back(any);
  }
  return below;
}

// Passes the value at the cursor and appends what is selected of it; false when that is nothing.
bool append_selected(JsonCursor& cursor, const Nodes& nodes, std::string& out);

// False when no member was selected; the caller then takes the braces back.
bool append_object(JsonCursor& cursor, const Nodes& nodes, std::string& out) {
  cursor.enter();
  out += '{';
  bool any = false;
  while (cursor.next()) {
    const std::string_view key = cursor.key();
    const Nodes below = step(nodes, json_key_text(key));
    if (below.empty()) {
      cursor.value();
      continue;
    }
    const size_t mark = out.size();
    if (any) out += ',';
    (out += key) += ':';
    if (append_selected(cursor, below, out)) {
      any = true;
    } else {
      out.resize(mark);
    }
  }
  out += '}';
  return any;
}

// An array is mapped: "a.b" over a list `a` selects `b` of each element.
bool append_array(JsonCursor& cursor, const Nodes& nodes, std::string& out) {
  cursor.enter();
  out += '[';
  bool first = true;
  while (cursor.next()) {
    if (cursor.peek() != '{' && cursor.peek() != '[') {
      cursor.value();
      continue;
    }
    if (!first) out += ',';
    first = false;
    append_selected(cursor, nodes, out);
  }
  out += ']';
  return true;
}

bool append_selected(JsonCursor& cursor, const Nodes& nodes, std::string& out) {
  if (any_whole(nodes)) {
    out += cursor.value();
    return true;
  }
  if (cursor.peek() == '{') return append_object(cursor, nodes, out);
  if (cursor.peek() == '[') return append_array(cursor, nodes, out);
  cursor.value();
  return false;
}

// The items of a collection: as append_array, but what is no object stays.
void append_items(std::string_view json, const Nodes& nodes, std::string& out) {
  JsonCursor cursor(json);
  cursor.enter();
  out += '[';
  bool first = true;
  while (cursor.next()) {
    if (!first) out += ',';
    first = false;
    if (cursor.peek() == '{') {
      append_object(cursor, nodes, out);
    } else {
      out += cursor.value();
    }
  }
  out += ']';
}

// True of an empty array, too: a page without hits is still the collection.
bool is_array_of_objects(std::string_view json) {
  if (!json.starts_with('[')) return false;
  JsonCursor cursor(json);
  cursor.enter();
  while (cursor.next()) {
    if (!cursor.value().starts_with('{')) return false;
  }
  return cursor.ok();
}

// The name of the member of `json` that holds the items.
std::optional<std::string_view> find_collection(std::string_view json) {
  // One pass over the members; the first name of the list that was seen wins, whatever the order of
  // the members.
  std::array<bool, kCollections.size()> found{};
  JsonCursor cursor(json);
  cursor.enter();
  while (cursor.next()) {
    const std::string key = json_key_text(cursor.key());
    const std::string_view value = cursor.value();
    for (size_t i = 0; i < kCollections.size(); ++i) {
      if (key == kCollections[i] && is_array_of_objects(value)) found[i] = true;
    }
  }
  for (size_t i = 0; i < kCollections.size(); ++i) {
    if (found[i]) return kCollections[i];
  }
  return {};
}

// Copies everything beside the collection as it is. A path may name the collection or not: both
// prefixes count.
std::string project_collection(std::string_view json, std::string_view name, const Node& root) {
  Nodes nodes = {&root};
  if (const Node* prefixed = root.find(name)) nodes.push_back(prefixed);
  const bool whole = any_whole(nodes);
  std::string out = "{";
  JsonCursor cursor(json);
  cursor.enter();
  bool first = true;
  while (cursor.next()) {
    const std::string_view key = cursor.key();
    const std::string_view value = cursor.value();
    if (!first) out += ',';
    first = false;
    (out += key) += ':';
    if (!whole && json_key_text(key) == name && value.starts_with('[')) {
      append_items(value, nodes, out);
    } else {
      out += value;
    }
  }
  return out + "}";
}

}  // namespace

Result<FieldSelection> FieldSelection::parse(const std::vector<std::string>& paths) {
  if (paths.size() > kFieldsMax) {
    return invalid("fields: " + std::to_string(paths.size()) + " paths are over the limit of " +
                   std::to_string(kFieldsMax) + ".");
  }
  auto root = std::make_shared<Node>();
  for (const std::string& path : paths) {
    const std::string shown = "fields: '" + printable(path, kShownName) + "' ";
    if (path.size() > kFieldMaxBytes) return invalid(shown + "is over 512 bytes.");
    const auto names = split(path, '.');
    if (names.size() > kFieldDepthMax) {
      return invalid(shown + "is deeper than " + std::to_string(kFieldDepthMax) + " levels.");
    }
    Node* node = root.get();
    for (const std::string_view name : names) {
      if (name.empty()) return invalid(shown + "has an empty name.");
      std::unique_ptr<Node>& below = node->members[std::string(name)];
      if (!below) below = std::make_unique<Node>();
      node = below.get();
    }
    node->whole = true;
  }
  return FieldSelection(std::move(root));
}

Result<std::string> FieldSelection::project(std::string_view json) const {
  if (!is_json(json)) return upstream_failed("The answer is not JSON, so fields cannot be chosen.");
  JsonCursor cursor(json);
  const std::string_view value = cursor.value();
  if (root_->members.empty()) return std::string(value);
  std::string out;
  out.reserve(value.size());
  if (value.starts_with('[')) {
    append_items(value, {root_.get()}, out);
    return out;
  }
  if (!value.starts_with('{')) return std::string(value);
  if (const auto collection = find_collection(value)) {
    return project_collection(value, *collection, *root_);
  }
  JsonCursor object(value);
  append_object(object, {root_.get()}, out);
  return out;
}

}  // namespace kvcs::gateway
