// Writes organization records. The slug has an entry of its own whose creation is the lock: who
// creates it first owns the name.
#include "identity/orgs.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/id.h"
#include "base/json.h"
#include "identity/names.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

// For slugs that are taken and for records that somebody else changes at the same time.
constexpr int kRaceAttemptsMax = 8;

Status no_such_organization(std::string_view id) {
  return not_found("No organization '" + printable(id, kShownName) + "'.")
      .with_reason("org_not_found");
}

// The job that deletes finds what is due by these, and reads no other organization.
void put_leaving(KvBatch& batch, const std::string& id, int64_t at_ms, const std::string& actor) {
  const std::string key = keyspace::leaving(id);
  if (at_ms == 0) return batch.remove(KvFamily::kSystem, key);
  batch.put(KvFamily::kSystem, key, dump_json(Json{{"at_ms", at_ms}, {"actor", actor}}));
}

constexpr std::string_view kSlugsFull = "slugs_full";

Status check_room_for(const Organization& organization, const std::string& slug) {
  if (has_slug(organization, slug) || organization.more_slugs.size() < kMoreSlugsMax) return ok();
  return conflict("An organization keeps " + std::to_string(kMoreSlugsMax) +
                  " slugs besides its first, and this one has as many; choose one of them.")
      .with_reason(kSlugsFull);
}

Status slug_taken(const std::string& slug) {
  return conflict("The slug '" + slug + "' is taken.").with_reason("slug_exists");
}

}  // namespace

std::string slug_from_name(std::string_view name) {
  std::string slug;
  for (const char c : lower_ascii(name)) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (word) {
      slug += c;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  if (slug.size() > 64) slug.resize(64);
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug;
}

OrganizationService::OrganizationService(const KvStore& kv, AuditedKv& audited, const Clock& clock,
                                         Entropy& entropy,
                                         std::function<bool(std::string_view slug)> is_reserved)
    : kv_(kv),
      audited_(audited),
      clock_(clock),
      entropy_(entropy),
      is_reserved_(std::move(is_reserved)) {}

Result<Organization> OrganizationService::check(Organization wanted) const {
  wanted.name = KVCS_TRY(normal_name(wanted.name));
  KVCS_TRY(check_slug(wanted.slug));
  return wanted;
}

Status OrganizationService::check_slug(const std::string& slug) const {
  if (!is_slug(slug)) {
    return invalid(
        "slug: '" + printable(slug, kShownName) +
        "' must be 1 to 64 of a-z, 0-9, '_', '.', '-' and begin with a letter or digit.");
  }
  if (is_reserved_(slug)) {
    return invalid("slug: '" + slug + "' is a word that the API's own paths use.")
        .with_reason("slug_reserved");
  }
  return ok();
}

Result<Organization> OrganizationService::create(Organization wanted, const AuditContext& who,
                                                 const Also& also) {
  return add(std::move(wanted), who, false, also);
}

Result<Organization> OrganizationService::create_for_tenant(Organization wanted,
                                                            const AuditContext& who) {
  return add(std::move(wanted), who, true, {});
}

Result<Organization> OrganizationService::add(Organization wanted, const AuditContext& who,
                                              bool for_tenant, const Also& also) {
  const bool slug_chosen = !wanted.slug.empty();
  if (!slug_chosen) wanted.slug = slug_from_name(wanted.name);
  if (wanted.id.empty()) wanted.id = make_uuid_v4(entropy_);
  if (!slug_chosen && wanted.slug.empty()) wanted.slug = wanted.id;
  wanted = KVCS_TRY(check(std::move(wanted)));
  wanted.created_ms = wanted.updated_ms = clock_.unix_ms();
  wanted.version = 1;
  // Room for "-" and six hex digits within the 64 bytes of a slug.
  const std::string base_slug = wanted.slug.substr(0, 56);
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    KvBatch batch;
    batch.put(KvFamily::kConfig, keyspace::org_slug(wanted.slug), wanted.id);
    batch.put(KvFamily::kConfig, keyspace::org_config(wanted.id), organization_to_json(wanted));
    if (also) also(wanted, batch);
    Status stored = for_tenant ? ok() : check_no_tenant(wanted.slug);
    if (stored.ok()) {
      stored = audited_.compare_and_swap(KvFamily::kConfig, keyspace::org_slug(wanted.slug),
                                         std::nullopt, batch, who);
    }
    if (stored.ok()) return wanted;
    if (stored.code() != Code::kConflict) return stored;
    if (slug_chosen && stored.reason() == "name_in_deletion") return stored;
    if (slug_chosen) break;
    // Two companies may share a name; the slug that we chose ourselves gets a tail.
    wanted.slug = base_slug + "-" + to_hex(entropy_.bytes(3));
  }
  return slug_taken(wanted.slug);
}

