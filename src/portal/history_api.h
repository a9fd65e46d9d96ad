// What has been changed in an organization, for its members: /api/v1/organizations/{org_id}/audit,
// which is /api/v1/audit for the active one. Rows of the ledger's audit, by their keys: the
// organization's settings, members, invitations and keys, and its projects. Thread-safe.
#pragma once
#include <span>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "identity/people.h"
#include "identity/projects.h"
#include "ledger/ledger.h"
#include "portal/person_access.h"

namespace kvcs::portal {

class HistoryApi final {
 public:
  // All outlive it.
  HistoryApi(const Ledger& ledger, const ProjectService& projects, const PersonService& people)
      : ledger_(ledger), projects_(projects), people_(people) {}

  void add_routes(std::vector<http::Row>& table, const PersonAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> list(http::Request& request);

 private:
  const Ledger& ledger_;
  const ProjectService& projects_;
  const PersonService& people_;
};

}  // namespace kvcs::portal
