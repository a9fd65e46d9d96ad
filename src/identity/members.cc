// Writes rosters of organizations, each by compare-and-swap on the whole record.
#include "identity/members.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/json.h"
#include "base/quota.h"
#include "identity/people.h"
#include "identity/records.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr int kRaceAttemptsMax = 16;

Status no_such_member(std::string_view person_id) {
  return not_found("No member '" + printable(person_id, kShownName) + "' in this organization.")
      .with_reason("member_not_found");
}

Result<Member*> find_member(Roster& roster, std::string_view person_id) {
  for (Member& member : roster.members) {
    if (member.person_id == person_id) return &member;
  }
  return no_such_member(person_id);
}

Status check_members(size_t used, size_t more, int64_t max) {
  if (max < 0 || used + more <= static_cast<uint64_t>(max)) return ok();
  return over_quota("members",
                    "Member quota exceeded: the organization has " + std::to_string(used) + " of " +
                        counted(max, "member") + ", and " + std::to_string(more) +
                        " more would come. Take somebody out, withdraw an invitation, or have "
                        "the plan changed.",
                    used, more, static_cast<uint64_t>(max));
}

}  // namespace

OrgRole Roster::role_of(std::string_view person_id) const {
  for (const Member& member : members) {
    if (member.person_id == person_id) return member.role;
  }
  return OrgRole::kNone;
}

std::string_view org_role_name(OrgRole role) {
  switch (role) {
    case OrgRole::kViewer:
      return "viewer";
    case OrgRole::kMember:
      return "member";
    case OrgRole::kAdmin:
      return "admin";
    case OrgRole::kOwner:
      return "owner";
    case OrgRole::kNone:
      break;
  }
  return "none";
}

Result<OrgRole> parse_org_role(std::string_view name) {
  for (const OrgRole role :
       {OrgRole::kViewer, OrgRole::kMember, OrgRole::kAdmin, OrgRole::kOwner}) {
    if (org_role_name(role) == name) return role;
  }
  return invalid("role: '" + printable(name, kShownName) +
                 "' is none of owner, admin, member, viewer.");
}

std::string roster_to_json(const Roster& roster) {
  Json members = Json::array();
  for (const Member& member : roster.members) {
    Json json{{"person_id", member.person_id},
              {"role", org_role_name(member.role)},
              {"since", time_json(member.since_ms)}};
    if (!member.given_by.empty()) json["given_by"] = member.given_by;
    members.push_back(std::move(json));
  }
  return dump_json(Json{{"members", std::move(members)}});
}

Result<Roster> parse_roster(std::string_view text) {
  const auto damaged = [](std::string_view why) {
    return internal("damaged record of an organization's members: " + std::string(why));
  };
  const Result<Json> json = parse_json(text);
  if (!json.ok()) return damaged(json.status().message());
  const auto list = json->find("members");
  if (list == json->end() || !list->is_array()) return damaged("no list of members");
  Roster roster;
  for (const Json& item : *list) {
    Member member;
    member.person_id = text_member(item, "person_id");
    const Result<OrgRole> role = parse_org_role(text_member(item, "role"));
    const Result<int64_t> since = parse_iso8601_ms(text_member(item, "since"));
    if (member.person_id.empty() || !role.ok() || !since.ok()) return damaged("a member");
    member.role = role.value();
    member.since_ms = since.value();
    member.given_by = text_member(item, "given_by");
    roster.members.push_back(std::move(member));
  }
  return roster;
}

MemberService::MemberService(const KvStore& kv, AuditedKv& audited, const Clock& clock,
                             MembersMax members_max)
    : kv_(kv), audited_(audited), clock_(clock), members_max_(std::move(members_max)) {}

Result<Roster> MemberService::roster(std::string_view organization_id) const {
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::org_members(organization_id));
  if (entry.code() == Code::kNotFound) return Roster{};
  if (!entry.ok()) return entry.status();
  return parse_roster(entry.value().value);
}

Result<std::vector<std::string>> MemberService::organizations_of(std::string_view person_id) const {
  const std::string prefix = keyspace::person_org_prefix(person_id);
  std::vector<std::string> ids;
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, prefix, [&](const KvItem& item) -> Status {
    ids.push_back(item.key.substr(prefix.size()));
    return ok();
  }));
  return ids;
}

Result<std::vector<std::string>> MemberService::organizations_by_joining(
    std::string_view person_id) const {
  std::vector<std::pair<int64_t, std::string>> joined;
  for (std::string& id : KVCS_TRY(organizations_of(person_id))) {
    for (const Member& member : KVCS_TRY(roster(id)).members) {
      if (member.person_id == person_id) joined.emplace_back(member.since_ms, id);
    }
  }
  std::sort(joined.begin(), joined.end());
  std::vector<std::string> ids;
  for (auto& [since_ms, id] : joined) ids.push_back(std::move(id));
  return ids;
}

