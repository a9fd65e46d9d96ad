// Where a secret may be sent. A secret is given for a place: the scheme, host and port of the
// servers that are to see it. These origins stand in clear beside the sealed text and are part of
// what the seal authenticates (bound_context), so that a record whose origins were changed by hand
// does not open; and whoever sends a secret asks first whether the origin of the URL is among them.
// A secret without origins may be sent nowhere. Values; pure functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace kvcs {

using Origins = std::vector<std::string>;  // Sorted, each once; from origin_of().

// The reason of every refusal to send a secret to an origin that it was not given for.
inline constexpr std::string_view kSecretOriginChanged = "secret_origin_changed";

// "https://api.example.com" or, with a port that is not the scheme's own, "…:8443"; in lower case.
// "" for what is no such URL. Holes of a template ({shop}) stay as they are.
std::string origin_of(std::string_view url);
// Of all these URLs; those that are "" or no URLs have none.
Origins origins_of(const std::vector<std::string_view>& urls);
// `origin` is from origin_of(), or is written in the same way.
bool may_go_to(const Origins& bound, std::string_view origin);
bool may_all_go_to(const Origins& bound, const Origins& wanted);

// The context under which a secret of the record `key` is sealed; the key alone when it is bound to
// nothing.
std::string bound_context(std::string_view key, const Origins& bound);

// Conflict with kSecretOriginChanged: names the origin, and those that the secret was given for.
// `secret` begins the sentence ("The client secret of provider hubspot"), `again` says how to send
// it again.
Status secret_origin_changed(std::string_view secret, std::string_view origin, const Origins& bound,
                             std::string_view again);

// How the origins stand in a record: a list of texts. Whatever else is there counts as none.
Json origins_json(const Origins& bound);
Origins origins_member(const Json& record, const char* name);

}  // namespace kvcs