// Its tokens and accounts are somebody's already.
Status OrganizationService::check_no_tenant(const std::string& slug) const {
  Status tenant = kv_.get(KvFamily::kConfig, keyspace::tenant_config(slug)).status();
  if (tenant.code() == Code::kNotFound) return ok();
  if (!tenant.ok()) return tenant;
  return conflict("There is a tenant '" + slug + "'.");
}

Result<Organization> OrganizationService::find(std::string_view id) const {
  if (!is_uuid(id) && !is_slug(id)) return no_such_organization(id);
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::org_config(id));
  if (entry.code() == Code::kNotFound) return no_such_organization(id);
  if (!entry.ok()) return entry.status();
  return parse_organization(entry.value().value);
}

Result<Organization> OrganizationService::find_by_slug(std::string_view slug) const {
  if (!is_slug(slug)) return no_such_organization(slug);
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::org_slug(slug));
  if (entry.code() == Code::kNotFound) return no_such_organization(slug);
  if (!entry.ok()) return entry.status();
  return find(entry.value().value);
}

Result<Organization> OrganizationService::find_by_any_slug(std::string_view slug) const {
  if (!is_slug(slug)) return no_such_organization(slug);
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::org_slug(slug));
  if (entry.code() == Code::kNotFound) return no_such_organization(slug);
  if (!entry.ok()) return entry.status();
  const std::string_view alias = parse_slug_alias(entry->value);
  return find(alias.empty() ? std::string_view(entry->value) : alias);
}

// What the store has under a slug that is taken tells whose it is.
Status OrganizationService::claim(const Organization& organization, const std::string& slug,
                                  const AuditContext& who) {
  const std::string key = keyspace::org_slug(slug);
  const std::string ours = slug_alias(organization.id);
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
  if (entry.code() == Code::kNotFound) {
    if (const Status free = check_no_tenant(slug); !free.ok()) {
      return free.code() == Code::kConflict ? slug_taken(slug) : free;
    }
    KvBatch batch;
    batch.put(KvFamily::kConfig, key, ours);
    const Status stored =
        audited_.compare_and_swap(KvFamily::kConfig, key, std::nullopt, batch, who);
    if (stored.code() != Code::kConflict || stored.reason() == "name_in_deletion") return stored;
    entry = kv_.get(KvFamily::kConfig, key);
  }
  KVCS_TRY(entry.status());
  return entry->value == ours || entry->value == organization.id ? ok() : slug_taken(slug);
}

// The slug is taken first and shown then: a crash between the two leaves one more that is kept for
// the organization, and goes with it.
Result<Organization> OrganizationService::rename(std::string_view id, const std::string& slug,
                                                 const AuditContext& who) {
  const Organization present = KVCS_TRY(find(id));
  if (shown_slug(present) == slug) return present;
  KVCS_TRY(check_slug(slug));
  KVCS_TRY(check_room_for(present, slug));
  KVCS_TRY(claim(present, slug, who));
  const auto show = [&](Organization& organization) -> Status {
    KVCS_TRY(check_room_for(organization, slug));
    if (!has_slug(organization, slug)) organization.more_slugs.push_back(slug);
    organization.shown_slug = slug == organization.slug ? "" : slug;
    return ok();
  };
  Result<Organization> renamed = update(id, show, who);
  const bool is_left = renamed.code() == Code::kNotFound || renamed.status().reason() == kSlugsFull;
  if (is_left && slug != present.slug) {
    // Its deletion may have passed over the slug before it was there; and other renames at the same
    // time may have left no room for it.
    KvBatch batch;
    batch.remove(KvFamily::kConfig, keyspace::org_slug(slug));
    const Status released = audited_.compare_and_swap(KvFamily::kConfig, keyspace::org_slug(slug),
                                                      slug_alias(present.id), batch, who);
    if (!released.ok() && released.code() != Code::kConflict) return released;
  }
  return renamed;
}

Result<Organization> OrganizationService::plan_deletion(std::string_view id, int64_t at_ms,
                                                        const AuditContext& who) {
  const auto plan = [&](Organization& organization) -> Status {
    if (organization.deletion_ms != 0) return ok();
    organization.active_before = organization.active;
    organization.active = false;
    organization.deletion_ms = at_ms;
    return ok();
  };
  return update(id, plan, who);
}

