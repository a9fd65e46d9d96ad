// Binds the secrets of a data directory of before to where they may be sent (base/origins.h).
#pragma once
#include "base/status.h"

namespace kvcs {

struct Parts;

// At the first start that knows of origins, before anybody asks: each secret that is bound to
// nothing is sealed for the URLs that its records have then. A start that was cut off goes on at
// the next one; afterwards what is bound to nothing came from elsewhere and stays so.
Status bind_secrets(Parts& parts);

}  // namespace kvcs
