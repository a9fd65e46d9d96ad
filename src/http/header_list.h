// Headers of requests whose value is a list: several lines of one name are one list in order,
// joined by ", " (RFC 9110 §5.3). Pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "http/header_syntax.h"
#include "http/http.h"

namespace kvcs::http {

// Nothing when no line has the name, which is of any case.
std::optional<std::string> header_list(const Request& request, std::string_view name);

}  // namespace kvcs::http
