// Compares what a writer was given with what its reader gives back, member by member. A test lists
// the members of a struct once, with a structured binding: when somebody adds a member to the
// struct, the binding no longer compiles, and the test has to say what becomes of the new one.
//
//   Members members_of(const Point& point) {
//     const auto& [x, y] = point;
//     return name_members("x y", x, y);
//   }
//   check_same(members_of(written), members_of(read), members_of(Point{}));
#pragma once
#include <catch2/catch.hpp>

#include <concepts>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/secret.h"

namespace kvcs::test {

// Names and values as text, in the order of the struct.
using Members = std::vector<std::pair<std::string, std::string>>;

inline std::string show_member(const std::string& text) {
  return text;
}
inline std::string show_member(const Secret& secret) {
  return secret.reveal();
}
inline std::string show_member(bool flag) {
  return flag ? "true" : "false";
}
template <typename Number>
requires(std::integral<Number> || std::is_enum_v<Number>) std::string show_member(Number number) {
  return std::to_string(static_cast<int64_t>(number));
}
template <typename T>
std::string show_member(const std::optional<T>& value);
template <typename A, typename B>
std::string show_member(const std::pair<A, B>& both);
template <typename K, typename V, typename C>
std::string show_member(const std::map<K, V, C>& map);

template <typename T>
std::string show_member(const std::vector<T>& list) {
  std::string all;
  for (const T& one : list) all += show_member(one) + ";";
  return all;
}
template <typename T>
std::string show_member(const std::optional<T>& value) {
  return value ? "some " + show_member(*value) : "none";
}
template <typename A, typename B>
std::string show_member(const std::pair<A, B>& both) {
  return show_member(both.first) + "=" + show_member(both.second);
}
template <typename K, typename V, typename C>
std::string show_member(const std::map<K, V, C>& map) {
  std::string all;
  for (const auto& one : map) all += show_member(one) + ";";
  return all;
}

// `names` has one word for each value.
template <typename... Value>
Members name_members(const std::string& names, const Value&... value) {
  std::istringstream words(names);
  Members members;
  const auto add = [&](std::string text) {
    std::string name;
    REQUIRE(words >> name);
    members.emplace_back(std::move(name), std::move(text));
  };
  (add(show_member(value)), ...);
  std::string left;
  REQUIRE_FALSE(words >> left);
  return members;
}

// The members of a struct within a struct, as if they stood beside the others.
inline Members with(Members members, const std::string& prefix, const Members& inner) {
  for (const auto& [name, text] : inner) members.emplace_back(prefix + "." + name, text);
  return members;
}

// Every member of `written` must be in `read`. So that neither a member that is left out nor two
// that are swapped can pass, no member of `written` may have its default of `plain`, and no two may
// be alike, but for flags: of those a test sets one after the other. Members named in
// `may_be_plain` are left alone.
inline void check_same(const Members& written, const Members& read, const Members& plain,
                       const std::set<std::string>& may_be_plain = {}) {
  REQUIRE(written.size() == read.size());
  REQUIRE(written.size() == plain.size());
  std::map<std::string, std::string> seen;
  for (size_t i = 0; i < written.size(); i++) {
    const auto& [name, text] = written[i];
    INFO("member " << name);
    CHECK(read[i].second == text);
    const bool is_flag = text == "true" || text == "false";
    if (is_flag || may_be_plain.contains(name)) continue;
    CHECK(text != plain[i].second);
    const auto [before, is_new] = seen.emplace(text, name);
    INFO("is like " << before->second);
    CHECK(is_new);
  }
}

}  // namespace kvcs::test
