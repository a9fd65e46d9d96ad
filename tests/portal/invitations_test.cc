// Goal: an invitation is good for whom it is for, once, and while its inviter may give it. Method:
// the services over a store in memory.
#include "portal/invitations.h"

#include <atomic>
#include <latch>
#include <thread>

#include "portal/portal_rig.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

namespace {

// An organization with an owner and an admin, who invites.
struct Team : PortalRig {
  const std::string org = organization().id;
  const Person owner = joined("owner", OrgRole::kOwner);
  const Person admin = joined("admin", OrgRole::kAdmin);

  Person joined(const std::string& name, OrgRole role) {
    const Person made = person(name);
    REQUIRE(members.add(org, made.id, role, who).ok());
    return made;
  }
  CreatedInvitation invite(const Person& by, OrgRole role, const std::string& email = "") {
    Invitation wanted;
    wanted.organization_id = org;
    wanted.role = role;
    wanted.invited_by = by.id;
    wanted.email = email;
    return invitations.create(wanted, anyhow, who).value();
  }
  std::string accept(const Secret& token, const Person& by) {
    return std::string(invitations.accept(token, by, who).status().reason());
  }
  void suspend(const Person& whom) {
    const auto edit = [](Person& edited) -> Status {
      edited.active = false;
      return ok();
    };
    REQUIRE(people.update(whom.id, edit, who).ok());
  }
};

}  // namespace

TEST_CASE("invitations: each refusal has its reason", "[unit][portal]") {
  PortalRig rig;
  const std::string org = rig.organization().id;
  Person ada = rig.person("ada");
  ada.email = "ada@b.c";
  ada.email_verified_by = "idp";
  const Person owner = rig.person("owner");
  REQUIRE(rig.members.add(org, owner.id, OrgRole::kOwner, rig.who).ok());
  Invitation wanted;
  wanted.organization_id = org;
  wanted.invited_by = owner.id;
  wanted.role = OrgRole::kMember;
  const CreatedInvitation made = rig.invitations.create(wanted, anyhow, rig.who).value();
  CHECK(rig.invitations.accept(Secret("other"), ada, rig.who).status().reason() ==
        "invitation_invalid");
  rig.pass(kInvitationLifetimeS);
  CHECK(rig.invitations.accept(made.token, ada, rig.who).status().reason() == "invitation_invalid");
  CHECK(rig.invitations.withdraw(org, made.invitation.id, anyhow, rig.who).reason() ==
        "invitation_not_found");
  wanted.email = "eve@b.c";
  const CreatedInvitation named = rig.invitations.create(wanted, anyhow, rig.who).value();
  CHECK(rig.invitations.accept(named.token, ada, rig.who).status().reason() ==
        "invitation_for_another");
  CHECK(rig.sign_in
            .register_account(
                rig.account("ada@b.c"), "eve@b.c",
                [](const Person&, const AuditContext&, const KvBatch&) { return ok(); }, rig.caller)
            .status()
            .reason() == "invitation_for_another");
  for (size_t i = 1; i < kInvitationsPerOrganizationMax; i++) {
    wanted.email = "eve" + std::to_string(i) + "@b.c";
    REQUIRE(rig.invitations.create(wanted, anyhow, rig.who).ok());
  }
  wanted.email = "one.more@b.c";
  CHECK(rig.invitations.create(wanted, anyhow, rig.who).status().reason() == "invitations_full");
}

