// Invitations: links by which somebody joins an organization, once, until they end. The token is
// random, given once and never stored; its SHA-256 finds the record. An invitation that names an
// address is for whoever has shown that the address is theirs: by a provider that has verified it,
// or by making an account of this address through the link. It is worth what its inviter may give
// when it is used. Thread-safe: invitations change under a lock that is held over the reads and the
// write of the store, so that one is either used or withdrawn, and the limit is kept.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/secret.h"
#include "base/status.h"
#include "identity/members.h"
#include "identity/orgs.h"
#include "identity/people.h"
#include "kv/audited_kv.h"

namespace kvcs::portal {

inline constexpr int64_t kInvitationLifetimeS = 7 * 86'400;
inline constexpr size_t kInvitationsPerOrganizationMax = 500;
// For so long after its end the link of an invitation still tells what became of it.
inline constexpr int64_t kInvitationToldS = 7 * 86'400;

struct Invitation {
  std::string id, organization_id;
  OrgRole role = OrgRole::kNone;
  std::string email;       // "" = for whoever has the link.
  std::string invited_by;  // A person's id.
  std::string token_hash;
  int64_t created_ms = 0, expires_ms = 0;
  std::string old_token_hash;  // Of the link before, when it was renewed.
};
// What a link is good for. The last link before a renewal counts as withdrawn, and so does one
// whose inviter may give its role no longer, or whose organization is to be deleted.
enum class InvitationState : uint8_t { kOpen, kUsed, kWithdrawn, kEnded };
std::string_view invitation_state_name(InvitationState state);

struct InvitationLook {
  InvitationState state = InvitationState::kOpen;
  Invitation invitation;  // When the state is not kOpen, of its members the organization_id alone.
};

struct CreatedInvitation {
  Invitation invitation;
  Secret token;
};

class InvitationService final {
 public:
  // All outlive it.
  struct Services {
    const KvStore& kv;
    AuditedKv& audited;
    MemberService& members;
    const PersonService& people;
    const OrganizationService& organizations;
    const Clock& clock;
    Entropy& entropy;
  };
  explicit InvitationService(const Services& services) : s_(services) {}

  // Whether an invitation that is there, and is for this role, may be renewed or withdrawn. Its
  // failure is returned and nothing is written.
  using Allowed = std::function<Status(OrgRole role)>;
  // When the address has an open invitation, that one is renewed for the role that is wanted now.
  // Conflict with reason invitations_full; Forbidden with reason quota_exceeded when the members
  // and those who are invited would be more than the plan allows.
  Result<CreatedInvitation> create(Invitation wanted, const Allowed& allowed,
                                   const AuditContext& who);
  // Those that are open, in order of id, which is of time.
  Result<std::vector<Invitation>> list(std::string_view organization_id) const;
  // A new token under the same id, good from now, of whoever renews it; the one before is good no
  // longer, and those before that are known no longer. NotFound; Forbidden as create().
  Result<CreatedInvitation> renew(std::string_view organization_id, std::string_view id,
                                  std::string_view renewed_by, const Allowed& allowed,
                                  const AuditContext& who);
  // NotFound with reason invitation_not_found.
  Status withdraw(std::string_view organization_id, std::string_view id, const Allowed& allowed,
                  const AuditContext& who);

  // What the link of this token is good for; nothing is consumed. NotFound with reason
  // invitation_invalid when no invitation is known by it, or none any more. Forbidden with reason
  // org_suspended.
  Result<InvitationLook> look_up(const Secret& token) const;
  // What a token is for. NotFound with reason invitation_invalid: used, withdrawn, ended, none, or
  // of somebody who may give its role no longer. Forbidden with reason org_suspended.
  Result<Invitation> find_by_token(const Secret& token) const;
  // Forbidden with reason invitation_for_another when it names an address that the person has not
  // shown to be their own. Else as find_by_token() and MemberService::add(). `records` are those of
  // a person who is made for the invitation, and are written in the same batch.
  Result<Invitation> accept(const Secret& token, const Person& person, const AuditContext& who,
                            const KvBatch& records = {});

 private:
  Result<Invitation> find(std::string_view organization_id, std::string_view id) const;
  // A new token under the same id, in one write with the end of the one before.
  Result<CreatedInvitation> put_new_link(Invitation invitation, std::string_view invited_by,
                                         const AuditContext& who) KVCS_REQUIRES(mutex_);
  Status check_inviter(const Invitation& invitation) const;
  bool has_ended(const Invitation& invitation) const;

  Mutex mutex_;
  const Services s_;
};

}  // namespace kvcs::portal
