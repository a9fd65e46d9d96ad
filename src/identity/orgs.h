// Organizations: create, change, rename, suspend, list; app/owner_deletion.h deletes them. One
// record each, unique by slug (a compare-and-swap on org_slug:{slug}). The first slug is for good:
// a rename changes what is shown, and the slugs before stay the organization's. Every change is
// audited. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/entropy.h"
#include "identity/records.h"
#include "kv/audited_kv.h"
#include "kv/list_walk.h"

namespace kvcs {

// The cursor is "" on the last page.
struct OrganizationPage {
  std::vector<Organization> organizations;
  std::string cursor;
};

// What is planned for an organization that its owner gives up.
struct PlannedDeletion {
  std::string organization_id;
  int64_t at_ms = 0;
  std::string actor;
};

class OrganizationService final {
 public:
  // `is_reserved`: words that a path already uses where a slug would stand.
  OrganizationService(const KvStore& kv, AuditedKv& audited, const Clock& clock, Entropy& entropy,
                      std::function<bool(std::string_view slug)> is_reserved);

  // Fills in id (when empty), times and version; slug "" is made from the name. Invalid: slug or
  // name out of shape, reserved slug. Conflict with reason slug_exists, also where there is a
  // tenant of that name, which would be the organization's from then on; or name_in_deletion.
  // `also` adds what comes with the organization, such as its first member; it may run more than
  // once.
  using Also = std::function<void(const Organization& organization, KvBatch& batch)>;
  Result<Organization> create(Organization wanted, const AuditContext& who, const Also& also = {});
  // The same, for a tenant that is there or about to be.
  Result<Organization> create_for_tenant(Organization wanted, const AuditContext& who);
  Result<Organization> find(std::string_view id) const;            // NotFound, reason org_not_found
  Result<Organization> find_by_slug(std::string_view slug) const;  // By the first one.
  // By any that it has or had.
  Result<Organization> find_by_any_slug(std::string_view slug) const;
  // `edit` may change anything but id, slug and times; it may run more than once. Its failure is
  // returned and nothing is written. To make it active takes a planned deletion back.
  using Edit = std::function<Status(Organization& organization)>;
  Result<Organization> update(std::string_view id, const Edit& edit, const AuditContext& who);
  // The same with more that is written, or not, together with it: whoever changes both in this way
  // has the organization's record as the lock of the other.
  using EditMore = std::function<Status(Organization& organization, KvBatch& batch)>;
  Result<Organization> update_with(std::string_view id, const EditMore& edit,
                                   const AuditContext& who);
  // Shows the organization under another slug from now on. Invalid as create(); Conflict with
  // reason slug_exists (another organization has it, or had it, or there is a tenant of that name),
  // slugs_full, or name_in_deletion.
  Result<Organization> rename(std::string_view id, const std::string& slug,
                              const AuditContext& who);
  // Suspends it from now on, until it is to be deleted at `at_ms`; of one whose end is planned
  // already that stays as it is.
  Result<Organization> plan_deletion(std::string_view id, int64_t at_ms, const AuditContext& who);
  // It is as before. Conflict with reason deletion_not_planned.
  Result<Organization> withdraw_deletion(std::string_view id, const AuditContext& who);
  Result<std::vector<PlannedDeletion>> list_planned() const;
  // Slugs in use that are words of the API's own paths by now, as a release may make them.
  Result<std::vector<std::string>> find_reserved(const std::vector<std::string>& words) const;
  // In order of slug; the page's cursor is "" at the end. A search looks at name, slugs and id.
  Result<OrganizationPage> list(const ListAsk& ask) const;

 private:
  Result<Organization> add(Organization wanted, const AuditContext& who, bool for_tenant,
                           const Also& also);
  Status check_no_tenant(const std::string& slug) const;
  Status check_slug(const std::string& slug) const;
  // The slug is the organization's when this returns.
  Status claim(const Organization& organization, const std::string& slug, const AuditContext& who);
  // Invalid unless name and slug fit; else the same.
  Result<Organization> check(Organization wanted) const;

  const KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  Entropy& entropy_;
  const std::function<bool(std::string_view slug)> is_reserved_;
};

// "My Company, Inc." → "my-company-inc"; "" when nothing is left.
std::string slug_from_name(std::string_view name);

}  // namespace kvcs