TEST_CASE("invitations: a link tells what became of it for a week after its end",
          "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.admin, OrgRole::kMember, "ada@b.c");
  const auto state = [&](const Secret& token) {
    const Result<InvitationLook> look = team.invitations.look_up(token);
    return look.ok() ? std::string(invitation_state_name(look->state))
                     : std::string(look.status().reason());
  };
  CHECK(state(made.token) == "open");
  CHECK(team.invitations.look_up(made.token)->invitation.email == "ada@b.c");
  // Of somebody who may not invite any more it is as good as withdrawn.
  REQUIRE(team.members.set_role(team.org, team.admin.id, OrgRole::kViewer, team.who, anyhow).ok());
  CHECK(state(made.token) == "withdrawn");
  CHECK(team.invitations.look_up(made.token)->invitation.email.empty());
  REQUIRE(team.members.set_role(team.org, team.admin.id, OrgRole::kAdmin, team.who, anyhow).ok());
  const CreatedInvitation used = team.invite(team.admin, OrgRole::kMember);
  CHECK(team.accept(used.token, team.person("grace")).empty());
  CHECK(state(used.token) == "used");
  team.pass(kInvitationLifetimeS - 1);
  CHECK(state(made.token) == "open");
  team.pass(1);
  CHECK(state(made.token) == "ended");
  CHECK(state(used.token) == "used");
  CHECK(team.accept(made.token, team.person("ada")) == "invitation_invalid");
  team.pass(kInvitationToldS);
  CHECK(state(made.token) == "invitation_invalid");
  CHECK(state(used.token) == "invitation_invalid");
}

TEST_CASE("invitations: of those that were renewed one link is kept", "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.admin, OrgRole::kMember);
  const auto links = [&] {
    return team.kv->scan(KvFamily::kSystem, "invitation:", "", 1000)->items.size();
  };
  std::vector<Secret> tokens{made.token};
  for (int i = 0; i < 20; i++) {
    tokens.push_back(
        team.invitations.renew(team.org, made.invitation.id, team.admin.id, anyhow, team.who)
            ->token);
    CHECK(links() == 2);
  }
  CHECK(team.invitations.look_up(tokens[20])->state == InvitationState::kOpen);
  CHECK(team.invitations.look_up(tokens[19])->state == InvitationState::kWithdrawn);
  CHECK(team.invitations.look_up(tokens[18]).status().reason() == "invitation_invalid");
}

TEST_CASE("invitations: a clock that leaps back makes none good for longer", "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.admin, OrgRole::kMember);
  team.clock.set_unix_ms(team.clock.unix_ms() - 1000);
  CHECK(team.invitations.look_up(made.token).status().reason() == "invitation_invalid");
}

