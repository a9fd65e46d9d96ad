// An artifact and the small files that describe it appear together: when there is no room for
// one of them, none is there. One thread.
#pragma once
#include <string>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct Companion {
  std::string path, bytes;
};
// The companions are written and synced under other names first; then all are renamed. `artifact`
// is complete.
Status publish_together(AtomicFile& artifact, const std::vector<Companion>& companions);

Companion sidecar_companion(const std::string& kv_path, const Sidecar& sidecar);

}  // namespace kvcs::kvfile
