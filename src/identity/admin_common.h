// Helpers that the admin handlers share: who is asking, the fields of their bodies, how a key is
// shown. Pure functions.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "http/http.h"
#include "identity/records.h"
#include "kv/audited_kv.h"

namespace kvcs::admin_api {

// 10,000,000 USD; the largest budget or limit.
inline constexpr int64_t kUsdMax = 10'000'000;

// "adminkey:<id>" from the admin API.
AuditContext who(const http::Request& request);

// Of the members of a body that an organization sends for itself: Forbidden with reason
// operator_only for one that is not in `own`. Operators may send all.
Status check_own_members(const http::Request& request, const Json& body,
                         std::initializer_list<std::string_view> own);
Status operator_only(std::string_view member);
// "person:<id>" or "projectkey:<id>" from the API, with the address behind the source's word.
AuditContext who_from(const http::Request& request);

// ?rebind=true: secrets are carried over to URLs that they were not given for. Forbidden unless an
// owner asks. The audit of such a change has kRebindSource as its source.
Result<bool> wants_rebind(const http::Request& request);
inline constexpr const char* kRebindSource = "operator-rebind";

// A USD amount between 0 and kUsdMax with at most 6 decimals, as nano-USD.
std::optional<int64_t> optional_usd(JsonReader& reader, std::string_view name);
// Given, and null: what was set is taken back.
bool is_null(const Json& body, std::string_view name);
// A limit: a whole number, or null for none (then kNoLimit). Nothing when absent.
std::optional<int64_t> optional_limit(const Json& body, JsonReader& reader, std::string_view name);
// A list of model names, at most 200 of at most 200 bytes.
std::optional<std::vector<std::string>> optional_models(JsonReader& reader);
// "active" → true, "suspended" → false.
std::optional<bool> optional_status(JsonReader& reader);
// An ISO time, or null for never (0). Nothing when absent.
std::optional<int64_t> optional_time(const Json& body, JsonReader& reader, std::string_view name);
// The body {"expires_at"} that changes the end of a key: unix ms, 0 for never. Invalid without it.
Result<int64_t> read_expiry(http::Request& request);
// The body {"overlap_s"} of a rotation: how long the old key works on, at most kKeyOverlapMaxS.
Result<int64_t> read_overlap(http::Request& request, int64_t default_s);

// What a project or organization key may do: "read", "write", "admin". Nothing when absent.
std::optional<std::vector<std::string>> optional_scopes(JsonReader& reader,
                                                        std::string_view name = "scopes");

// How a key is shown in lists: never the hash, never the key.
Json key_json(const KeyRecord& key);

}  // namespace kvcs::admin_api
