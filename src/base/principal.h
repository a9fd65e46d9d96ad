// Who is calling: a value that guards produce, once per request, and every handler receives. It
// holds no secret.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace kvcs {

enum class PrincipalKind : uint8_t {
  kAnonymous,
  kProjectKey,   // kv_…       artifacts
  kUserKey,      // gw_live_…  ai
  kTenantToken,  // kt_…       tool gateway
  kAdminKey,     // ka_…       admin API
};

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
  AdminRole role = AdminRole::kNone;
  std::string key_id;           // Never the key.
  std::string organization_id;  // UUID
  std::string organization;     // slug; the tool gateway's tenant
  std::string project_id;       // kProjectKey
  std::string user_id;          // kUserKey
  KeyLimits key_limits;         // kUserKey
  std::vector<std::string> scopes;
};

}  // namespace kvcs
