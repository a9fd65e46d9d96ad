// The services of people, memberships and sessions over a store in memory, and a clock that is
// moved by hand.
#pragma once
#include "identity/identity_rig.h"
#include "identity/members.h"
#include "identity/people.h"
#include "identity/sessions.h"

namespace kvcs::test {

// Of a change that whoever asks for it may make.
inline Status anyhow(OrgRole) {
  return ok();
}

struct PeopleRig : IdentityRig {
  PersonService people{*kv, audited, clock, *entropy};
  MemberService members{*kv, audited, clock};
  SessionLimits limits{.idle_s = 100, .lifetime_s = 1000};
  SessionService sessions{*kv, audited, clock, *entropy, limits};
  Authenticator doors{directory, *kv, clock, {}, limits, {[this] { return &origins; }}};

  Person person(const std::string& name, const std::string& issuer = "https://i") {
    Person wanted;
    wanted.name = name;
    return people.create(wanted, {issuer, name}, "", who).value();
  }
  // The bearer of a new session.
  std::string session(const Person& of, const std::string& organization_id = "") {
    NewSession wanted;
    wanted.person_id = of.id;
    wanted.organization_id = organization_id;
    return sessions.start(wanted, who)->token.reveal();
  }
  void pass(int64_t seconds) { clock.advance_ms(seconds * 1000); }
};

}  // namespace kvcs::test
