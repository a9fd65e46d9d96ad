#include "app/openapi.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "version.h"

namespace kvcs {
namespace {

Json parameters_of(const std::string& pattern) {
  Json parameters = Json::array();
  for (const std::string_view segment : split(pattern, '/')) {
    if (!segment.starts_with('{')) continue;
    parameters.push_back(Json{{"name", segment.substr(1, segment.size() - 2)},
                              {"in", "path"},
                              {"required", true},
                              {"schema", {{"type", "string"}}}});
  }
  return parameters;
}

Json operation_of(const http::Route& route) {
  Json operation{{"summary", route.summary}};
  if (Json parameters = parameters_of(route.pattern); !parameters.empty()) {
    operation["parameters"] = std::move(parameters);
  }
  if (route.body_max_bytes > 0) {
    operation["requestBody"] = {
        {"description", "At most " + format_bytes(route.body_max_bytes) + "."},
        {"content", {{"application/json", Json::object()}}}};
  }
  operation["responses"] = {{"default", {{"description", "See the manual."}}}};
  if (route.who == "public") {
    operation["security"] = Json::array();
  } else {
    operation["security"] = Json::array({Json{{"bearer", Json::array()}}});
    operation["x-kvcs-who"] = route.who;
  }
  return operation;
}

}  // namespace

std::string openapi_json(const std::vector<http::Route>& routes) {
  Json paths = Json::object();
  for (const http::Route& route : routes) {
    // Static pages are not API.
    if (route.summary.empty()) continue;
    paths[route.pattern][lower_ascii(http::method_name(route.method))] = operation_of(route);
  }
  return dump_json(
      Json{{"openapi", "3.1.0"},
           {"info", {{"title", "kvcs"}, {"version", KVCS_VERSION}}},
           {"paths", paths},
           {"components",
            {{"securitySchemes", {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}}}}});
}

}  // namespace kvcs
