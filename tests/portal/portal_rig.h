// The portal's services over a store in memory, with a password hasher that hashes for real.
#pragma once
#include "identity/people_rig.h"
#include "oauth/ticket_store.h"
#include "portal/invitations.h"
#include "portal/passwords.h"
#include "portal/sign_in.h"
#include "portal/totp.h"

namespace kvcs::test {

using namespace kvcs::portal;

inline const Secret kPassword("correct horse battery staple");

struct PortalRig : PeopleRig {
  explicit PortalRig(SignUp sign_up_ = SignUp::kInvited) : sign_up(sign_up_) {}

  const SignUp sign_up;
  PasswordHasher hasher;
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  TotpService totp{
      *kv, audited, sealer, clock, clock, *entropy, [this](std::string_view) { return wait_s; }};
  InvitationService invitations{{*kv, audited, members, people, organizations, clock, *entropy}};
  std::string first_organization;          // Its id; "" = there is none.
  std::function<void()> on_first_project;  // Runs while a session begins.
  int64_t wait_s = 0;                      // Until the next try,
  std::string waiting;                     // of whoever's name begins so.
  SignInService sign_in{
      {.kv = *kv,
       .audited = audited,
       .people = people,
       .members = members,
       .sessions = sessions,
       .hasher = hasher,
       .totp = totp,
       .tickets = oauth::TicketStore("second-step", *kv, sealer, clock),
       .entropy = *entropy,
       .clock = clock,
       .find_organization = [this](std::string_view) -> Result<std::string> {
         if (first_organization.empty()) return not_found("x");
         return first_organization;
       },
       .first_project = [this](std::string_view) -> Result<std::string> {
         if (on_first_project) on_first_project();
         return std::string();
       },
       .take_try = [this](std::string_view whose,
                          int64_t) { return whose.starts_with(waiting) ? wait_s : 0; },
       .sign_up = sign_up,
       .may_still = [this](std::string_view maker) { return doors.may_still(maker); }}};
  const Caller caller{"127.0.0.1", "test", "r1", Secret()};

  void put_setup_token(const std::string& token) {
    REQUIRE(kv->write(setup_token_record(token, clock.unix_s()), KvDurability::kSynced).ok());
  }
  NewAccount account(const std::string& email) const { return {email, "", kPassword}; }
};

}  // namespace kvcs::test
