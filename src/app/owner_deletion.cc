// The records of deletions, their beginning and their end. Handlers and the job bring them on; of
// two that meet one goes on.
#include "app/owner_deletion.h"

#include <nlohmann/json.hpp>

#include "app/parts.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/call/response_cache.h"
#include "gateway/gateway.h"
#include "identity/projects.h"
#include "identity/users.h"
#include "kv/owned.h"

namespace kvcs {

using keyspace::Owner;

namespace {

Status in_deletion(std::string_view name) {
  return conflict("'" + printable(name, kShownName) +
                  "' is being deleted already; wait for the end of that.")
      .with_reason("name_in_deletion");
}

}  // namespace

// As stored. The tombstone of an organization's tenant names the organization and is no deletion of
// its own.
struct OwnerDeletions::Record {
  OwnerRef owner;
  AuditContext who;
  int64_t began_ms = 0, removed = 0;
  std::string part_of;
  bool asked = false;  // Whether it may begin is being looked at; nothing has gone.

  std::string key() const { return keyspace::deletion(owner.kind, owner.id); }
  std::string to_json() const {
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
  static Result<Record> parse(const std::string& text) {
    const Json json = KVCS_TRY(parse_json(text));
    Record record;
    for (const Owner kind : {Owner::kOrganization, Owner::kProject, Owner::kUser, Owner::kTenant}) {
      if (text_member(json, "kind") == keyspace::owner_name(kind)) record.owner.kind = kind;
    }
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
};

// The right to work at one deletion; nobody else has it while this lives.
class OwnerDeletions::Turn final {
 public:
  Turn(OwnerDeletions& all, std::string key) : all_(all), key_(std::move(key)) {
    MutexLock lock(all_.mutex_);
    taken_ = all_.running_.insert(key_).second;
  }
  ~Turn() {
    if (!taken_) return;
    MutexLock lock(all_.mutex_);
    all_.running_.erase(key_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool taken() const { return taken_; }

 private:
  OwnerDeletions& all_;
  const std::string key_;
  bool taken_ = false;
};

Result<std::optional<OwnerDeletions::Record>> OwnerDeletions::read(Owner kind,
                                                                   std::string_view id) const {
  // Tenants of imports have capitals: whatever begin() was let have is found again.
  if (!gateway::is_id_part(id)) return std::optional<Record>();
  const Result<KvEntry> entry = parts_.kv->get(KvFamily::kSystem, keyspace::deletion(kind, id));
  if (entry.code() == Code::kNotFound) return std::optional<Record>();
  if (!entry.ok()) return entry.status();
  Record record = KVCS_TRY(Record::parse(entry.value().value));
  if (!record.part_of.empty()) return std::optional<Record>();
  return std::optional<Record>(std::move(record));
}

Result<std::optional<OwnerRef>> OwnerDeletions::find(Owner kind, std::string_view id) const {
  const auto record = KVCS_TRY(read(kind, id));
  return record && !record->asked ? std::optional<OwnerRef>(record->owner)
                                  : std::optional<OwnerRef>();
}

Result<std::vector<OwnerDeletions::Record>> OwnerDeletions::list() const {
  std::vector<Record> all;
  const auto visit = [&](const KvItem& item) -> Status {
    Result<Record> record = Record::parse(item.entry.value);
    if (!record.ok()) {
      log::error("deletion.damaged", {{"key", item.key}});
    } else if (record.value().part_of.empty()) {
      all.push_back(std::move(record).value());
    }
    return ok();
  };
  KVCS_TRY(kv_for_each(*parts_.kv, KvFamily::kSystem, keyspace::kDeletionPrefix, visit));
  return all;
}

Result<OwnerHoldings> OwnerDeletions::count(const OwnerRef& owner) const {
  return OwnerWalk(parts_, owner, {}, [] { return false; }).count();
}

Status OwnerDeletions::check_not_begun(Owner kind, std::string_view id) const {
  const Status begun = parts_.kv->get(KvFamily::kSystem, keyspace::deletion(kind, id)).status();
  if (begun.ok()) return in_deletion(id);
  return begun.code() == Code::kNotFound ? ok() : begun;
}

// `lock` is the one of the names that a second deletion would want too.
KvBatch OwnerDeletions::tombstones(const Record& record, std::string& lock) const {
  KvBatch batch;
  lock = record.key();
  batch.put(KvFamily::kSystem, lock, record.to_json());
  if (record.owner.kind == Owner::kOrganization && !record.owner.slug.empty()) {
    Record part = record;
    part.owner = {Owner::kTenant, record.owner.slug, record.owner.id, ""};
    part.part_of = record.owner.id;
    lock = part.key();
    batch.put(KvFamily::kSystem, lock, part.to_json());
  }
  return batch;
}

Status OwnerDeletions::add_root_removals(const Record& record, KvBatch& batch) const {
  const OwnerRef& owner = record.owner;
  if (owner.kind == Owner::kOrganization) {
    batch.remove(KvFamily::kConfig, keyspace::org_config(owner.id));
    if (!owner.slug.empty()) {
      batch.remove(KvFamily::kConfig, keyspace::org_slug(owner.slug));
      batch.remove(KvFamily::kConfig, keyspace::tenant_config(owner.slug));
    }
  } else if (owner.kind == Owner::kTenant) {
    batch.remove(KvFamily::kConfig, keyspace::tenant_config(owner.id));
  } else if (owner.kind == Owner::kUser) {
    const User user = KVCS_TRY(parts_.users->find(owner.id));
    batch.remove(KvFamily::kConfig, keyspace::user_config(user.id));
    batch.remove(KvFamily::kConfig, keyspace::user_email(user.organization_id, user.email));
  }
  return ok();
}

Status OwnerDeletions::begin(const OwnerRef& owner, const AuditContext& who,
                             const HoldingsCheck& check) {
  Record record;
  record.owner = owner;
  record.who = who;
  record.began_ms = parts_.clock().unix_ms();
  if (check) {
    const Turn turn(*this, record.key());
    if (!turn.taken()) return in_deletion(owner.id);
    KVCS_TRY(ask(record, check));
  } else {
    std::string lock;
    KvBatch batch = tombstones(record, lock);
    KVCS_TRY(add_root_removals(record, batch));
    KVCS_TRY(put_up(batch, lock, record));
  }
  log::info("deletion.begun", {{"owner", record.key()}, {"actor", who.actor}});
  return take_from_sight(record);
}

Status OwnerDeletions::put_up(const KvBatch& batch, const std::string& lock,
                              const Record& record) const {
  const Status put =
      parts_.audited->compare_and_swap(KvFamily::kSystem, lock, std::nullopt, batch, record.who);
  if (put.code() != Code::kConflict) return put;
  const OwnerRef& owner = record.owner;
  return in_deletion(owner.kind == Owner::kOrganization && !owner.slug.empty() ? owner.slug
                                                                               : owner.id);
}

// The tombstones keep out what is new, while the owner's own record stays: then what it holds is
// counted, and only when that may go is the deletion begun.
Status OwnerDeletions::ask(Record record, const HoldingsCheck& check) const {
  record.asked = true;
  std::string lock;
  KVCS_TRY(put_up(tombstones(record, lock), lock, record));
  const auto look = [&]() -> Status {
    const OwnerRef& owner = record.owner;
    if (owner.kind == Owner::kProject) {
      KVCS_TRY(parts_.projects->begin_removal(owner.organization_id, owner.id));
    } else {
      KVCS_TRY(parts_.projects->wait_for_changes());
    }
    const OwnerHoldings holdings = KVCS_TRY(count(owner));
    return check(holdings);
  };
  Status refused = look();
  if (refused.ok()) {
    Record begun = record;
    begun.asked = false;
    KvBatch batch = tombstones(begun, lock);
    refused = add_root_removals(begun, batch);
    if (refused.ok()) refused = parts_.audited->write(batch, record.who);
    if (refused.ok()) return ok();
  }
  // What cannot be withdrawn now, the job does.
  const Status withdrawn = withdraw(record);
  if (!withdrawn.ok()) {
    log::warn("deletion.not_withdrawn",
              {{"owner", record.key()}, {"error", withdrawn.to_string()}});
  }
  return refused;
}

Status OwnerDeletions::withdraw(const Record& record) const {
  const OwnerRef& owner = record.owner;
  if (owner.kind == Owner::kProject) {
    KVCS_TRY(parts_.projects->withdraw_removal(owner.organization_id, owner.id));
  }
  return remove_tombstones(record);
}

Status OwnerDeletions::remove_tombstones(const Record& record) const {
  KvBatch batch;
  batch.remove(KvFamily::kSystem, record.key());
  if (record.owner.kind == Owner::kOrganization && !record.owner.slug.empty()) {
    batch.remove(KvFamily::kSystem, keyspace::deletion(Owner::kTenant, record.owner.slug));
  }
  return parts_.audited->write(batch, record.who);
}

// What the first batch does not reach: rows of SQL, and answers in memory.
Status OwnerDeletions::take_from_sight(const Record& record) const {
  const OwnerRef& owner = record.owner;
  if (owner.kind == Owner::kOrganization) {
    KVCS_TRY(parts_.projects->begin_removal(owner.id, ""));
  } else if (owner.kind == Owner::kProject) {
    KVCS_TRY(parts_.projects->begin_removal(owner.organization_id, owner.id));
  }
  const std::string& tenant = owner.kind == Owner::kTenant ? owner.id : owner.slug;
  if (!tenant.empty()) parts_.gateway.cache->purge(tenant, "", "");
  return ok();
}

Result<bool> OwnerDeletions::go_on(const OwnerRef& owner, const std::function<bool()>& cancelled) {
  const Turn turn(*this, keyspace::deletion(owner.kind, owner.id));
  if (!turn.taken()) return false;
  std::optional<Record> record = KVCS_TRY(read(owner.kind, owner.id));
  if (!record) return true;  // Another thread has ended it.
  if (record->asked) {       // Whoever asked is gone.
    KVCS_TRY(withdraw(*record));
    return true;
  }
  OwnerWalk walk(parts_, record->owner, record->who,
                 [&] { return stopping_.load() || cancelled(); });
  // The second pass finds what came while the first one went; more are needed only where a request
  // of the owner was under way.
  constexpr int kPassesMax = 10;
  for (int pass = 0; pass < kPassesMax; pass++) {
    const Result<OwnerHoldings> removed = walk.remove();
    if (removed.status().reason() == "deletion_goes_on") return false;
    KVCS_TRY(removed.status());
    if (removed.value().nothing()) {
      KVCS_TRY(end(*record));
      return true;
    }
    record->removed += removed.value().records + removed.value().artifacts;
    KvBatch progress;
    progress.put(KvFamily::kSystem, record->key(), record->to_json());
    KVCS_TRY(parts_.kv->write(progress, KvDurability::kBuffered));
  }
  return false;
}

Status OwnerDeletions::end(const Record& record) {
  KVCS_TRY(take_from_sight(record));
  KVCS_TRY(remove_tombstones(record));
  log::info("deletion.ended", {{"owner", record.key()},
                               {"removed", record.removed},
                               {"ms", parts_.clock().unix_ms() - record.began_ms}});
  return ok();
}

// A store that takes no writes is no reason not to serve what is there: the job tries again.
int64_t OwnerDeletions::resume() {
  const Result<std::vector<Record>> all = list();
  if (!all.ok()) log::warn("deletion.resume_failed", {{"error", all.status().to_string()}});
  if (!all.ok()) return 0;
  for (const Record& record : all.value()) {
    Status hidden = record.asked ? withdraw(record) : take_from_sight(record);
    if (hidden.ok() && !record.asked) {
      hidden = OwnerWalk(parts_, record.owner, record.who, [] { return false; }).remove_keys();
    }
    if (!hidden.ok()) {
      log::warn("deletion.resume_failed", {{"owner", record.key()}, {"error", hidden.to_string()}});
    }
  }
  return static_cast<int64_t>(all.value().size());
}

Result<std::string> OwnerDeletions::run(const std::function<bool()>& cancelled) {
  int64_t ended = 0, left = 0;
  Status failed;
  for (const Record& record : KVCS_TRY(list())) {
    const Result<bool> gone = go_on(record.owner, cancelled);
    if (!gone.ok()) failed = gone.status();
    ++(gone.ok() && gone.value() ? ended : left);
  }
  if (!failed.ok()) return failed;
  if (ended == 0 && left == 0) return std::string();
  return dump_json(Json{{"ended", ended}, {"under_way", left}});
}

}  // namespace kvcs
