// Verifies tokens of issuers, and remembers for how long each is good.
#include "portal/bearers.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"

namespace kvcs::portal {

Result<std::string> Bearers::find_person(std::string_view token, std::string_view sha256_hex) {
  Known found;
  {
    const MutexLock lock(mutex_);
    const auto known = known_.find(std::string(sha256_hex));
    if (known != known_.end() && s_.clock.unix_ms() < known->second.end_ms) found = known->second;
  }
  if (!found.person_id.empty() && KVCS_TRY(still_is(found))) return found.person_id;
  Known verified = KVCS_TRY(verify(token));
  remember(sha256_hex, verified);
  return std::move(verified.person_id);
}

// The person may have taken this way to sign in away, or somebody else may have it now.
Result<bool> Bearers::still_is(const Known& known) const {
  const Result<Person> person = s_.people.find_by_sign_in(known.sign_in);
  if (person.code() == Code::kNotFound) return false;
  KVCS_TRY(person.status());
  return person->id == known.person_id;
}

Result<Bearers::Known> Bearers::verify(std::string_view token) {
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
  const Person person = KVCS_TRY(s_.arrivals.recognize(*provider, identity));
  KVCS_TRY(choose_place(person.id));
  return Known{person.id, {identity.issuer, identity.subject}, end.value_or(0)};
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
  if (known_.size() >= s_.known_max) {
    const int64_t now_ms = s_.clock.unix_ms();
    std::erase_if(known_, [&](const auto& entry) { return entry.second.end_ms <= now_ms; });
  }
  if (known_.size() >= s_.known_max) known_.erase(known_.begin());
  known_.insert_or_assign(std::string(sha256_hex), std::move(known));
}

}  // namespace kvcs::portal
