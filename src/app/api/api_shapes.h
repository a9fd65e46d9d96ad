// What bodies and answers of the API look like, for /openapi.json: the types, and which of them
// each row of the route table takes and gives. tests/app/api/openapi_test.cc holds them to that
// table, to what the handlers refuse and to what they answer. Immutable.
//
// A type is one member per line:
//   name[!]: kind[?] [= example] [# description]
// ! required, ? may be null. Kinds: string(min..max bytes), integer(min..max), number, boolean,
// any, object, array, map (of strings), id, time (ISO 8601), usd, price, limit (a whole number,
// null for none), words (a|b), another type's name, [kind]. "..." allows members not listed.
#pragma once
#include <span>
#include <string_view>

#include "http/http.h"

namespace kvcs {

struct ApiType {
  const char* name;
  const char* members;
};
std::span<const ApiType> api_types_of_admin();
std::span<const ApiType> api_types_of_ai();
std::span<const ApiType> api_types_of_doors();

struct ApiShape {
  http::Method method;
  const char* pattern;
  const char* query;   // Names of query parameters, by spaces.
  const char* body;    // A type, "" for none, or a media type when it is no JSON object.
  int status;          // Of success.
  const char* answer;  // The same.
};
std::span<const ApiShape> api_shapes();

}  // namespace kvcs
