// Who belongs to an organization, and as what. All members of an organization stand in one record,
// org:{org_id}:members, so that a rule over them, such as that one owner stays who is not
// suspended, is a compare-and-swap. An entry beside it, person:{person_id}:org:{org_id}, lists a
// person's organizations; it grants nothing. Every change is audited. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/principal.h"
#include "base/status.h"
#include "kv/audited_kv.h"

namespace kvcs {

inline constexpr size_t kMembersPerOrganizationMax = 1000;
inline constexpr size_t kOrganizationsPerPersonMax = 200;

struct Member {
  std::string person_id;
  OrgRole role = OrgRole::kNone;
  int64_t since_ms = 0;
  std::string given_by;  // The provider of sign-ins whose claims gave it; "": people did.
};

// Of one organization, in order of joining.
struct Roster {
  std::vector<Member> members;

  OrgRole role_of(std::string_view person_id) const;  // kNone for who is no member.
};

std::string roster_to_json(const Roster& roster);
Result<Roster> parse_roster(std::string_view json);  // Internal when the record is damaged.

std::string_view org_role_name(OrgRole role);
Result<OrgRole> parse_org_role(std::string_view name);

inline constexpr size_t kOwnOrganizationsMax = 20;  // That one person may own.

// How many members an organization may have, by its plan; negative: no limit.
using MembersMax = std::function<Result<int64_t>(std::string_view organization_id)>;

class MemberService final {
 public:
  // All outlive it.
  MemberService(const KvStore& kv, AuditedKv& audited, const Clock& clock,
                MembersMax members_max = {});

  // Empty when the organization has no members, or is not there.
  Result<Roster> roster(std::string_view organization_id) const;
  // Ids, in order of id; those that are gone may stand among them.
  Result<std::vector<std::string>> organizations_of(std::string_view person_id) const;
  // Those whose member the person is, in order of joining.
  Result<std::vector<std::string>> organizations_by_joining(std::string_view person_id) const;

  // Looks whether the person may still join, and adds what is written with the member; asked again
  // when another member came between. Its failure is returned and nothing is written.
  using Join = std::function<Status(KvBatch& batch)>;
  // Conflict with reason member_exists, members_full or organizations_full; Forbidden with reason
  // quota_exceeded; NotFound when there is no such organization or person. The first member, who is
  // its owner, is never too many.
  Status add(std::string_view organization_id, std::string_view person_id, OrgRole role,
             const AuditContext& who, const Join& join = {}, std::string_view given_by = {});
  // Puts the first member, its owner, into the batch that makes an organization.
  void add_first(KvBatch& batch, std::string_view organization_id,
                 std::string_view person_id) const;
  // Whether the member, who has this role now, may be changed; asked again when another change came
  // between. Its failure is returned and nothing is written.
  using Allowed = std::function<Status(OrgRole present)>;
  // NotFound with reason member_not_found; Conflict with reason last_owner, or organizations_full
  // as transfer().
  Result<Member> set_role(std::string_view organization_id, std::string_view person_id,
                          OrgRole role, const AuditContext& who, const Allowed& allowed);
  Status remove(std::string_view organization_id, std::string_view person_id,
                const AuditContext& who, const Allowed& allowed);
  // Whether nobody would be left who can sign in and let others in, did this member leave.
  Result<bool> is_last_owner(const Roster& roster, std::string_view person_id) const;
  // Runs what makes the person an owner of one more, one after the other: many at once would all
  // find room. Conflict with reason organizations_full.
  Status own_one_more(std::string_view person_id, const std::function<Status()>& make);
  // Whether so many may come to those who are there; Forbidden with reason quota_exceeded.
  Status check_room(std::string_view organization_id, size_t more) const;
  // `from`, who is an owner, becomes an admin, and `to`, who is a member, an owner: both or
  // neither, so that of two transfers at once one is refused. Forbidden with reason
  // insufficient_role when `from` is no owner any more; NotFound with reason member_not_found.
  // Conflict with reason organizations_full when `to` owns kOwnOrganizationsMax.
  Result<Member> transfer(std::string_view organization_id, std::string_view from,
                          std::string_view to, const AuditContext& who);
  // The role that a provider's claims give: kNone takes back what the same provider gave. A role
  // that people gave stays as it is, and so does the last owner's. Otherwise as add().
  Status set_given(std::string_view organization_id, std::string_view person_id,
                   std::string_view provider, OrgRole role, const AuditContext& who);

 private:
  // Reads the roster, lets `edit` change it, and writes it with what `edit` put into the batch,
  // until nobody came between.
  using Edit = std::function<Status(Roster& roster, KvBatch& batch)>;
  Status change(std::string_view organization_id, const Edit& edit, const AuditContext& who);
  Status check_owner_stays(const Roster& roster, const Member& leaving) const;
  Status check_owned(std::string_view person_id) const;  // Under owning_.
  // change() that may make somebody an owner.
  Status change_owners(std::string_view organization_id, const Edit& edit, const AuditContext& who);

  const KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  const MembersMax members_max_;
  // Held over the reads and the write of the store by what makes an owner.
  Mutex owning_;
};

}  // namespace kvcs
