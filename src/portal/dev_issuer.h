// An issuer of OpenID Connect inside the daemon, for work and tests on one machine
// (auth.dev_issuer): it vouches for whoever asks, without a password, so that a command line or a
// program can sign in where there is no other issuer. Its signing key is in the store, sealed;
// codes and refresh tokens are one-time tickets. Thread-safe.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "kv/kv.h"
#include "oauth/ticket_store.h"
#include "portal/device_flow.h"

namespace kvcs::portal {

inline constexpr std::string_view kDevIssuerName = "dev";  // Of the provider.
inline constexpr std::string_view kDevCliClient = "kvcdn-cli", kDevPortalClient = "kvcs";
inline constexpr std::string_view kDevSubject = "developer";  // Unless login_hint says another.
inline constexpr int64_t kDevCodeLifetimeS = 300, kDevTokenLifetimeS = 3'600;
inline constexpr int64_t kDevRefreshLifetimeS = 30 * 86'400;
inline constexpr int64_t kDevDeviceLifetimeS = 300, kDevDeviceIntervalS = 1;

// Whom a code or a refresh token stands for, and what it was given for.
struct DevGrant {
  std::string client_id, subject, scope;
  std::string redirect_uri, challenge, nonce;  // Of a code.
};

class DevIssuer final {
 public:
  struct Services {
    KvStore& kv;
    const Sealer& sealer;
    const Clock& clock;
    Entropy& entropy;
    std::function<std::string()> public_url;  // After the server's start.
  };
  // Makes the signing key at the first start.
  static Result<std::unique_ptr<DevIssuer>> create(Services services);

  std::string url() const { return s_.public_url() + "/oidc"; }
  const std::string& jwk_set() const { return jwk_set_; }
  DeviceFlow& devices() { return devices_; }

  Result<std::string> give_code(const DevGrant& grant);
  // The members of a token answer (RFC 6749 §5.1). A refresh token is spent in the write of the one
  // that follows it. The three fail with Invalid and reason
  // invalid_grant. A code "mock-auth-code-SUBJECT" that nobody was given stands for that subject.
  Result<Json> redeem_code(const std::string& code, const DevGrant& presented,
                           const std::string& verifier);
  Result<Json> refresh(const std::string& refresh_token, const std::string& client_id);
  Result<Json> give_tokens(const DevGrant& grant);

 private:
  DevIssuer(Services services, Secret key, std::string jwk_set);
  Json claims_of(const DevGrant& grant) const;
  // The answer of give_tokens(), which counts once `records` are written.
  Result<Json> make_tokens(const DevGrant& grant, KvBatch& records) const;

  const Services s_;
  const Secret key_;
  const std::string jwk_set_;
  oauth::TicketStore codes_, renewals_;
  DeviceFlow devices_;
};

// Whether a text can be a subject here: 1 to 64 letters, digits and . _ @ - +.
bool is_dev_subject(std::string_view text);

}  // namespace kvcs::portal
