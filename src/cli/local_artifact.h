// A .kv file of this machine on its way to a server: its bytes, what is said about them, and their
// digest. One thread.
#pragma once
#include <memory>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "cli/command.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {

// `about` is the sidecar, or what the header alone says.
struct LocalArtifact {
  std::string path;  // As it was given.
  std::unique_ptr<kvfile::KvFile> file;
  kvfile::Sidecar about;
  std::string sidecar_json;  // "" without sidecar.
  std::string sha256;        // Lower-case hex, of all bytes.
  // Of what was not a regular file: its bytes, in a file without a name, which goes with this.
  Descriptor spooled;
};

// Opens and hashes the file FILE with the sidecar FILE.json. "-", a pipe and a device are read to
// their end first, into a file without a name in $TMPDIR, and have no sidecar. Invalid for what is
// no .kv file, and for a sidecar that contradicts it.
Result<LocalArtifact> read_local_artifact(const std::string& path, Console& console);
// The same of a file without its digest, for which all of it would have to be read.
Result<LocalArtifact> open_local_artifact(const std::string& path);

// Whether `path` can be read once only.
bool is_stream(const std::string& path);

// The body of POST /api/v1/artifacts/upload-url.
Json upload_request(const LocalArtifact& local, const std::string& name,
                    const std::string& visibility);

}  // namespace kvcs::cli
