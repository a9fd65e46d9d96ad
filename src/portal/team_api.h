// Members and invitations over HTTP: /api/v1/organizations/{org_id}/members and …/invitations, the
// same under /api/v1/members and /api/v1/invitations for the active organization, and the
// acceptance of an invitation. The guard has entered the organization, so that handlers act on the
// caller's organization_id. Nobody gives or takes a role above the own, nor
// renews or withdraws an invitation for one. Thread-safe.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "http/http.h"
#include "http/route_rows.h"
#include "identity/directory.h"
#include "identity/members.h"
#include "identity/people.h"
#include "portal/invitations.h"
#include "portal/mailer.h"
#include "portal/person_access.h"
#include "portal/sign_in_api.h"

namespace kvcs::portal {

// So many invitations are mailed; what is beyond is given to the person who invites alone.
inline constexpr int64_t kInvitationsMailedToAddressPerHour = 4;
inline constexpr int64_t kInvitationsMailedForOrganizationPerHour = 40;
// So many links of an organization are made, new and renewed together: each is kept for two weeks.
inline constexpr int64_t kInvitationsForOrganizationPerHour = 300;

// A registration tells whether its address has an account already, since nobody is there to whom a
// mail could tell it instead; so of one link, and from one address block, so many are taken.
inline constexpr int64_t kRegistrationsByLinkPerHour = 10;
inline constexpr int64_t kRegistrationsFromAddressPerHour = 60;
// A page asks once before the form, and once more behind each sign-in and reload.
inline constexpr int64_t kInvitationLooksFromAddressPerHour = 240;

class TeamApi final {
 public:
  // Counts one more of `whose`; false when so many were counted in an hour.
  using TakeHourly = std::function<bool(std::string_view whose, int64_t per_hour)>;
  // What links for somebody else begin with.
  using PublicUrl = std::function<std::string()>;
  // All outlive it. `mailer` may be null: then invitations are not mailed.
  TeamApi(MemberService& members, PersonService& people, InvitationService& invitations,
          SignInApi& sign_in, Mailer* mailer, TakeHourly take_hourly, const Directory& directory,
          PublicUrl public_url);

  void add_routes(std::vector<http::Row>& table, const PersonAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> list_members(http::Request& request);
  Result<http::Response> change_member(http::Request& request);
  // Also how a person leaves: with the own id, or "me".
  Result<http::Response> remove_member(http::Request& request);
  Result<http::Response> transfer(http::Request& request);  // POST …/owner
  Result<http::Response> invite(http::Request& request);
  Result<http::Response> list_invitations(http::Request& request);
  Result<http::Response> renew_invitation(http::Request& request);
  Result<http::Response> withdraw_invitation(http::Request& request);
  Result<http::Response> accept(http::Request& request);  // POST /api/v1/invitations/accept
  Result<http::Response> register_account(http::Request& request);  // POST /auth/register
  // POST /auth/invitation: what a link is for. The token stands in the body, since paths are
  // logged.
  Result<http::Response> look_up(http::Request& request);

 private:
  Result<OrgRole> own_role(const Principal& caller) const;
  Status check_is_no_member(const Invitation& wanted) const;  // Conflict, already_member.
  // RateLimited with reason too_many_tries.
  Status take_invitation(const std::string& organization_id) const;
  http::Response created(const CreatedInvitation& made) const;
  Result<Json> describe(const InvitationLook& look) const;
  Status take_registration(const http::Request& request, const Invitation& invitation) const;
  bool mail(const CreatedInvitation& made, const std::string& url) const;
  Letter letter_of(const CreatedInvitation& made, const std::string& url) const;

  MemberService& members_;
  PersonService& people_;
  InvitationService& invitations_;
  SignInApi& sign_in_;
  Mailer* const mailer_;
  const TakeHourly take_hourly_;
  const Directory& directory_;
  const PublicUrl public_url_;
};

}  // namespace kvcs::portal