Status MemberService::change(std::string_view organization_id, const Edit& edit,
                             const AuditContext& who) {
  const std::string key = keyspace::org_members(organization_id);
  Status stored;
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    std::optional<std::string> before;
    Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
    if (!entry.ok() && entry.code() != Code::kNotFound) return entry.status();
    if (entry.ok()) before = std::move(entry->value);
    Roster roster = before ? KVCS_TRY(parse_roster(*before)) : Roster{};
    KvBatch batch;
    KVCS_TRY(edit(roster, batch));
    batch.put(KvFamily::kConfig, key, roster_to_json(roster));
    stored = audited_.compare_and_swap(KvFamily::kConfig, key, before, batch, who);
    // A reason says that it is not the swap that failed.
    if (stored.code() != Code::kConflict || !stored.reason().empty()) return stored;
  }
  return stored;
}

Result<bool> MemberService::is_last_owner(const Roster& roster, std::string_view person_id) const {
  if (roster.role_of(person_id) != OrgRole::kOwner) return false;
  for (const Member& member : roster.members) {
    if (member.role != OrgRole::kOwner || member.person_id == person_id) continue;
    const Result<KvEntry> entry =
        kv_.get(KvFamily::kConfig, keyspace::person_profile(member.person_id));
    if (entry.code() == Code::kNotFound) continue;
    KVCS_TRY(entry.status());
    const Result<Person> person = parse_person(entry->value);
    if (person.ok() && person->active) return false;
  }
  return true;
}

Status MemberService::own_one_more(std::string_view person_id,
                                   const std::function<Status()>& make) {
  const MutexLock lock(owning_);
  KVCS_TRY(check_owned(person_id));
  return make();
}

Status MemberService::change_owners(std::string_view organization_id, const Edit& edit,
                                    const AuditContext& who) {
  const MutexLock lock(owning_);
  return change(organization_id, edit, who);
}

Status MemberService::check_owned(std::string_view person_id) const {
  size_t owned = 0;
  for (const std::string& id : KVCS_TRY(organizations_of(person_id))) {
    const Roster at = KVCS_TRY(roster(id));
    if (at.role_of(person_id) == OrgRole::kOwner) owned++;
  }
  if (owned < kOwnOrganizationsMax) return ok();
  return conflict("A person may own " + std::to_string(kOwnOrganizationsMax) + " organizations.")
      .with_reason("organizations_full");
}

// Before the member loses ownership.
Status MemberService::check_owner_stays(const Roster& roster, const Member& leaving) const {
  if (!KVCS_TRY(is_last_owner(roster, leaving.person_id))) return ok();
  return conflict("The organization's last owner stays. Make somebody else an owner first.")
      .with_reason("last_owner");
}

void MemberService::add_first(KvBatch& batch, std::string_view organization_id,
                              std::string_view person_id) const {
  Roster roster;
  roster.members.push_back({std::string(person_id), OrgRole::kOwner, clock_.unix_ms(), {}});
  batch.put(KvFamily::kConfig, keyspace::org_members(organization_id), roster_to_json(roster));
  batch.put(KvFamily::kConfig, keyspace::person_org(person_id, organization_id), "{}");
}

Status MemberService::add(std::string_view organization_id, std::string_view person_id,
                          OrgRole role, const AuditContext& who, const Join& join,
                          std::string_view given_by) {
  const size_t joined = KVCS_TRY(organizations_of(person_id)).size();
  const int64_t max = members_max_ ? KVCS_TRY(members_max_(organization_id)) : kNoLimit;
  const auto edit = [&](Roster& roster, KvBatch& batch) -> Status {
    if (roster.role_of(person_id) != OrgRole::kNone) {
      return conflict("This person is a member of the organization already.")
          .with_reason("member_exists");
    }
    if (joined >= kOrganizationsPerPersonMax) {
      return conflict("A person may be in " + std::to_string(kOrganizationsPerPersonMax) +
                      " organizations.")
          .with_reason("organizations_full");
    }
    // What the configuration gives is the operators' to give.
    if (role == OrgRole::kOwner && given_by.empty()) KVCS_TRY(check_owned(person_id));
    if (roster.members.size() >= kMembersPerOrganizationMax) {
      return conflict("An organization may have " + std::to_string(kMembersPerOrganizationMax) +
                      " members.")
          .with_reason("members_full");
    }
    if (!roster.members.empty()) KVCS_TRY(check_members(roster.members.size(), 1, max));
    roster.members.push_back(
        {std::string(person_id), role, clock_.unix_ms(), std::string(given_by)});
    batch.put(KvFamily::kConfig, keyspace::person_org(person_id, organization_id), "{}");
    return join ? join(batch) : ok();
  };
  return role == OrgRole::kOwner ? change_owners(organization_id, edit, who)
                                 : change(organization_id, edit, who);
}

