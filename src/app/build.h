// How Parts are filled: one function per group of objects, called by App::create() in this order,
// which is the order of dependency. Each takes what stands before it as made. A failure names the
// part that could not be built; what was built is taken down with Parts.
#pragma once
#include <string_view>

#include "base/status.h"
#include "gateway/catalogue/provider_directory.h"

namespace kvcs {

struct Parts;

// What the keys of presigned URLs are derived for (Sealer::derive_all).
inline constexpr std::string_view kUrlSigning = "blob-url-signing";

// Data directory and its lock, master key, clock, metrics; then the key-value store, the databases,
// the blobs and the client for other servers. Invalid: a master key that does not fit the
// directory.
Status build_stores(Parts& parts);
// A failure that proves a store damaged, in words for the operator: where, what was found, and the
// ways out. Any other failure as it is.
Status damage_in_words(const Parts& parts, Status failed);
Status build_identity(Parts& parts);
void build_artifacts(Parts& parts);
// What stands on those: the nested routes, the catalogue, share links. Part of build_artifacts().
void build_artifact_doors(Parts& parts);
// Needs parts.ai.pricing with its prices read. Charges what a dead process left reserved.
Status build_ai(Parts& parts);
Status build_gateway(Parts& parts, gateway::Catalogue catalogue);
// Invalid: auth.providers, by its entry and member.
Status build_portal(Parts& parts);
// Alerts, health, metrics and the job table; then the HTTP server over the route table.
Status build_operations(Parts& parts);
Status build_server(Parts& parts);

}  // namespace kvcs