TEST_CASE("invitations: an address has one, which a second one renews", "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.owner, OrgRole::kMember, "eve@b.c");
  const auto state = [&](const Secret& token) { return team.invitations.look_up(token)->state; };
  team.pass(60);
  const CreatedInvitation again = team.invite(team.admin, OrgRole::kViewer, "eve@b.c");
  CHECK(again.invitation.id == made.invitation.id);
  CHECK(again.invitation.role == OrgRole::kViewer);
  CHECK(again.invitation.invited_by == team.admin.id);
  CHECK(again.invitation.expires_ms == made.invitation.expires_ms + 60'000);
  CHECK(state(made.token) == InvitationState::kWithdrawn);
  CHECK(team.invitations.look_up(again.token)->invitation.role == OrgRole::kViewer);
  CHECK(team.invitations.list(team.org)->size() == 1);
  // One that nobody can use now, since the clock leapt, is made good.
  team.clock.set_unix_ms(team.clock.unix_ms() - 1000);
  CHECK(team.invitations.look_up(again.token).status().reason() == "invitation_invalid");
  const CreatedInvitation third = team.invite(team.owner, OrgRole::kMember, "eve@b.c");
  CHECK(third.invitation.id == made.invitation.id);
  CHECK(state(third.token) == InvitationState::kOpen);
  team.pass(kInvitationLifetimeS);
  CHECK(team.invite(team.owner, OrgRole::kMember, "eve@b.c").invitation.id != made.invitation.id);
  CHECK(team.invitations.list(team.org)->size() == 1);
}

TEST_CASE("invitations: one that the caller may not take is not renewed by a second",
          "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.owner, OrgRole::kOwner, "eve@b.c");
  Invitation wanted;
  wanted.organization_id = team.org;
  wanted.role = OrgRole::kViewer;
  wanted.invited_by = team.admin.id;
  wanted.email = "eve@b.c";
  const auto below_owner = [](OrgRole role) {
    return role < OrgRole::kOwner ? ok() : forbidden("x").with_reason("role_above_own");
  };
  CHECK(team.invitations.create(wanted, below_owner, team.who).status().reason() ==
        "role_above_own");
  CHECK(team.invitations.look_up(made.token)->invitation.role == OrgRole::kOwner);
}

TEST_CASE("invitations: are worth what the inviter may give when they are used", "[unit][portal]") {
  Team team;
  const Person ada = team.person("ada");
  const CreatedInvitation made = team.invite(team.admin, OrgRole::kAdmin);
  const auto set = [&](OrgRole role) {
    REQUIRE(team.members.set_role(team.org, team.admin.id, role, team.who, anyhow).ok());
  };
  set(OrgRole::kMember);
  CHECK(team.accept(made.token, ada) == "invitation_invalid");
  CHECK(team.invitations.find_by_token(made.token).status().reason() == "invitation_invalid");
  set(OrgRole::kAdmin);
  CHECK(team.invitations.find_by_token(made.token).ok());
  REQUIRE(team.members.remove(team.org, team.admin.id, team.who, anyhow).ok());
  CHECK(team.accept(made.token, team.admin) == "invitation_invalid");
  CHECK(team.accept(made.token, ada) == "invitation_invalid");
  // Whoever renews it vouches for it from then on.
  const Secret renewed =
      team.invitations.renew(team.org, made.invitation.id, team.owner.id, anyhow, team.who)->token;
  CHECK(team.accept(renewed, ada).empty());
  const CreatedInvitation owners = team.invite(team.owner, OrgRole::kOwner);
  team.suspend(team.owner);
  CHECK(team.accept(owners.token, team.person("eve")) == "invitation_invalid");
}

TEST_CASE("invitations: nobody joins a suspended organization", "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.owner, OrgRole::kMember);
  const auto suspend = [](Organization& organization) -> Status {
    organization.active = false;
    return ok();
  };
  REQUIRE(team.organizations.update(team.org, suspend, team.who).ok());
  CHECK(team.accept(made.token, team.person("ada")) == "org_suspended");
}

TEST_CASE("invitations: one of an organization that is to go counts as withdrawn",
          "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.owner, OrgRole::kMember);
  const int64_t soon_ms = team.clock.unix_ms() + 86'400'000;
  REQUIRE(team.organizations.plan_deletion(team.org, soon_ms, team.who).ok());
  const Result<InvitationLook> look = team.invitations.look_up(made.token);
  REQUIRE(look.ok());
  CHECK(look->state == InvitationState::kWithdrawn);
  CHECK(team.accept(made.token, team.person("ada")) == "invitation_invalid");
  REQUIRE(team.organizations.withdraw_deletion(team.org, team.who).ok());
  CHECK(team.invitations.look_up(made.token)->state == InvitationState::kOpen);
}

TEST_CASE("invitations: an address is shown by a provider, or by a new account of the link",
          "[unit][portal]") {
  Team team;
  const CreatedInvitation made = team.invite(team.owner, OrgRole::kAdmin, "ceo@b.c");
  Person squatter = team.person("squatter");
  squatter.email = "ceo@b.c";
  CHECK(team.accept(made.token, squatter) == "invitation_for_another");
  Person other = team.person("other");
  other.email = "other@b.c";
  other.email_verified_by = "idp";
  CHECK(team.accept(made.token, other) == "invitation_for_another");
  Person verified = team.person("verified");
  verified.email = "ceo@b.c";
  verified.email_verified_by = "idp";
  CHECK(team.accept(made.token, verified).empty());
}

TEST_CASE("invitations: one is used or withdrawn, never both", "[fault][portal]") {
  Team team;
  for (int i = 0; i < 30; i++) {
    const Person ada = team.person("ada" + std::to_string(i));
    const CreatedInvitation made = team.invite(team.owner, OrgRole::kViewer);
    std::latch start(2);
    std::atomic<bool> joined{false}, withdrawn{false};
    std::thread one([&] {
      start.arrive_and_wait();
      joined = team.invitations.accept(made.token, ada, team.who).ok();
    });
    std::thread two([&] {
      start.arrive_and_wait();
      const std::string& id = made.invitation.id;
      withdrawn = i % 2 == 0
                      ? team.invitations.withdraw(team.org, id, anyhow, team.who).ok()
                      : team.invitations.renew(team.org, id, team.owner.id, anyhow, team.who).ok();
    });
    one.join();
    two.join();
    CHECK(joined != withdrawn);
  }
}
