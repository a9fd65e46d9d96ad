// Finds one pair in a form or a query.
#include "http/form.h"

#include "base/bytes.h"

namespace kvcs::http {

std::optional<std::string> form_value(std::string_view pairs, std::string_view name) {
  if (pairs.empty()) return std::nullopt;
  for (const std::string_view pair : split(pairs, '&')) {
    const size_t equals = pair.find('=');
    const auto key = percent_decode(pair.substr(0, equals), true);
    if (!key.ok() || *key != name) continue;
    if (equals == pair.npos) return std::string();
    auto value = percent_decode(pair.substr(equals + 1), true);
    if (value.ok()) return std::move(value).value();
  }
  return std::nullopt;
}

}  // namespace kvcs::http
