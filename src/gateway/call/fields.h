// Projection of answers: `fields` lists dot paths, and each item keeps only what they name.
//
// Items are the elements of the root array, or else those of the first member among results, data,
// items, value, records, rows, elements, objects, list that is an array of objects, or else the
// root object itself. Everything beside the collection stays as it is.
//   "a.b"        nests: {"a":{"b":…}}; over an array `a` it maps its objects
//   "*"          any member of one level
//   "results.a"  the same as "a" where `results` is the collection's name
// A missing member is left out, and so is an object in which nothing was found; members keep their
// order and every value its bytes. Elements that are no objects stay in the collection and are left
// out below it.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs::gateway {

inline constexpr size_t kFieldsMax = 64;
inline constexpr size_t kFieldDepthMax = 16;
inline constexpr size_t kFieldMaxBytes = 512;

// Immutable; thread-safe.
class FieldSelection final {
 public:
  // Invalid beyond the limits, or for an empty name ("a..b").
  static Result<FieldSelection> parse(const std::vector<std::string>& paths);
  // `json` passed is_json(). Upstream when it did not.
  Result<std::string> project(std::string_view json) const;

  struct Node;

 private:
  explicit FieldSelection(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;  // Copies of a selection share it.
};

}  // namespace kvcs::gateway
