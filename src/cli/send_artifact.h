// Stores a file of this machine on a server: in one piece, or a large one in parts at once
// (resumable_upload.h). What breaks is repeated as repeat.h says, and what does not end is
// withdrawn or can be gone on with.
#pragma once
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "cli/api_client.h"
#include "cli/local_artifact.h"

namespace kvcs::cli {

// The id of the artifact, which is ready then. `request`: the members of POST
// /api/v1/artifacts/upload-url. The caller holds an Interrupts, after whose signal this ends soon.
// One thread for each client and console.
Result<std::string> send_artifact(ApiClient& api, const LocalArtifact& local, const Json& request,
                                  Console& console);

}  // namespace kvcs::cli
