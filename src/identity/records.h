// The records of identity as they stand in KV, and their JSON. Money is nano-USD here and decimal
// USD in JSON; times are unix milliseconds here and ISO 8601 UTC in JSON. Values; pure functions.
//
// Parsing is lenient about members it does not know (a record may come from a Workers KV namespace
// or a newer kvcs) and strict about those it does: a damaged record is Internal, never a default.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/principal.h"
#include "base/status.h"

namespace kvcs {

inline constexpr int64_t kNoLimit = -1;

struct Organization {
  std::string id;  // UUID
  // The first one, for good: also the tool gateway's tenant, and what clients' customer ids are
  // made of. "" in records of other systems.
  std::string slug;
  std::string shown_slug;               // After a rename, in public URLs and lists; "" = the first.
  std::vector<std::string> more_slugs;  // All but the first: the shown one, and those before it.
  std::string name;
  bool active = true;
  // When it is to be deleted, as its owner wants; 0 = not. It is suspended until then, and what
  // takes that back makes `active` what it was.
  int64_t deletion_ms = 0;
  bool active_before = true;
  int64_t monthly_budget_nano_usd = 0;  // 0 blocks.
  bool fail_open = false;
  int64_t fallback_daily_nano_usd = 10'000'000'000;
  int64_t requests_per_minute = kNoLimit, tokens_per_minute = kNoLimit;
  std::vector<std::string> allowed_models;  // Empty: all. "gpt-4o*" matches by prefix.
  int64_t max_output_tokens = kNoLimit;     // Cap for requests that name none.
  // Both set: models without a price are admitted at these prices; else refused.
  std::optional<int64_t> unknown_input_pico_usd, unknown_output_pico_usd;
  bool log_bodies = false;
  // The output of a request that a budget does not cover is lowered to what is left.
  bool output_fit = true;
  // What it may: the plan that an operator gave, else the one that it pays for, else the default.
  std::string plan, paid_plan;
  int64_t version = 1;
  int64_t created_ms = 0, updated_ms = 0;
};

inline constexpr size_t kMoreSlugsMax = 20;
// The slug that public URLs and people see.
const std::string& shown_slug(const Organization& organization);
// Whether it is one of the organization's, shown or not.
bool has_slug(const Organization& organization, std::string_view slug);
// What org_slug:{slug} holds for one of `more_slugs`; for the first it is the bare id.
std::string slug_alias(std::string_view organization_id);
// The id in that; "" for what is none.
std::string_view parse_slug_alias(std::string_view value);

struct User {
  std::string id, organization_id, email;
  bool active = true;
  int64_t monthly_limit_nano_usd = 0;  // 0 blocks.
  int64_t requests_per_minute = kNoLimit, tokens_per_minute = kNoLimit;
  std::vector<std::string> allowed_models;
  // Members that an operator has set, by their names in JSON: the organization's own admins do not
  // change them.
  std::vector<std::string> operator_set;
  int64_t version = 1;
  int64_t created_ms = 0, updated_ms = 0;
};

enum class KeyStatus : uint8_t { kActive, kSuspended, kRevoked };
std::string_view key_status_name(KeyStatus status);

// A key of any family. The same record stands under its hash (for authentication) and in its
// owner's list (for people); both are written by one batch. The key itself is nowhere.
struct KeyRecord {
  PrincipalKind kind = PrincipalKind::kAnonymous;
  std::string id, name;
  std::string organization_id, project_id, user_id;  // As the family needs.
  AdminRole role = AdminRole::kNone;                 // kAdminKey
  KeyStatus status = KeyStatus::kActive;
  std::string key_hash;           // SHA-256 of the key, lower-case hex.
  std::string previous_key_hash;  // After a rotation with overlap: the one that still works.
  std::string key_prefix;         // "gw_live_ab12…": for people, to tell keys apart.
  std::vector<std::string> scopes;
  KeyLimits limits;                                        // kUserKey
  int64_t created_ms = 0, expires_ms = 0, revoked_ms = 0;  // 0 = never.
  int64_t last_used_ms = 0;  // Filled in by KeyService from last_used:{id}; not stored here.
};

// How parse_key() names the organization of a token that knows only its tenant: this, and the slug.
inline constexpr std::string_view kOrganizationBySlug = "slug:";

std::string organization_to_json(const Organization& organization);
Result<Organization> parse_organization(std::string_view json);
std::string user_to_json(const User& user);
Result<User> parse_user(std::string_view json);
std::string key_to_json(const KeyRecord& key);
// `family` names the kind where the record itself does not (imported records).
Result<KeyRecord> parse_key(std::string_view json, PrincipalKind family);

std::string_view admin_role_name(AdminRole role);
Result<AdminRole> parse_admin_role(std::string_view name);
// The family whose prefix the bearer has. A tenant may bring a bearer of any other shape, so that
// what has no prefix of ours is a tenant token.
PrincipalKind family_of_bearer(std::string_view bearer);
// True when the model passes the list; see Organization::allowed_models.
bool model_allowed(const std::vector<std::string>& allowed, std::string_view model);

// For JSON bodies: a USD amount as a number, a time or null, a limit or null.
Json usd_json(int64_t nano_usd);
Json time_json(int64_t unix_ms);
Json limit_json(int64_t limit);

}  // namespace kvcs
