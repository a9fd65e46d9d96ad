// Which values are secret by what they are called. A function without state.
#pragma once
#include <string_view>

namespace kvcs {

// Names of headers and members whose values are secret: x-api-key, developer_token, client-secret.
// Such values are sealed, and are not shown.
bool is_secret_name(std::string_view name);

}  // namespace kvcs
