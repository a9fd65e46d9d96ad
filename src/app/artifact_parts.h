// The artifact store's objects and jobs, built from the parts below it.
#pragma once
#include <string>

#include "ops/cron.h"

namespace kvcs {

struct Parts;

// Fills parts.artifacts and parts.artifacts_api. After the stores and identity.
void build_artifacts(Parts& parts);
Result<std::string> sweep_artifacts(Parts& parts);
Result<std::string> index_artifacts(Parts& parts);  // For search: what was never looked at.

}  // namespace kvcs
