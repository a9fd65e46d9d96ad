// Where a page of the audit begins, newest first: behind the row of this time and number. Its text
// is "{ts_ms}.{seq}", the cursor that lists of the audit give and take. A value; pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

struct AuditPlace {
  int64_t ts_ms = INT64_MAX, seq = INT64_MAX;  // Of the first page.
};

// "" is the first page. Invalid, naming `cursor`, for what no page has given.
Result<AuditPlace> parse_audit_place(std::string_view cursor);
std::string audit_cursor(const AuditPlace& place);

}  // namespace kvcs
