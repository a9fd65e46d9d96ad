// Writes and reads records of deletions, and puts the first batch of a deletion together.
#include "app/deletion_record.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace kvcs {

using keyspace::Owner;

namespace {

// An organization, project, user or tenant by its name; kNobody for any other word.
Owner owner_of_name(std::string_view name) {
  for (const Owner kind : {Owner::kOrganization, Owner::kProject, Owner::kUser, Owner::kTenant}) {
    if (name == keyspace::owner_name(kind)) return kind;
  }
  return Owner::kNobody;
}

}  // namespace

std::optional<DeletionOwner> parse_deletion_key(std::string_view key) {
  if (!key.starts_with(keyspace::kDeletionPrefix)) return {};
  key.remove_prefix(keyspace::kDeletionPrefix.size());
  const size_t colon = key.find(':');
  if (colon == std::string_view::npos) return {};
  const DeletionOwner owner{owner_of_name(key.substr(0, colon)),
                            std::string(key.substr(colon + 1))};
  if (owner.kind == Owner::kNobody || owner.id.empty()) return {};
  return owner;
}

std::string DeletionRecord::key() const {
  return keyspace::deletion(owner.kind, owner.id);
}

std::string DeletionRecord::to_json() const {
  return dump_json(Json{{"kind", keyspace::owner_name(owner.kind)},
                        {"id", owner.id},
                        {"org_id", owner.organization_id},
                        {"slug", owner.slug},
                        {"actor", who.actor},
                        {"request_id", who.request_id},
                        {"began_ms", began_ms},
                        {"removed", removed},
                        {"part_of", part_of},
                        {"asked", asked}});
}

Result<DeletionRecord> DeletionRecord::parse(const std::string& text) {
  const Json json = KVCS_TRY(parse_json(text));
  DeletionRecord record;
  record.owner.kind = owner_of_name(text_member(json, "kind"));
  record.owner.id = text_member(json, "id");
  record.owner.organization_id = text_member(json, "org_id");
  record.owner.slug = text_member(json, "slug");
  record.who = {text_member(json, "actor"), "deletion", text_member(json, "request_id")};
  record.part_of = text_member(json, "part_of");
  const auto asked = json.find("asked");
  record.asked = asked != json.end() && *asked == true;
  JsonReader reader(json);
  record.began_ms = reader.optional_integer("began_ms", 0, INT64_MAX).value_or(0);
  record.removed = reader.optional_integer("removed", 0, INT64_MAX).value_or(0);
  if (record.owner.kind == Owner::kNobody || record.owner.id.empty()) {
    return internal("damaged record of a deletion");
  }
  return record;
}

DeletionBegin tombstones(const DeletionRecord& record) {
  const OwnerRef& owner = record.owner;
  DeletionBegin begin;
  begin.lock = record.key();
  begin.batch.put(KvFamily::kSystem, begin.lock, record.to_json());
  if (owner.kind == Owner::kOrganization && !owner.slug.empty()) {
    DeletionRecord part = record;
    part.owner = {Owner::kTenant, owner.slug, owner.id, ""};
    part.part_of = owner.id;
    begin.lock = part.key();
    begin.batch.put(KvFamily::kSystem, begin.lock, part.to_json());
  }
  return begin;
}

DeletionBegin deletion_begin(const DeletionRecord& record, const std::optional<User>& user) {
  const OwnerRef& owner = record.owner;
  DeletionBegin begin = tombstones(record);
  const bool is_organization = owner.kind == Owner::kOrganization;
  const std::string tenant = is_organization ? owner.slug : owner.id;
  if (is_organization) begin.batch.remove(KvFamily::kConfig, keyspace::org_config(owner.id));
  if (is_organization && !tenant.empty()) {
    begin.batch.remove(KvFamily::kConfig, keyspace::org_slug(tenant));
  }
  if (!tenant.empty() && (is_organization || owner.kind == Owner::kTenant)) {
    begin.batch.remove(KvFamily::kConfig, keyspace::tenant_config(tenant));
  }
  if (user) {
    begin.batch.remove(KvFamily::kConfig, keyspace::user_config(user->id));
    begin.batch.remove(KvFamily::kConfig, keyspace::user_email(user->organization_id, user->email));
  }
  return begin;
}

}  // namespace kvcs
