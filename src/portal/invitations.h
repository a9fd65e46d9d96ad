// Invitations: links by which somebody joins an organization, once, until they end. The token is
// random, given once and never stored; its SHA-256 finds the record. An invitation that names an
// address is for whoever has shown that the address is theirs. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"
#include "identity/members.h"
#include "identity/people.h"
#include "kv/audited_kv.h"

namespace kvcs::portal {

inline constexpr int64_t kInvitationLifetimeS = 7 * 86'400;
inline constexpr size_t kInvitationsPerOrganizationMax = 500;

struct Invitation {
  std::string id, organization_id;
  OrgRole role = OrgRole::kNone;
  std::string email;       // "" = for whoever has the link.
  std::string invited_by;  // A person's id.
  std::string token_hash;
  int64_t created_ms = 0, expires_ms = 0;
};
struct CreatedInvitation {
  Invitation invitation;
  Secret token;
};

class InvitationService final {
 public:
  // All outlive it.
  InvitationService(const KvStore& kv, AuditedKv& audited, MemberService& members,
                    const Clock& clock, Entropy& entropy);

  // Conflict with reason invitations_full; Forbidden with reason quota_exceeded when the members
  // and those who are invited would be more than the plan allows.
  Result<CreatedInvitation> create(Invitation wanted, const AuditContext& who);
  // Those that are open, in order of id, which is of time.
  Result<std::vector<Invitation>> list(std::string_view organization_id) const;
  // Whether an invitation for this role may be renewed or withdrawn. Its failure is returned and
  // nothing is written.
  using Allowed = std::function<Status(OrgRole role)>;
  // A new token under the same id, good from now; the one before is good no longer. NotFound.
  Result<CreatedInvitation> renew(std::string_view organization_id, std::string_view id,
                                  const Allowed& allowed, const AuditContext& who);
  // NotFound with reason invitation_not_found.
  Status withdraw(std::string_view organization_id, std::string_view id, const Allowed& allowed,
                  const AuditContext& who);

  // What a token is for. NotFound with reason invitation_invalid: used, withdrawn, ended, or none.
  Result<Invitation> find_by_token(const Secret& token) const;
  // Forbidden with reason invitation_for_another when it names another address than the person's.
  // Else as find_by_token() and MemberService::add().
  // Writes `also` in the same batch.
  Result<Invitation> accept(const Secret& token, const Person& person, const AuditContext& who,
                            const KvBatch& also = {});

 private:
  Result<Invitation> find(std::string_view organization_id, std::string_view id) const;

  const KvStore& kv_;
  AuditedKv& audited_;
  MemberService& members_;
  const Clock& clock_;
  Entropy& entropy_;
};

}  // namespace kvcs::portal
