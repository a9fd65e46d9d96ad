// Looks each organization of a person's list up: the list grants nothing by itself.
#include "portal/own_places.h"

namespace kvcs::portal {

Result<std::vector<OwnPlace>> own_places(const MemberService& members, const Directory& directory,
                                         std::string_view person_id) {
  std::vector<OwnPlace> places;
  for (const std::string& id : KVCS_TRY(members.organizations_of(person_id))) {
    auto organization = directory.organization(id);
    if (organization.code() == Code::kNotFound) continue;
    KVCS_TRY(organization.status());
    const OrgRole role = KVCS_TRY(directory.roster(id))->role_of(person_id);
    if (role != OrgRole::kNone) places.push_back({std::move(organization).value(), role});
  }
  return places;
}

}  // namespace kvcs::portal
