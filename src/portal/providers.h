// Providers of sign-ins (auth.providers): issuers of OpenID Connect, and what an operator lets
// their people do here. Read once, at the start; immutable then, and thread-safe.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/status.h"
#include "http/client/upstream.h"
#include "identity/members.h"
#include "oauth/oidc.h"
#include "portal/portal.h"

namespace kvcs::portal {

// A role in an organization that a value of the role claim stands for.
struct MappedRole {
  std::string organization;  // Slug.
  OrgRole role = OrgRole::kNone;
};

struct Provider {
  std::string name;                          // In paths: a slug.
  std::vector<std::string> admins;           // Subjects or verified addresses that own the daemon.
  std::vector<std::string> allowed_domains;  // Of verified addresses; empty: all.
  std::string role_claim;                    // "": no roles come from here.
  std::map<std::string, MappedRole> role_map;
  std::unique_ptr<oauth::Issuer> issuer;
};

class Providers final {
 public:
  // `text` is the YAML of auth.providers, "" for none. Invalid names provider and member; also the
  // failure of a secret's file that cannot be read. The issuers are not asked: one that is away
  // stops no start. All outlive it.
  static Result<std::unique_ptr<Providers>> read(const std::string& text,
                                                 http::HttpUpstream& upstream, const Clock& clock,
                                                 Entropy& entropy);
  // The daemon's own issuer is among them from now on. What `make` tells of it, which needs the
  // server's address, is asked for at the first use. Before the server starts.
  using MakeOwn = std::function<oauth::IssuerConfig()>;
  // Conflict with reason provider_name_taken.
  Status add_own(std::string_view name, MakeOwn make, http::HttpUpstream& upstream,
                 const Clock& clock, Entropy& entropy);
  // Of the development issuer not before the daemon listens: its address is asked for here.
  std::vector<const Provider*> all() const;
  std::vector<const Provider*> configured() const;  // Without the development issuer.
  bool empty() const { return providers_.empty() && !own_; }
  const Provider* find(std::string_view name) const;              // Null: none of this name.
  const Provider* find_by_issuer(std::string_view issuer) const;  // Null: a stranger's.

 private:
  // The daemon's own; made by whoever asks for it first.
  struct Own {
    std::string name;
    std::function<std::unique_ptr<oauth::Issuer>()> make;
    std::once_flag made;
    Provider provider;
  };
  const Provider* own() const;  // Null: there is none.

  std::vector<Provider> providers_;
  std::unique_ptr<Own> own_;
};

}  // namespace kvcs::portal
