// Values in the records of tenants that are secret by their name (base/secret_names.h). None are
// taken any more, but records of before and of other systems have them, and header templates may
// ask for them. At rest they stand together in the member `secrets_sealed`, and "***" in the place
// of each. Functions without state.
#pragma once
#include <optional>
#include <string_view>

#include "base/crypto.h"
#include "base/json.h"

namespace kvcs::gateway {

// Whether any stands in clear.
bool has_clear_secrets(const Json& record);
// The record with all of them sealed. Nothing: what is sealed in it already does not open.
std::optional<Json> with_sealed_secrets(Json record, std::string_view key, const Sealer& sealer);
// The record with each in its place. Where they do not open, the places are left out, which is
// logged: a call that needs one must not send what stands there.
Json with_clear_secrets(Json record, std::string_view key, const Sealer& sealer);
// The record for people: "***" for each.
Json with_hidden_secrets(Json record);

}  // namespace kvcs::gateway
