// The ids in a request of things that live at the provider. Internal to dialects/. Pure.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"

namespace simdjson::dom {
class object;
}  // namespace simdjson::dom

namespace kvcs::ai {

inline constexpr size_t kStoredIdsMax = 100;

// Responses, conversations, files, vector stores, containers, skills and cached contents, wherever
// their members stand and in whatever case, but for the client's own data: arguments and schemas of
// its tools, metadata. Of the items of a Responses input those that only name what is stored
// (references, reasoning and pictures without their content); and the template that "prompt" names.
// Invalid beyond kStoredIdsMax.
Status read_stored_ids(const simdjson::dom::object& root, std::vector<std::string>& ids);

}  // namespace kvcs::ai
