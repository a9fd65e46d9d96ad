// How a module writes its part of the route table: one row per route, beside the handler that the
// row names and the types that the handler reads and answers. app/routes.cc puts the modules' rows
// together. Rows are made once, before the server starts; every reference in them outlives it.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/http.h"

namespace kvcs::http {

// One type of a body or an answer, for /openapi.json. `members` has one member per line:
//   name[!]: kind[?] [= example] [# description]
// An exclamation mark makes the member required, a question mark allows null. Kinds are
// string(min..max bytes), integer(min..max) or integer(min..), number, boolean, any, object, array,
// id, time (ISO 8601), usd, price, limit (a whole number, null for none), words (a|b), the name of
// another type, [kind] for a list, {kind} for an object whose members are all of that kind, and
// "kind or kind". A line "..." allows members that are not listed, a line "# words" is about the
// type itself. In an answer `any`, `object` and `array` need words. The names of all modules share
// one space; tests/app/api/ holds each type to what handlers do.
struct ApiType {
  const char* name;
  const char* members;
};

// The name, the body and the answer of a row, for /openapi.json. `body` and `answer` are kinds as
// ApiType has them, media types for what is no JSON, or several of these with spaces between, by
// what the caller asks for; "" is nothing.
struct RouteShape {
  std::string id = {};  // "listArtifacts": what generated clients call it; unique.
  // Query parameters, separated by spaces: name[!][:kind]. Without a kind it is a string, or what
  // app/api/openapi.cc says of parameters of that name.
  std::string_view query = {};
  std::string_view body = {};  // With a question mark behind it it may be left out.
  int status = 200;            // Of success.
  std::string_view answer = {};
  // Other statuses that it answers, separated by spaces: "409 502" are failures besides those that
  // app/api/openapi.cc sees from who may call, the path and the body; "202:JobStarted" and "301"
  // are other successes, with the kind of their answers.
  std::string_view also = {};
  bool in_parts = false;  // Knows Range and the conditions of RFC 9110: 206, 304, 412 and 416.
};

// The name of a parameter in RouteShape::query.
inline std::string_view query_name(std::string_view parameter) {
  return parameter.substr(0, parameter.find_first_of("!:"));
}

// Where the owner comes from of the thing that a row is about. identity/access.h compares it with
// the caller.
enum class OwnerFrom : uint8_t {
  kNobody,            // It is the daemon's own, or everybody's.
  kCaller,            // What is listed or made belongs to the caller.
  kPathTenant,        // The path's {tenant}.
  kPathOrganization,  // The path's {org_id}.
  kPathUser,          // The path's {user_id}, whose organization it is.
  kObject,            // The object that the path names, once it is found.
  kSignature,         // What the URL was signed for.
};

// What a caller must be, and have, for a row. People come also to rows of other families, as
// identity/access.h says. A family of kAnonymous asks for no key.
struct Need {
  PrincipalKind family = PrincipalKind::kAnonymous;  // kProjectKey: or kOrganizationKey.
  AdminRole role = AdminRole::kNone;                 // Of admin keys, at least.
  Scope scope = Scope::kNone;                        // Of project and organization keys, at least.
  OrgRole org_role = OrgRole::kNone;                 // Of people, in the organization, at least;
                                                     // of those who come to a row of other keys,
                                                     // too. kNone there: they do not.
  OwnerFrom owner = OwnerFrom::kNobody;
};

// A row of the table: the route, which is all that the router knows, and its shape.
struct Row : Route {
  RouteShape shape;
  Need need;
};

// The callers that may use a row: what they need, and the guard that looks at it. Tests and
// /openapi.json show `who`.
struct Access {
  Guard guard;
  std::string_view who;
  Dialect dialect;
  Need need = {};
};
// The same for a row whose thing has its owner elsewhere.
inline Access with_owner(Access access, OwnerFrom owner) {
  access.need.owner = owner;
  return access;
}
inline Access everyone() {
  return {public_access(), "public", Dialect::kPortal};
}

// Admin keys by the least role that a row asks for, from the lowest role to the highest. The rows
// of own_billing, own_viewer and own_admin are open besides to whoever is an admin of the
// organization that the row is about.
struct AdminAccess {
  Access billing, viewer, admin, owner;
  Access own_billing, own_viewer, own_admin;
};

// Keys of the artifact doors by the least scope that a row asks for.
struct ArtifactAccess {
  Access read, write, admin;
};

// Appends one row. The caller may still change what few rows change, such as `access_log`.
inline Row& add_row(std::vector<Row>& table, Method method, std::string pattern,
                    const Access& access, uint64_t body_max_bytes, Handler handler,
                    std::string_view summary, RouteShape shape) {
  Row row;
  row.method = method;
  row.pattern = std::move(pattern);
  row.guard = access.guard;
  row.body_max_bytes = body_max_bytes;
  row.handler = std::move(handler);
  row.dialect = access.dialect;
  row.who = access.who;
  row.summary = summary;
  row.shape = std::move(shape);
  row.need = access.need;
  return table.emplace_back(std::move(row));
}

// Appends rows whose handlers are methods of one object. All patterns begin with `prefix`, and all
// ids end with `id_end`, which tells rows of several prefixes apart. The table and the object
// outlive the writer, and the object outlives the rows.
template <typename Api>
class Rows final {
 public:
  using HandlerMethod = Result<Response> (Api::*)(Request&);

  Rows(std::vector<Row>& table, Api& api, std::string prefix = {}, std::string_view id_end = {})
      : table_(table), api_(api), prefix_(std::move(prefix)), id_end_(id_end) {}

  Row& add(Method method, std::string_view path, const Access& access, uint64_t body_max_bytes,
           HandlerMethod handler, std::string_view summary, RouteShape shape) {
    shape.id += id_end_;
    Handler call = [&api = api_, handler](Request& request) { return (api.*handler)(request); };
    return add_row(table_, method, prefix_ + std::string(path), access, body_max_bytes,
                   std::move(call), summary, std::move(shape));
  }

 private:
  std::vector<Row>& table_;
  Api& api_;
  const std::string prefix_, id_end_;
};

}  // namespace kvcs::http
