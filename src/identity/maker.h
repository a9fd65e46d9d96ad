// Who made a link that somebody uses later: enough to ask, when it is used, whether its maker might
// still make it. What somebody has made is worth no more than what is left to its maker. Pure
// functions.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/principal.h"
#include "base/status.h"

namespace kvcs {

// What is kept beside such a link: the caller, with no more rights than the link needs. It holds no
// secret.
std::string maker_text(const Principal& caller, AdminRole role, OrgRole org_role = OrgRole::kNone);
Result<Principal> parse_maker(std::string_view text);  // Internal when it is damaged.

// Whether the maker of this text may still do what the link needs; "" is the machine itself, whose
// links stay. Fails when that cannot be told.
using MakerLook = std::function<Result<bool>(std::string_view maker)>;

}  // namespace kvcs
