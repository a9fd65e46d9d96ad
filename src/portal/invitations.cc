// Writes records of invitations: one in the organization's list, and one that finds it by the hash
// of its token. Both end by themselves; the second one later, since it tells what became of the
// first.
#include "portal/invitations.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "identity/records.h"
#include "kv/keyspace.h"
#include "oauth/ticket_store.h"

namespace kvcs::portal {
namespace {

Status invitation_invalid() {
  return not_found("The invitation is used, withdrawn or has ended. Ask for a new one.")
      .with_reason("invitation_invalid");
}

std::string to_json(const Invitation& invitation) {
  return dump_json(Json{{"invitation_id", invitation.id},
                        {"role", org_role_name(invitation.role)},
                        {"email", invitation.email},
                        {"invited_by", invitation.invited_by},
                        {"token_hash", invitation.token_hash},
                        {"old_token_hash", invitation.old_token_hash},
                        {"created_at", time_json(invitation.created_ms)},
                        {"expires_at", time_json(invitation.expires_ms)}});
}

Result<Invitation> parse(std::string_view organization_id, std::string_view text) {
  const Json json = KVCS_TRY(parse_json(text));
  Invitation invitation;
  invitation.id = text_member(json, "invitation_id");
  invitation.organization_id = organization_id;
  invitation.role = KVCS_TRY(parse_org_role(text_member(json, "role")));
  invitation.email = text_member(json, "email");
  invitation.invited_by = text_member(json, "invited_by");
  invitation.token_hash = text_member(json, "token_hash");
  invitation.old_token_hash = text_member(json, "old_token_hash");
  invitation.created_ms = KVCS_TRY(parse_iso8601_ms(text_member(json, "created_at")));
  invitation.expires_ms = KVCS_TRY(parse_iso8601_ms(text_member(json, "expires_at")));
  return invitation;
}

// The record that finds an invitation by its token: "{org_id}:{invitation_id}", and behind that, of
// one that was closed, ":" and the word for it.
void put_link(KvBatch& batch, const Invitation& invitation, std::string_view closed) {
  std::string owner, value = invitation.organization_id + ":" + invitation.id;
  append_json_string(owner, invitation.organization_id);
  if (!closed.empty()) value.append(":").append(closed);
  batch.put(KvFamily::kSystem, keyspace::invitation(invitation.token_hash),
            KvEntry{value, owner, invitation.expires_ms / 1000 + kInvitationToldS});
}

void put(KvBatch& batch, const Invitation& invitation) {
  const int64_t expires_s = invitation.expires_ms / 1000;
  batch.put(KvFamily::kConfig, keyspace::org_invitation(invitation.organization_id, invitation.id),
            KvEntry{to_json(invitation), {}, expires_s});
  put_link(batch, invitation, "");
}

// The link stays for a while and tells whoever has it why it works no longer.
void close(KvBatch& batch, const Invitation& invitation, InvitationState state) {
  batch.remove(KvFamily::kConfig,
               keyspace::org_invitation(invitation.organization_id, invitation.id));
  put_link(batch, invitation, invitation_state_name(state));
}

// What the record of a link says.
struct Link {
  std::string organization_id, invitation_id;
  InvitationState state = InvitationState::kOpen;
};
Result<Link> parse_link(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 2 && parts.size() != 3) return internal("damaged record of an invitation");
  Link link{std::string(parts[0]), std::string(parts[1])};
  if (parts.size() == 2) return link;
  const bool is_used = parts[2] == invitation_state_name(InvitationState::kUsed);
  link.state = is_used ? InvitationState::kUsed : InvitationState::kWithdrawn;
  return link;
}

}  // namespace

std::string_view invitation_state_name(InvitationState state) {
  switch (state) {
    case InvitationState::kOpen:
      return "open";
    case InvitationState::kUsed:
      return "used";
    case InvitationState::kWithdrawn:
      return "withdrawn";
    case InvitationState::kEnded:
      return "ended";
  }
  return "";
}

