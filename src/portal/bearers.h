// Bearers that an issuer of auth.providers has signed (RFC 7519): whom each of them stands for. The
// first one of somebody is a sign-in and makes the person, by the rules of Arrivals. A signature is
// verified once: what a token stands for is remembered under its hash until the token ends. With
// each request it is asked whether its issuer and subject still are a way to sign in of that
// person, and whether the person may still come in (identity.h). Thread-safe; memory is bounded.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "identity/members.h"
#include "identity/people.h"
#include "portal/arrivals.h"
#include "portal/providers.h"

namespace kvcs::portal {

inline constexpr size_t kBearersKnownMax = 10'000;

class Bearers final {
 public:
  struct Services {
    const Providers& providers;
    Arrivals& arrivals;
    PersonService& people;
    const MemberService& members;
    // A project of the organization to begin with; "" when it has none.
    std::function<Result<std::string>(std::string_view organization_id)> first_project;
    const Clock& clock;
    size_t known_max = kBearersKnownMax;
  };
  explicit Bearers(Services services) : s_(std::move(services)) {}

  // The person's id. Unauthenticated with reason token_issuer_unknown or one of oauth/jose.h;
  // Unavailable while the issuer is away; the failures of Arrivals::recognize().
  Result<std::string> find_person(std::string_view token, std::string_view sha256_hex);

 private:
  struct Known {
    std::string person_id;
    SignIn sign_in;
    int64_t end_ms = 0;
  };
  Result<bool> still_is(const Known& known) const;
  Result<Known> verify(std::string_view token);
  Status choose_place(const std::string& person_id);
  void remember(std::string_view sha256_hex, Known known);

  const Services s_;
  Mutex mutex_;
  std::unordered_map<std::string, Known> known_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::portal
