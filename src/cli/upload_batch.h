// Many files to one server: small ones several at a time, large ones, which go in parts, one after
// the other. A file that is refused for what it is stops no other; what would refuse them all does.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/api_client.h"
#include "cli/local_artifact.h"
#include "cli/upload_plan.h"

namespace kvcs::cli {

// What the uploads of one command have in common.
struct UploadWishes {
  std::string visibility = "private";
  std::optional<std::string> description = {};
  std::vector<std::string> tags = {};
  std::string project_id = {};  // "" for the server's choice: that of the key or the session.
};
// The body of POST /api/v1/artifacts/upload-url.
Json announcement_of(const LocalArtifact& local, const std::string& name,
                     const UploadWishes& wishes);

struct BatchRules {
  // Bytes that the place has already, or that came with another file of the batch, are passed over.
  bool skips_known = false;
  bool dry_run = false;
  int parallel = 16;  // Small files at a time; at least 1.
};

enum class FileState : uint8_t {
  kNotTried,
  kUploaded,  // With dry_run: would be.
  kThere,     // With skips_known alone.
  kFailed,
};

struct FileOutcome {
  FileState state = FileState::kNotTried;
  std::string id = {};  // Of the artifact; "" of what failed, and of what came with another file.
  std::string sha256 = {};
  Status failure = {};
};

// One for each file of the plan. The caller holds an Interrupts; after its signal nothing more is
// begun.
std::vector<FileOutcome> upload_batch(ApiClient& api, const std::vector<PlannedFile>& plan,
                                      const UploadWishes& wishes, const BatchRules& rules,
                                      Console& console);

}  // namespace kvcs::cli