Result<Organization> OrganizationService::withdraw_deletion(std::string_view id,
                                                            const AuditContext& who) {
  const auto withdraw = [&](Organization& organization) -> Status {
    if (organization.deletion_ms == 0) {
      return conflict("No deletion of this organization is planned.")
          .with_reason("deletion_not_planned");
    }
    organization.active = organization.active_before;
    organization.deletion_ms = 0;
    return ok();
  };
  return update(id, withdraw, who);
}

Result<std::vector<PlannedDeletion>> OrganizationService::list_planned() const {
  std::vector<PlannedDeletion> all;
  const auto add = [&](const KvItem& item) -> Status {
    const Json json = KVCS_TRY(parse_json(item.entry.value));
    JsonReader reader(json);
    PlannedDeletion planned;
    planned.organization_id = item.key.substr(keyspace::kLeavingPrefix.size());
    planned.at_ms = reader.integer("at_ms", 1, INT64_MAX);
    planned.actor = reader.string("actor", {.min_bytes = 0});
    KVCS_TRY(reader.finish());
    all.push_back(std::move(planned));
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kSystem, keyspace::kLeavingPrefix, add));
  return all;
}

Result<std::vector<std::string>> OrganizationService::find_reserved(
    const std::vector<std::string>& words) const {
  std::vector<std::string> found;
  for (const std::string& word : words) {
    const Status taken = kv_.get(KvFamily::kConfig, keyspace::org_slug(word)).status();
    if (taken.ok()) found.push_back(word);
    if (!taken.ok() && taken.code() != Code::kNotFound) return taken;
  }
  return found;
}

Result<Organization> OrganizationService::update(std::string_view id, const Edit& edit,
                                                 const AuditContext& who) {
  return update_with(
      id, [&edit](Organization& organization, KvBatch&) { return edit(organization); }, who);
}

Result<Organization> OrganizationService::update_with(std::string_view id, const EditMore& edit,
                                                      const AuditContext& who) {
  Status stored;
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    KVCS_TRY(find(id));
    const std::string name = keyspace::org_config(id);
    const std::string before = KVCS_TRY(kv_.get(KvFamily::kConfig, name)).value;
    const Organization old = KVCS_TRY(parse_organization(before));
    Organization changed = old;
    KvBatch batch;
    KVCS_TRY(edit(changed, batch));
    if (changed.name != old.name) changed.name = KVCS_TRY(normal_name(changed.name));
    // Members that an edit must not change are put back. The version grows with every write, so
    // that two writes never store the same text.
    changed.id = old.id;
    changed.slug = old.slug;
    changed.created_ms = old.created_ms;
    changed.updated_ms = clock_.unix_ms();
    changed.version = old.version + 1;
    if (changed.active) changed.deletion_ms = 0;
    if (changed.deletion_ms != old.deletion_ms) {
      put_leaving(batch, changed.id, changed.deletion_ms, who.actor);
    }
    batch.put(KvFamily::kConfig, name, organization_to_json(changed));
    stored = audited_.compare_and_swap(KvFamily::kConfig, name, before, batch, who);
    if (stored.ok()) return changed;
    if (stored.code() != Code::kConflict) return stored;
  }
  return stored;
}

Result<OrganizationPage> OrganizationService::list(const ListAsk& ask) const {
  OrganizationPage page;
  const auto step = [&](const KvItem& item) -> Result<Walked> {
    const std::string& id = item.entry.value;
    if (!parse_slug_alias(id).empty()) return Walked::kNoRow;  // Another slug of one listed once.
    const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::org_config(id));
    if (entry.code() == Code::kNotFound) return Walked::kNoRow;  // Removed since the scan.
    KVCS_TRY(entry.status());
    // Before the whole record is read, which takes longer.
    if (!ask.search.fits_members(entry->value, {"name", "slug", "shown_slug", "org_id"})) {
      return Walked::kPassed;
    }
    page.organizations.push_back(KVCS_TRY(parse_organization(entry->value)));
    return Walked::kTaken;
  };
  // Walked by slug: one short entry per organization, while org: also holds keys and tokens.
  page.cursor = KVCS_TRY(walk_list(kv_, KvFamily::kConfig, keyspace::org_slug(""), ask, step));
  return page;
}

}  // namespace kvcs
