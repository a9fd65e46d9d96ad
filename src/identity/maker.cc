// Writes and reads the makers of links as JSON.
#include "identity/maker.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "identity/members.h"
#include "identity/records.h"

namespace kvcs {

std::string maker_text(const Principal& caller, AdminRole role, OrgRole org_role) {
  const bool is_operator = role != AdminRole::kNone && caller.role >= role;
  const bool is_member = !is_operator && org_role != OrgRole::kNone && caller.org_role >= org_role;
  Json json = Json::object();
  // A session that ends by itself takes nothing from its person.
  if (caller.person_id.empty()) json["key_id"] = caller.key_id;
  if (caller.person_id.empty()) json["key_sha256"] = caller.key_sha256;
  if (!caller.person_id.empty()) json["person_id"] = caller.person_id;
  if (is_operator) json["role"] = admin_role_name(role);
  if (is_member) json["organization_id"] = caller.organization_id;
  if (is_member) json["org_role"] = org_role_name(org_role);
  return dump_json(json);
}

Result<Principal> parse_maker(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json.ok() || !json->is_object()) return internal("damaged record of a link's maker");
  Principal maker;
  maker.person_id = text_member(*json, "person_id");
  maker.key_id = text_member(*json, "key_id");
  maker.key_sha256 = text_member(*json, "key_sha256");
  maker.organization_id = text_member(*json, "organization_id");
  maker.kind = maker.person_id.empty() ? PrincipalKind::kAdminKey : PrincipalKind::kPerson;
  const std::string role = text_member(*json, "role"), org_role = text_member(*json, "org_role");
  if (!role.empty()) maker.role = KVCS_TRY(parse_admin_role(role));
  if (!org_role.empty()) maker.org_role = KVCS_TRY(parse_org_role(org_role));
  return maker;
}

}  // namespace kvcs
