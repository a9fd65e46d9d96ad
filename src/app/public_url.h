// http.public_url: what links begin with, and whose pages are ours. A pure function.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

// As browsers write the origin of such a page (RFC 6454 §4): host in lower case, no port that is
// the scheme's own; without slashes at the end. Invalid: no http(s) URL of a host, with a user, a
// query, a fragment, or characters that a host written out in ASCII does not have.
Result<std::string> normal_public_url(std::string_view text);

}  // namespace kvcs
