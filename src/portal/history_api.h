// What has been changed in an organization, for its members: /api/v1/organizations/{org_id}/audit,
// which is /api/v1/audit for the active one. Rows of the ledger's audit, by their keys: the
// organization's settings, members, invitations and keys, and its projects, each with the name that
// the thing has now. Thread-safe.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "identity/people.h"
#include "identity/projects.h"
#include "kv/kv.h"
#include "ledger/ledger.h"
#include "portal/person_access.h"

namespace kvcs::portal {

class HistoryApi final {
 public:
  // All outlive it.
  HistoryApi(Ledger& ledger, const KvStore& kv, const ProjectService& projects,
             const PersonService& people)
      : ledger_(ledger), kv_(kv), projects_(projects), people_(people) {}

  void add_routes(std::vector<http::Row>& table, const PersonAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> list(http::Request& request);

 private:
  std::string name_of_record(const std::string& key) const;
  // That of a key is for admins.
  std::string name_of_actor(const std::string& organization_id, const std::string& actor,
                            bool is_admin) const;

  Ledger& ledger_;
  const KvStore& kv_;
  const ProjectService& projects_;
  const PersonService& people_;
};

}  // namespace kvcs::portal
