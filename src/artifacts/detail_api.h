// Handlers of what the pages of artifacts ask for besides the artifacts themselves: what is inside
// the bytes of one, what has happened to it, which models there are, and what was deleted and can
// be restored. Thread-safe; references outlive it.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "artifacts/artifacts_api.h"
#include "artifacts/inspector.h"
#include "http/route_rows.h"

namespace kvcs {

class Ledger;

class ArtifactDetailApi final {
 public:
  struct Services {
    ArtifactService& service;
    ArtifactSearch& search;
    ArtifactInspector& inspector;
    const Ledger& ledger;
    // Brings the audit records that wait into the ledger.
    std::function<Status()> move_audit;
    // The name of a person; "" for one who is gone.
    std::function<std::string(std::string_view person_id)> person_name;
  };
  explicit ArtifactDetailApi(Services services) : s_(std::move(services)) {}

  void add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> inspect(http::Request& request);  // GET /api/v1/artifacts/{id}/inspect
  Result<http::Response> history(http::Request& request);  // GET /api/v1/artifacts/{id}/history
  Result<http::Response> models(http::Request& request);   // GET /api/v1/artifacts/models
  Result<http::Response> deleted(http::Request& request);  // GET /api/v1/artifacts/deleted
  Result<http::Response> restore(http::Request& request);  // POST /api/v1/artifacts/{id}/restore

 private:
  // Also one that was deleted and can be restored.
  Status check_own(const http::Request& request, std::string_view id) const;

  const Services s_;
};

}  // namespace kvcs
