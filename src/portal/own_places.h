// The organizations that a person is a member of, and as what. A function without state.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "identity/directory.h"
#include "identity/members.h"

namespace kvcs::portal {

struct OwnPlace {
  std::shared_ptr<const Organization> organization;  // Owners: this, and the directory's cache.
  OrgRole role = OrgRole::kNone;
};
// In order of id; those that are gone, or have the person no longer, are left out.
Result<std::vector<OwnPlace>> own_places(const MemberService& members, const Directory& directory,
                                         std::string_view person_id);

}  // namespace kvcs::portal
