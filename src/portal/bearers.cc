// Verifies tokens of issuers, and remembers for how long each is good.
#include "portal/bearers.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"

namespace kvcs::portal {

Result<std::string> Bearers::find_person(std::string_view token, std::string_view sha256_hex) {
  {
    const MutexLock lock(mutex_);
    const auto known = known_.find(std::string(sha256_hex));
    if (known != known_.end() && s_.clock.unix_ms() < known->second.end_ms) {
      return known->second.person_id;
    }
  }
  int64_t end_ms = 0;
  std::string person_id = KVCS_TRY(verify(token, end_ms));
  remember(sha256_hex, {person_id, end_ms});
  return person_id;
}

Result<std::string> Bearers::verify(std::string_view token, int64_t& end_ms) {
  const std::string issuer = oauth::unverified_issuer(token);
  const Provider* const provider = s_.providers.find_by_issuer(issuer);
  if (provider == nullptr) {
    return unauthenticated("The bearer is no key of this daemon, and its issuer \"" +
                           printable(issuer, kShownValue) +
                           "\" is none that people sign in by here. GET /auth/providers has those.")
        .with_reason("token_issuer_unknown");
  }
  const oauth::Identity identity = KVCS_TRY(provider->issuer->verify_bearer(token));
  const std::optional<int64_t> end = KVCS_TRY(identity.claims.time_ms("exp"));
  end_ms = end.value_or(0);
  const Person person = KVCS_TRY(s_.arrivals.recognize(*provider, identity));
  KVCS_TRY(choose_place(person.id));
  return person.id;
}

// What the person has chosen stays while the person is a member there; else the organization that
// has had the person for the longest, as at a sign-in.
Status Bearers::choose_place(const std::string& person_id) {
  const std::vector<std::string> places = KVCS_TRY(s_.members.organizations_by_joining(person_id));
  if (places.empty()) return ok();
  const ActivePlace chosen = KVCS_TRY(s_.people.active_place(person_id));
  const auto end = places.end();
  if (std::find(places.begin(), end, chosen.organization_id) != end) return ok();
  ActivePlace first;
  first.organization_id = places.front();
  first.project_id = KVCS_TRY(s_.first_project(first.organization_id));
  return s_.people.set_active_place(person_id, first);
}

// Beyond the limit those that have ended go, and if there are none, any.
void Bearers::remember(std::string_view sha256_hex, Known known) {
  const MutexLock lock(mutex_);
  if (known_.size() >= kBearersKnownMax) {
    const int64_t now_ms = s_.clock.unix_ms();
    std::erase_if(known_, [&](const auto& entry) { return entry.second.end_ms <= now_ms; });
  }
  if (known_.size() >= kBearersKnownMax) known_.erase(known_.begin());
  known_.insert_or_assign(std::string(sha256_hex), std::move(known));
}

}  // namespace kvcs::portal
