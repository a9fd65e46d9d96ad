// The only source that sees the header which make writes with the version and the commit.
#include "base/build_info.h"

#include "version.h"

namespace kvcs {

const char* version() {
  return KVCS_VERSION;
}

const char* commit() {
  return KVCS_COMMIT;
}

}  // namespace kvcs
