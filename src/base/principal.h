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
  kPerson,           // ks_…   somebody who has signed in, in a session
};

// What a key of the artifact doors may do; each includes those before it. Records hold words:
// "read", "write", "admin".
enum class Scope : uint8_t { kNone, kRead, kWrite, kAdmin };

// Each role may do what the ones before it may; kBilling reads usage and prices only.
enum class AdminRole : uint8_t { kNone, kBilling, kViewer, kAdmin, kOwner };

// What a person may do in an organization; each role may do what those before it may. Viewers read,
// members also write artifacts, admins also manage people, projects and keys.
enum class OrgRole : uint8_t { kNone, kViewer, kMember, kAdmin, kOwner };

// A user key's own limits, beside its user's and organization's. Negative or empty: none.
struct KeyLimits {
  int64_t monthly_nano_usd = -1;
  int64_t requests_per_minute = -1, tokens_per_minute = -1;
  std::vector<std::string> allowed_models;
};

struct Principal {
  PrincipalKind kind = PrincipalKind::kAnonymous;
  AdminRole role = AdminRole::kNone;  // kAdminKey; of the whole daemon, kPerson
  Scope scope = Scope::kNone;         // kProjectKey, kOrganizationKey; kPerson by the role below
  std::string key_id;                 // Never the key. Of a person the person's id.
  std::string key_sha256;             // Under which the key is found; not shown to anybody.
  std::string organization_id;        // UUID. Of a person the active one, "" for none.
  std::string organization;           // slug; the tool gateway's tenant
  std::string project_id;             // kProjectKey; kPerson: the active one, "" for none
  std::string user_id;                // kUserKey
  KeyLimits key_limits;               // kUserKey
  std::string person_id;              // kPerson
  std::string session_id;             // kPerson
  OrgRole org_role = OrgRole::kNone;  // kPerson: in the organization above.
};

}  // namespace kvcs
