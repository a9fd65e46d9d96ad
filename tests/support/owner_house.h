// A daemon with owners that have everything an owner can have, made over HTTP, and the search for
// what is left of them: in every family of the key-value store and every table of portal.db, by the
// ids and names that the owner had.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/loopback_server.h"
#include "support/test_app.h"

namespace kvcs::test {

// What somebody owns; its texts are what a search looks for.
struct Owned {
  std::string name;  // Slug and tenant.
  std::string organization_id, project_id, user_id;
  std::string organization_key, project_key, user_key, old_user_key, tenant_token, imported_token;
  std::string artifact_id, sha256;
  std::set<std::string> texts;  // Ids, names and hashes of all of these.
};

class OwnerHouse final {
 public:
  explicit OwnerHouse(AppOptions options = {});

  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {}) const {
    return app.as_owner(method, path, body);
  }
  // The answer's body; a REQUIRE of its status.
  Json made(const std::string& method, const std::string& path, const Json& body, int status) const;
  // An organization of that name with its tenant and all that belongs to both.
  Owned make(const std::string& name);
  RawResponse call(const std::string& token, const std::string& tenant) const;
  // The Authorization header that the upstream got last.
  std::string last_credential() const;

  // Where one of the texts stands: "family key" or "table.column".
  std::vector<std::string> left_of(const std::set<std::string>& texts) const;
  bool has_blob(const std::string& sha256) const;

  TestApp app;

 private:
  void make_tenant(Owned& owned);
  void make_user(Owned& owned);
  void make_project(Owned& owned);
  std::vector<std::string> left_in_kv(const std::set<std::string>& texts) const;
  std::vector<std::string> left_in_sql(const std::set<std::string>& texts) const;

  mutable Mutex mutex_;
  std::string credential_ KVCS_GUARDED_BY(mutex_);
  LoopbackServer upstream_;
};

}  // namespace kvcs::test