Result<CreatedInvitation> InvitationService::create(Invitation wanted, const Allowed& allowed,
                                                    const AuditContext& who) {
  const MutexLock lock(mutex_);
  const std::vector<Invitation> present = KVCS_TRY(list(wanted.organization_id));
  const size_t open = present.size();
  // One that a clock which leapt has ended counts, too: it is made good again.
  for (const Invitation& one : present) {
    if (wanted.email.empty() || one.email != wanted.email) continue;
    KVCS_TRY(allowed(one.role));
    KVCS_TRY(s_.members.check_room(wanted.organization_id, open));
    Invitation renewed = one;
    renewed.role = wanted.role;
    return put_new_link(std::move(renewed), wanted.invited_by, who);
  }
  if (open >= kInvitationsPerOrganizationMax) {
    return conflict("An organization may have " + std::to_string(kInvitationsPerOrganizationMax) +
                    " open invitations; withdraw one first.")
        .with_reason("invitations_full");
  }
  // Whoever is let have a link can use it, unless somebody comes in another way meanwhile.
  KVCS_TRY(s_.members.check_room(wanted.organization_id, open + 1));
  CreatedInvitation made;
  made.token = Secret(oauth::make_one_time_secret(s_.entropy));
  wanted.created_ms = s_.clock.unix_ms();
  wanted.expires_ms = wanted.created_ms + kInvitationLifetimeS * 1000;
  wanted.id = make_uuid_v7(s_.entropy, wanted.created_ms);
  wanted.token_hash = sha256_hex(made.token.reveal());
  KvBatch batch;
  put(batch, wanted);
  KVCS_TRY(s_.audited.write(batch, who));
  made.invitation = std::move(wanted);
  return made;
}

Result<std::vector<Invitation>> InvitationService::list(std::string_view organization_id) const {
  std::vector<Invitation> open;
  const auto add = [&](const KvItem& item) -> Status {
    open.push_back(KVCS_TRY(parse(organization_id, item.entry.value)));
    return ok();
  };
  KVCS_TRY(
      kv_for_each(s_.kv, KvFamily::kConfig, keyspace::org_invitation_prefix(organization_id), add));
  return open;
}

Result<Invitation> InvitationService::find(std::string_view organization_id,
                                           std::string_view id) const {
  const Status none = not_found("No invitation '" + printable(id, kShownName) + "'.")
                          .with_reason("invitation_not_found");
  if (!is_uuid(id)) return none;
  const Result<KvEntry> entry =
      s_.kv.get(KvFamily::kConfig, keyspace::org_invitation(organization_id, id));
  if (entry.code() == Code::kNotFound) return none;
  if (!entry.ok()) return entry.status();
  return parse(organization_id, entry->value);
}

Result<CreatedInvitation> InvitationService::renew(std::string_view organization_id,
                                                   std::string_view id, std::string_view renewed_by,
                                                   const Allowed& allowed,
                                                   const AuditContext& who) {
  const MutexLock lock(mutex_);
  Invitation present = KVCS_TRY(find(organization_id, id));
  KVCS_TRY(allowed(present.role));
  const size_t open = KVCS_TRY(list(organization_id)).size();
  KVCS_TRY(s_.members.check_room(organization_id, open));
  return put_new_link(std::move(present), renewed_by, who);
}

Result<CreatedInvitation> InvitationService::put_new_link(Invitation invitation,
                                                          std::string_view invited_by,
                                                          const AuditContext& who) {
  CreatedInvitation made{std::move(invitation), Secret(oauth::make_one_time_secret(s_.entropy))};
  KvBatch batch;
  // Of links that were renewed one is kept, however often somebody renews.
  if (!made.invitation.old_token_hash.empty()) {
    batch.remove(KvFamily::kSystem, keyspace::invitation(made.invitation.old_token_hash));
  }
  close(batch, made.invitation, InvitationState::kWithdrawn);
  made.invitation.old_token_hash = made.invitation.token_hash;
  made.invitation.invited_by = invited_by;
  made.invitation.token_hash = sha256_hex(made.token.reveal());
  made.invitation.expires_ms = s_.clock.unix_ms() + kInvitationLifetimeS * 1000;
  put(batch, made.invitation);
  KVCS_TRY(s_.audited.write(batch, who));
  return made;
}

