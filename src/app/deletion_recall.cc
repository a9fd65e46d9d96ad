// Finds the deletions in the audit and puts their records back. Organizations come first: their
// tenants and users are parts of theirs.
#include "app/deletion_recall.h"

#include <optional>
#include <set>

#include "app/deletion_record.h"
#include "app/store_look.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "identity/records.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

using keyspace::Owner;

constexpr size_t kNamesMax = 20;  // Of deletions that are named one by one.

// The owner whose own record has that key.
std::optional<DeletionOwner> root_of(KvFamily family, std::string_view key) {
  if (family != KvFamily::kConfig) return {};
  if (const auto id = keyspace::parse_org_config(key)) {
    return DeletionOwner{Owner::kOrganization, std::string(*id)};
  }
  if (const auto id = keyspace::parse_user_config(key))
    return DeletionOwner{Owner::kUser, std::string(*id)};
  if (!key.starts_with(keyspace::kTenantConfigPrefix)) return {};
  return DeletionOwner{Owner::kTenant,
                       std::string(key.substr(keyspace::kTenantConfigPrefix.size()))};
}

class Recall final {
 public:
  Recall(const KvStore& kv, const KvStore* behind, AuditedKv& audited, const LastAudit& last,
         const AuditContext& who)
      : kv_(kv), behind_(behind), audited_(audited), last_(last), who_(who) {}

  Result<RecalledDeletions> run() {
    KVCS_TRY(find_roots());
    // Owner::kOrganization is the first of the kinds.
    for (const auto& [root, row] : roots_) KVCS_TRY(recall(root, *row));
    std::vector<std::string>& told = found_.told;
    if (told.size() > kNamesMax) {
      const size_t more = told.size() - kNamesMax;
      told.resize(kNamesMax);
      told.push_back("And so do " + std::to_string(more) + " more.");
    }
    return std::move(found_);
  }

 private:
  Status find_roots() {
    for (const auto& [place, row] : last_) {
      const auto& [family, key] = place;
      const bool is_begun = row.action != "delete" && row.source != kDeletionAsked;
      if (family == KvFamily::kSystem && is_begun) {
        const auto open = parse_deletion_key(key);
        if (open) roots_[{open->kind, open->id}] = &row;
      }
      const auto root = root_of(family, key);
      if (root && row.action == "delete" && KVCS_TRY(find_entry(kv_, family, key))) {
        roots_.try_emplace(*root, &row);
      }
    }
    return ok();
  }

  // The record as it was, where the lost part still has it.
  Result<std::optional<DeletionRecord>> read(const DeletionOwner& root) const {
    const std::string key = keyspace::deletion(root.kind, root.id);
    for (const KvStore* store : {&kv_, behind_}) {
      if (store == nullptr) continue;
      const auto text = find_entry(*store, KvFamily::kSystem, key);
      if (!text.ok() && store == &kv_) return text.status();
      if (!text.ok() || !*text) continue;  // Unreadable behind the damage is not there.
      if (auto record = DeletionRecord::parse((*text)->value); record.ok()) {
        return std::optional(std::move(record).value());
      }
    }
    return std::optional<DeletionRecord>();
  }

  Status recall(const DeletionOwner& root, const AuditRow& row) {
    const std::string key = keyspace::deletion(root.kind, root.id);
    if (KVCS_TRY(find_entry(kv_, KvFamily::kSystem, key))) return note(root, row);
    if (root.kind == Owner::kTenant && KVCS_TRY(is_of_another(root.id, row))) return ok();
    DeletionRecord record;
    std::optional<User> user;
    if (auto known = KVCS_TRY(read(root))) {
      record = std::move(*known);
    } else {
      record.owner = {root.kind, root.id, "", ""};
      record.who = {row.actor, "deletion", row.request_id};
      record.began_ms = row.ts_ms;
    }
    if (root.kind == Owner::kUser) {
      user = KVCS_TRY(find_user(root.id));
      if (user && gone_.contains(user->organization_id)) return ok();
    }
    KVCS_TRY(complete(record.owner, user));
    const DeletionBegin begin = deletion_begin(record, user);
    KVCS_TRY(audited_.write(begin.batch, who_));
    found_.keys.insert(begin.lock);
    return note(root, row);
  }

