#include "kvfile/publish.h"

namespace kvcs::kvfile {

Status publish_together(AtomicFile& artifact, const std::vector<Companion>& companions) {
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (const Companion& companion : companions) {
    auto file = KVCS_TRY(AtomicFile::create(companion.path));
    KVCS_TRY(file->write(0, companion.bytes.data(), companion.bytes.size()));
    KVCS_TRY(file->sync());
    files.push_back(std::move(file));
  }
  KVCS_TRY(artifact.publish());
  for (const auto& file : files) KVCS_TRY(file->publish());
  return ok();
}

Companion sidecar_companion(const std::string& kv_path, const Sidecar& sidecar) {
  return {sidecar_path(kv_path), dump_sidecar(sidecar)};
}

}  // namespace kvcs::kvfile
