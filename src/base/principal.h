// Who is calling: a value that guards produce, once per request, and every handler receives. It
// holds no secret.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace kvcs {

enum class PrincipalKind : uint8_t {
  kAnonymous,
  kProjectKey,       // kv_…       artifacts of one project
  kUserKey,          // gw_live_…  ai
  kTenantToken,      // kt_…       tool gateway
  kAdminKey,         // ka_…       admin API
  kOrganizationKey,  // kv_…   artifacts of every project of an organization
};

// What a key of the artifact doors may do; each includes those before it. Records hold words:
// "read", "write", "admin".
enum class Scope : uint8_t { kNone, kRead, kWrite, kAdmin };

// Each role may do what the ones before it may; kBilling reads usage and prices only.
enum class AdminRole : uint8_t { kNone, kBilling, kViewer, kAdmin, kOwner };

// A user key's own limits, beside its user's and organization's. Negative or empty: none.
struct KeyLimits {
  int64_t monthly_nano_usd = -1;
  int64_t requests_per_minute = -1, tokens_per_minute = -1;
  std::vector<std::string> allowed_models;
};

struct Principal {
  PrincipalKind kind = PrincipalKind::kAnonymous;
  AdminRole role = AdminRole::kNone;  // kAdminKey
  Scope scope = Scope::kNone;         // kProjectKey, kOrganizationKey
  std::string key_id;                 // Never the key.
  std::string key_sha256;             // Under which the key is found; not shown to anybody.
  std::string organization_id;        // UUID
  std::string organization;           // slug; the tool gateway's tenant
  std::string project_id;             // kProjectKey
  std::string user_id;                // kUserKey
  KeyLimits key_limits;               // kUserKey
};

}  // namespace kvcs