Status MemberService::check_room(std::string_view organization_id, size_t more) const {
  const int64_t max = members_max_ ? KVCS_TRY(members_max_(organization_id)) : kNoLimit;
  if (max < 0) return ok();
  return check_members(KVCS_TRY(roster(organization_id)).members.size(), more, max);
}

Result<Member> MemberService::set_role(std::string_view organization_id, std::string_view person_id,
                                       OrgRole role, const AuditContext& who,
                                       const Allowed& allowed) {
  Member changed;
  const auto edit = [&](Roster& roster, KvBatch&) -> Status {
    Member* const member = KVCS_TRY(find_member(roster, person_id));
    KVCS_TRY(allowed(member->role));
    if (role == OrgRole::kOwner && member->role != role) KVCS_TRY(check_owned(person_id));
    if (role != OrgRole::kOwner) KVCS_TRY(check_owner_stays(roster, *member));
    member->role = role;
    member->given_by.clear();
    changed = *member;
    return ok();
  };
  KVCS_TRY(role == OrgRole::kOwner ? change_owners(organization_id, edit, who)
                                   : change(organization_id, edit, who));
  return changed;
}

Result<Member> MemberService::transfer(std::string_view organization_id, std::string_view from,
                                       std::string_view to, const AuditContext& who) {
  if (from == to) return invalid("person_id: is your own; name whom the organization goes to.");
  Member owner;
  const auto edit = [&](Roster& roster, KvBatch&) -> Status {
    Member* const heir = KVCS_TRY(find_member(roster, to));
    Member* const giver = KVCS_TRY(find_member(roster, from));
    if (giver->role != OrgRole::kOwner) {
      return forbidden("Only an owner gives the organization to somebody else.")
          .with_reason("insufficient_role");
    }
    if (heir->role != OrgRole::kOwner) KVCS_TRY(check_owned(to));
    heir->role = OrgRole::kOwner;
    // The heir may be suspended, and could let nobody in.
    KVCS_TRY(check_owner_stays(roster, *giver));
    giver->role = OrgRole::kAdmin;
    giver->given_by.clear();
    heir->given_by.clear();
    owner = *heir;
    return ok();
  };
  KVCS_TRY(change_owners(organization_id, edit, who));
  return owner;
}

Status MemberService::remove(std::string_view organization_id, std::string_view person_id,
                             const AuditContext& who, const Allowed& allowed) {
  const auto edit = [&](Roster& roster, KvBatch& batch) -> Status {
    const Member leaving = *KVCS_TRY(find_member(roster, person_id));
    KVCS_TRY(allowed(leaving.role));
    KVCS_TRY(check_owner_stays(roster, leaving));
    std::erase_if(roster.members,
                  [&](const Member& member) { return member.person_id == person_id; });
    batch.remove(KvFamily::kConfig, keyspace::person_org(person_id, organization_id));
    return ok();
  };
  return change(organization_id, edit, who);
}

Status MemberService::set_given(std::string_view organization_id, std::string_view person_id,
                                std::string_view provider, OrgRole role, const AuditContext& who) {
  Status added;
  if (role != OrgRole::kNone) added = add(organization_id, person_id, role, who, {}, provider);
  if (role != OrgRole::kNone && added.reason() != "member_exists") return added;
  const Roster present = KVCS_TRY(roster(organization_id));
  // Also the last owner's role; a store that cannot tell that is a failure, and no rule.
  const auto is_unchanged = [&](const Roster& now) -> Result<bool> {
    const auto member = std::find_if(now.members.begin(), now.members.end(),
                                     [&](const Member& m) { return m.person_id == person_id; });
    if (member == now.members.end() || member->given_by != provider || member->role == role) {
      return true;
    }
    return is_last_owner(now, person_id);
  };
  if (KVCS_TRY(is_unchanged(present))) return ok();
  const auto edit = [&](Roster& roster, KvBatch& batch) -> Status {
    if (KVCS_TRY(is_unchanged(roster))) return ok();
    Member* const member = KVCS_TRY(find_member(roster, person_id));
    member->role = role;
    if (role != OrgRole::kNone) return ok();
    std::erase_if(roster.members, [&](const Member& m) { return m.person_id == person_id; });
    batch.remove(KvFamily::kConfig, keyspace::person_org(person_id, organization_id));
    return ok();
  };
  return change(organization_id, edit, who);
}

}  // namespace kvcs
