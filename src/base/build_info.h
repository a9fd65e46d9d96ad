// Which kvcs this is. The texts stand in one source alone, which is compiled again after each
// commit; all else that shows them is not.
#pragma once

namespace kvcs {

const char* version();  // "1.2.0", or with what came after that tag: "1.2.0+g0123abc-dirty".
const char* commit();   // Twelve hex digits, or "unknown".

}  // namespace kvcs
