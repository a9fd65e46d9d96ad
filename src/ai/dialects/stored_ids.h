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

// previous_response_id, conversation, file_id(s) and vector_store_id(s), wherever they stand and in
// whatever case, but for the client's own data: arguments and schemas of its tools, metadata.
// Invalid beyond kStoredIdsMax.
Status read_stored_ids(const simdjson::dom::object& root, std::vector<std::string>& ids);

}  // namespace kvcs::ai
