// GET /api/v1/catalogue: the artifacts that everybody may see, of every organization that is active
// at this moment. Needs no key, and takes of the rate of its address. Thread-safe; references
// outlive it.
#pragma once
#include <functional>

#include "artifacts/artifacts.h"
#include "artifacts/artifacts_api.h"
#include "base/json.h"
#include "http/route_rows.h"

namespace kvcs {

class CatalogueApi final {
 public:
  // Asked before a page is looked for, with the requests that it counts as; a failure is the
  // answer.
  using Charge = std::function<Status(const http::Request&, int64_t cost)>;
  CatalogueApi(ArtifactService& service, const ArtifactsApi& api, Charge charge)
      : service_(service), api_(api), charge_(std::move(charge)) {}

  void add_routes(std::vector<http::Row>& table);
  static std::span<const http::ApiType> types();

  Result<http::Response> list(http::Request& request);

 private:
  Result<Json> find_page(CatalogueFilter filter, const std::string& base);

  ArtifactService& service_;
  const ArtifactsApi& api_;
  const Charge charge_;
};

}  // namespace kvcs