  Status note(const DeletionOwner& root, const AuditRow& row) {
    if (root.kind == Owner::kOrganization) gone_.insert(root.id);
    found_.keys.insert(keyspace::deletion(root.kind, root.id));
    const auto record = KVCS_TRY(read(root));
    if (!record || !record->part_of.empty()) return ok();
    const std::string name = record->owner.slug.empty() ? root.id : record->owner.slug;
    found_.told.push_back("The deletion of the " + std::string(keyspace::owner_name(root.kind)) +
                          " " + printable(name) + ", which " + printable(row.actor) +
                          " began before " + format_iso8601_ms(row.ts_ms) +
                          ", goes on with the next start.");
    return ok();
  }

  // What the record needs beside the id, as far as a store knows it.
  Status complete(OwnerRef& owner, const std::optional<User>& user) const {
    if (owner.kind == Owner::kOrganization) {
      owner.organization_id = owner.id;
      // A name that another has by now is no part of this deletion.
      if (owner.slug.empty()) owner.slug = KVCS_TRY(slug_of(owner.id));
      if (!owner.slug.empty() && KVCS_TRY(holder_of(owner.slug)) != owner.id) owner.slug.clear();
    } else if (owner.kind == Owner::kTenant && owner.organization_id.empty()) {
      const auto holder =
          KVCS_TRY(find_entry(kv_, KvFamily::kConfig, keyspace::org_slug(owner.id)));
      owner.organization_id = holder ? holder->value : "";
    } else if (user) {
      owner.organization_id = user->organization_id;
    }
    return ok();
  }

  Result<std::string> slug_of(const std::string& organization) const {
    const auto text =
        KVCS_TRY(find_entry(kv_, KvFamily::kConfig, keyspace::org_config(organization)));
    if (text) {
      const auto record = parse_organization(text->value);
      if (record.ok()) return record->slug;
    }
    // The index of names had its id.
    const std::string hash = sha256_hex(organization);
    for (const auto& [place, row] : last_) {
      if (place.first != KvFamily::kConfig) continue;
      if (!place.second.starts_with(keyspace::kOrgSlugPrefix)) continue;
      if (row.old_hash == hash || row.new_hash == hash) {
        return place.second.substr(keyspace::kOrgSlugPrefix.size());
      }
    }
    return std::string();
  }

  // Whose the name is, or was when it was freed last; the id of an organization.
  Result<std::string> holder_of(const std::string& slug) const {
    const std::string key = keyspace::org_slug(slug);
    if (auto now = KVCS_TRY(find_entry(kv_, KvFamily::kConfig, key))) return std::move(now->value);
    const auto row = last_.find({KvFamily::kConfig, key});
    for (const auto& [root, ignored] : roots_) {
      if (root.kind != Owner::kOrganization || row == last_.end()) continue;
      if (row->second.action == "delete" && row->second.old_hash == sha256_hex(root.id)) {
        return root.id;
      }
    }
    return std::string();
  }

  // Whether the name went with an organization and belongs to another one now.
  Result<bool> is_of_another(const std::string& tenant, const AuditRow& row) const {
    const auto holder = KVCS_TRY(find_entry(kv_, KvFamily::kConfig, keyspace::org_slug(tenant)));
    if (!holder || row.request_id.empty()) return false;
    for (const auto& [root, began] : roots_) {
      if (root.kind != Owner::kOrganization || root.id == holder->value) continue;
      if (began->request_id == row.request_id) return true;
    }
    return false;
  }

  Result<std::optional<User>> find_user(const std::string& id) const {
    const auto text = KVCS_TRY(find_entry(kv_, KvFamily::kConfig, keyspace::user_config(id)));
    if (!text) return std::optional<User>();
    auto user = parse_user(text->value);
    if (!user.ok()) return std::optional<User>();
    return std::optional(std::move(user).value());
  }

  const KvStore& kv_;
  const KvStore* const behind_;
  AuditedKv& audited_;
  const LastAudit& last_;
  const AuditContext& who_;
  std::map<DeletionOwner, const AuditRow*> roots_;
  std::set<std::string> gone_;  // Organizations.
  RecalledDeletions found_;
};

}  // namespace

Result<RecalledDeletions> recall_deletions(const KvStore& kv, const KvStore* behind,
                                           AuditedKv& audited, const LastAudit& last,
                                           const AuditContext& who) {
  return Recall(kv, behind, audited, last, who).run();
}

}  // namespace kvcs