Status InvitationService::withdraw(std::string_view organization_id, std::string_view id,
                                   const Allowed& allowed, const AuditContext& who) {
  const MutexLock lock(mutex_);
  const Invitation wanted = KVCS_TRY(find(organization_id, id));
  KVCS_TRY(allowed(wanted.role));
  KvBatch batch;
  close(batch, wanted, InvitationState::kWithdrawn);
  return s_.audited.write(batch, who);
}

// Both ends of the time that an invitation may have left, as kv_get_live().
bool InvitationService::has_ended(const Invitation& invitation) const {
  const int64_t left_s = invitation.expires_ms / 1000 - s_.clock.unix_s();
  return left_s <= 0 || left_s > kInvitationLifetimeS;
}

Result<InvitationLook> InvitationService::look_up(const Secret& token) const {
  const std::string hash = sha256_hex(token.reveal());
  const Result<KvEntry> found = kv_get_live(s_.kv, KvFamily::kSystem, keyspace::invitation(hash),
                                            s_.clock, kInvitationLifetimeS + kInvitationToldS);
  if (found.code() == Code::kNotFound) return invitation_invalid();
  if (!found.ok()) return found.status();
  const Link link = KVCS_TRY(parse_link(found->value));
  InvitationLook look;
  look.state = link.state;
  look.invitation.organization_id = link.organization_id;
  if (link.state != InvitationState::kOpen) return look;
  look.state = InvitationState::kEnded;
  const Result<Invitation> invitation = find(link.organization_id, link.invitation_id);
  if (invitation.code() == Code::kNotFound) return look;
  KVCS_TRY(invitation.status());
  if (has_ended(*invitation)) return look;
  look.state = InvitationState::kWithdrawn;
  if (invitation->token_hash != hash) return look;
  const Status worth = check_inviter(*invitation);
  if (worth.code() == Code::kNotFound) return look;
  KVCS_TRY(Status(worth));
  return InvitationLook{InvitationState::kOpen, *invitation};
}

Result<Invitation> InvitationService::find_by_token(const Secret& token) const {
  InvitationLook look = KVCS_TRY(look_up(token));
  if (look.state != InvitationState::kOpen) return invitation_invalid();
  return std::move(look.invitation);
}

// What somebody has given away is worth no more than what is left to give: whoever was removed or
// demoted does not come back by a link made before.
Status InvitationService::check_inviter(const Invitation& invitation) const {
  const Result<Organization> place = s_.organizations.find(invitation.organization_id);
  if (place.code() == Code::kNotFound) return invitation_invalid();
  KVCS_TRY(place.status());
  // An organization that is to go lets nobody in, unless it is restored in time.
  if (place->deletion_ms != 0) return invitation_invalid();
  if (!place->active) {
    return forbidden("The organization is suspended.").with_reason("org_suspended");
  }
  const Result<Person> inviter = s_.people.find(invitation.invited_by);
  if (inviter.code() == Code::kNotFound) return invitation_invalid();
  KVCS_TRY(inviter.status());
  const Roster roster = KVCS_TRY(s_.members.roster(invitation.organization_id));
  const bool may_invite = inviter->active && roster.role_of(invitation.invited_by) >=
                                                 std::max(OrgRole::kAdmin, invitation.role);
  return may_invite ? ok() : invitation_invalid();
}

// Each attempt to join looks at the invitation again: its inviter may have lost the role meanwhile.
Result<Invitation> InvitationService::accept(const Secret& token, const Person& person,
                                             const AuditContext& who, const KvBatch& records) {
  const MutexLock lock(mutex_);
  const Invitation wanted = KVCS_TRY(find_by_token(token));
  // The address of an account that is made through the link is what the link was sent to.
  const bool is_proven = !records.empty() || !person.email_verified_by.empty();
  if (!wanted.email.empty() && (!is_proven || wanted.email != person.email)) {
    return forbidden("The invitation is for '" + printable(wanted.email, kShownName) +
                     "', which no provider has verified to be this account's address. Ask for one "
                     "that names no address.")
        .with_reason("invitation_for_another");
  }
  const auto spend = [&](KvBatch& batch) -> Status {
    close(batch, KVCS_TRY(find_by_token(token)), InvitationState::kUsed);
    batch.append(records);
    return ok();
  };
  KVCS_TRY(s_.members.add(wanted.organization_id, person.id, wanted.role, who, spend));
  return wanted;
}

}  // namespace kvcs::portal
