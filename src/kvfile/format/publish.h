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
// is complete. A sidecar or quant event of the file that is replaced, and that has no successor
// here, goes with it.
Status publish_together(AtomicFile& artifact, const std::vector<Companion>& companions);

// TooLarge when no reader would take it.
Result<Companion> sidecar_companion(const std::string& kv_path, const Sidecar& sidecar);
std::string quant_event_path(const std::string& kv_path);

}  // namespace kvcs::kvfile
