// Sends a large file in several parts at once, to this machine in one, by the server's uploads that
// can be resumed, and makes an artifact of them there. What was begun stands in a file beside the
// configuration, so that the same command goes on after the death of either side. One upload at a
// time; its threads end with the call.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "cli/api_client.h"
#include "cli/command.h"

namespace kvcs::cli {

// Smaller files go in one piece.
inline constexpr uint64_t kResumableFromBytes = 64 << 20;

struct ResumableFile {
  std::string path, sha256;
  uint64_t size_bytes = 0;
  int64_t modified_ns = 0;
  // Of the file, asked before the parts become an artifact.
  std::function<Status()> check_unchanged;
};

// The id of the artifact, which is ready; nothing when the server has no such uploads.
// `announcement`: the members of POST /api/v1/artifacts/upload-url.
Result<std::optional<std::string>> send_resumable(const ApiSettings& settings,
                                                  const ResumableFile& file,
                                                  const Json& announcement, Console& console);

}  // namespace kvcs::cli
