// Reads and writes the cursors of the audit's lists.
#include "ledger/audit_place.h"

#include <charconv>

namespace kvcs {

Result<AuditPlace> parse_audit_place(std::string_view cursor) {
  AuditPlace place;
  if (cursor.empty()) return place;
  const char* const end = cursor.data() + cursor.size();
  const auto [dot, first] = std::from_chars(cursor.data(), end, place.ts_ms);
  if (first == std::errc() && dot != end && *dot == '.') {
    const auto [stop, second] = std::from_chars(dot + 1, end, place.seq);
    if (second == std::errc() && stop == end) return place;
  }
  return invalid("cursor: is not one that a page before has given.");
}

std::string audit_cursor(const AuditPlace& place) {
  return std::to_string(place.ts_ms) + "." + std::to_string(place.seq);
}

}  // namespace kvcs
