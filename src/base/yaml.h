// YAML for shipped data and configuration (yaml-cpp): a document becomes JSON whose scalars are all
// strings as written, so that decimals stay exact and every reader states the type that it wants.
// Values; nothing throws. Limits: 32 levels, 200,000 nodes (aliases count each time they are used).
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace kvcs {

class YamlDocument final {
 public:
  // Invalid: "<file_name>, line 7: …" for syntax, a member that appears twice, a passed limit.
  static Result<YamlDocument> parse(std::string_view text, std::string_view file_name);
  YamlDocument(YamlDocument&&) noexcept;
  YamlDocument& operator=(YamlDocument&&) noexcept;
  ~YamlDocument();

  const Json& root() const { return *root_; }
  // "<file_name>, line 7" for the member or element at `path` (keys and indexes); the nearest
  // ancestor's line when it does not exist.
  std::string where(const std::vector<std::string>& path) const;

 private:
  YamlDocument();
  std::unique_ptr<Json> root_;
  std::string file_name_;
  std::map<std::string, int> lines_;  // Path joined by '\n' → line, from 1.
};

}  // namespace kvcs
