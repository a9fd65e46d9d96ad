// Publishes an artifact with its sidecar and other companions, in an order that leaves no artifact
// beside a description of another one.
#include "kvfile/format/publish.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/bytes.h"

namespace kvcs::kvfile {

Status publish_together(AtomicFile& artifact, const std::vector<Companion>& companions) {
  // Each companion is written and synced before anything appears: a full disk stops here, with no
  // file changed.
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (const Companion& companion : companions) {
    auto file = KVCS_TRY(AtomicFile::create(companion.path));
    KVCS_TRY(file->write(0, companion.bytes.data(), companion.bytes.size()));
    KVCS_TRY(file->sync());
    files.push_back(std::move(file));
  }
  // Then the artifact, and last its companions. A process that dies between has an artifact with an
  // old sidecar or none, which `kvcs verify` finds.
  KVCS_TRY(artifact.publish());
  for (const std::string& old :
       {sidecar_path(artifact.path()), quant_event_path(artifact.path())}) {
    const bool replaced = std::any_of(companions.begin(), companions.end(),
                                      [&old](const Companion& c) { return c.path == old; });
    // A name that is too long for the file system cannot belong to a file.
    if (!replaced && ::unlink(old.c_str()) != 0 && errno != ENOENT && errno != ENAMETOOLONG) {
      return io_error("cannot remove", old, errno);
    }
  }
  for (const auto& file : files) KVCS_TRY(file->publish());
  return ok();
}

Result<Companion> sidecar_companion(const std::string& kv_path, const Sidecar& sidecar) {
  Companion companion{sidecar_path(kv_path), dump_sidecar(sidecar)};
  if (companion.bytes.size() <= kSidecarBytesMax) return companion;
  return too_large("the sidecar of " + printable(kv_path) + " would be " +
                   format_bytes(companion.bytes.size()) + "; the limit is " +
                   format_bytes(kSidecarBytesMax) +
                   ", and token ids fit better in the tensor \"tokens\"");
}

std::string quant_event_path(const std::string& kv_path) {
  return kv_path + ".quant-event.json";
}

}  // namespace kvcs::kvfile
