// Organization keys that are made of a seed, as the self-hosted backend of the public key-value
// cache client makes them: one per organization of a list, always the same for the same seed and
// name, so that a store that moves here keeps the keys that its clients have. They are records as
// all others are: listed, rotated, revoked. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/route_rows.h"
#include "identity/keys.h"
#include "identity/orgs.h"
#include "identity/projects.h"

namespace kvcs {

struct SeededKeysConfig {
  Secret seed;                             // "" = no such keys.
  std::vector<std::string> organizations;  // Slugs.
  Secret admin_secret;                     // What POST /api/v1/admin/api-keys takes; "" = nothing.
};

// HKDF-SHA256 (RFC 5869) of the seed, without a salt, with the organization in its info.
Secret seeded_key(const Secret& seed, std::string_view organization);

class SeededKeys final {
 public:
  struct Services {
    const KvStore& kv;
    AuditedKv& audited;
    OrganizationService& organizations;
    ProjectService& projects;
    KeyService& keys;
    // How clients of the artifact store know an organization.
    std::function<std::string(std::string_view organization)> customer_id_of;
  };
  // All of `services` outlive it.
  SeededKeys(SeededKeysConfig config, Services services);

  // Before the first request of the daemon: the organizations of the list and their keys are there.
  // What fails is told in the log, and the next start tries again.
  void make_all();

  // `admin` takes an owner's admin key, and the configuration's secret is taken beside it.
  void add_routes(std::vector<http::Row>& table, const http::Access& admin);
  static std::span<const http::ApiType> types();
  Result<http::Response> give(http::Request& request);  // POST /api/v1/admin/api-keys

 private:
  // The organization's key, which is there and works when this returns. Conflict with reason
  // key_revoked; as the creation of organizations, projects and keys fails.
  Result<Secret> make(const std::string& slug, const AuditContext& who);
  Result<KeyOwner> owner(const std::string& slug, const AuditContext& who);

  const SeededKeysConfig config_;
  const Services s_;
};

}  // namespace kvcs
