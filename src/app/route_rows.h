// How a row of the route table is written; for routes.cc and the doors' own tables.
#pragma once
#include <string>
#include <string_view>

#include "app/parts.h"
#include "http/http.h"

namespace kvcs::route_rows {

using http::kib;
using http::kNoBody;
using http::Method;
using http::mib;
using http::Route;
using enum http::Method;

// Who may; the words are what tests and /openapi.json see.
struct Access {
  http::Guard guard;
  std::string_view who;
  http::Dialect dialect;
};

inline Route row(Method method, std::string pattern, const Access& access, uint64_t body_max_bytes,
                 http::Handler handler, std::string_view summary) {
  return {method,         std::move(pattern), access.guard,
          body_max_bytes, std::move(handler), access.dialect,
          true,           access.who,         summary};
}

template <typename Api>
http::Handler on(Api& api, Result<http::Response> (Api::*method)(http::Request&)) {
  return [&api, method](http::Request& request) { return (api.*method)(request); };
}

inline Access everyone() {
  return {http::public_access(), "public", http::Dialect::kPortal};
}
inline Access admins(Parts& parts, AdminRole at_least, std::string_view who) {
  return {parts.admin_door->guard(at_least), who, http::Dialect::kAdmin};
}

}  // namespace kvcs::route_rows
