// The records of deletions, their beginning and their end. Handlers and the job bring them on; of
// two that meet one goes on.
#include "app/owner_deletion.h"

#include <nlohmann/json.hpp>

#include "app/parts.h"
#include "app/planned_deletion.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/call/response_cache.h"
#include "gateway/gateway.h"
#include "identity/projects.h"
#include "identity/records.h"
#include "identity/users.h"
#include "kv/owned.h"
#include "ledger/alerts.h"

namespace kvcs {

using keyspace::Owner;

namespace {

Status in_deletion(std::string_view name) {
  return conflict("'" + printable(name, kShownName) +
                  "' is being deleted already; wait for the end of that.")
      .with_reason("name_in_deletion");
}

}  // namespace

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

Result<std::optional<DeletionRecord>> OwnerDeletions::read(Owner kind, std::string_view id) const {
  // Tenants of imports have capitals: whatever begin() was let have is found again.
  if (!gateway::is_id_part(id)) return std::optional<DeletionRecord>();
  const Result<KvEntry> entry = parts_.kv->get(KvFamily::kSystem, keyspace::deletion(kind, id));
  if (entry.code() == Code::kNotFound) return std::optional<DeletionRecord>();
  if (!entry.ok()) return entry.status();
  DeletionRecord record = KVCS_TRY(DeletionRecord::parse(entry.value().value));
  if (!record.part_of.empty()) return std::optional<DeletionRecord>();
  return std::optional<DeletionRecord>(std::move(record));
}

Result<std::optional<OwnerRef>> OwnerDeletions::find(Owner kind, std::string_view id) const {
  const auto record = KVCS_TRY(read(kind, id));
  return record && !record->asked ? std::optional<OwnerRef>(record->owner)
                                  : std::optional<OwnerRef>();
}

Result<std::vector<DeletionRecord>> OwnerDeletions::list() const {
  std::vector<DeletionRecord> all;
  const std::string of_people = keyspace::deletion(Owner::kPerson, "");
  const auto visit = [&](const KvItem& item) -> Status {
    if (item.key.starts_with(of_people)) return ok();  // PersonService ends them.
    Result<DeletionRecord> record = DeletionRecord::parse(item.entry.value);
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

// The batch that begins the deletion; a user's address, which goes too, stands in the record.
Result<DeletionBegin> OwnerDeletions::first_batch(const DeletionRecord& record) const {
  std::optional<User> user;
  if (record.owner.kind == Owner::kUser) user = KVCS_TRY(parts_.users->find(record.owner.id));
  return deletion_begin(record, user);
}

Status OwnerDeletions::begin(const OwnerRef& owner, const AuditContext& who,
                             const HoldingsCheck& check) {
  DeletionRecord record;
  record.owner = owner;
  record.who = who;
  record.began_ms = parts_.clock().unix_ms();
  if (check) {
    const Turn turn(*this, record.key());
    if (!turn.taken()) return in_deletion(owner.id);
    KVCS_TRY(ask(record, check));
  } else {
    const DeletionBegin first = KVCS_TRY(first_batch(record));
    KVCS_TRY(put_up(first, record, who));
  }
  log::info("deletion.begun", {{"owner", record.key()}, {"actor", who.actor}});
  return take_from_sight(record);
}

// A compare-and-swap over the organization's own record, which says what is planned. Nobody else
// begins one meanwhile: whoever asks for what it holds has the turn, and who does not takes that
// record away.
Status OwnerDeletions::begin_planned(const OwnerRef& owner, int64_t at_ms,
                                     const AuditContext& who) {
  DeletionRecord record;
  record.owner = owner;
  record.who = who;
  record.began_ms = parts_.clock().unix_ms();
  const Turn turn(*this, record.key());
  if (!turn.taken()) return in_deletion(owner.id);
  KVCS_TRY(check_not_begun(owner.kind, owner.id));
  const Status changed =
      conflict("The organization's deletion was taken back.").with_reason("deletion_not_planned");
  const std::string key = keyspace::org_config(owner.id);
  const Result<KvEntry> entry = parts_.kv->get(KvFamily::kConfig, key);
  if (entry.code() == Code::kNotFound) return in_deletion(owner.id);
  KVCS_TRY(entry.status());
  if (KVCS_TRY(parse_organization(entry->value)).deletion_ms != at_ms) return changed;
  const DeletionBegin first = KVCS_TRY(first_batch(record));
  const Status put =
      parts_.audited->compare_and_swap(KvFamily::kConfig, key, entry->value, first.batch, who);
  if (put.code() == Code::kConflict) return changed;  // The job looks again if it was not that.
  KVCS_TRY(Status(put));
  log::info("deletion.begun", {{"owner", record.key()}, {"actor", who.actor}});
  return take_from_sight(record);
}

Status OwnerDeletions::put_up(const DeletionBegin& begin, const DeletionRecord& record,
                              const AuditContext& who) const {
  const Status put = parts_.audited->compare_and_swap(KvFamily::kSystem, begin.lock, std::nullopt,
                                                      begin.batch, who);
  if (put.code() != Code::kConflict) return put;
  const OwnerRef& owner = record.owner;
  return in_deletion(owner.kind == Owner::kOrganization && !owner.slug.empty() ? owner.slug
                                                                               : owner.id);
}

// The tombstones keep out what is new, while the owner's own record stays: then what it holds is
// counted, and only when that may go is the deletion begun. Until then the audit has another source
// for them, by which a repair knows that nothing is to go on.
Status OwnerDeletions::ask(DeletionRecord record, const HoldingsCheck& check) const {
  record.asked = true;
  AuditContext asking = record.who;
  asking.source = kDeletionAsked;
  KVCS_TRY(put_up(tombstones(record), record, asking));
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
    DeletionRecord begun = record;
    begun.asked = false;
    const Result<DeletionBegin> first = first_batch(begun);
    refused = first.ok() ? parts_.audited->write(first->batch, record.who) : first.status();
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

Status OwnerDeletions::withdraw(const DeletionRecord& record) const {
  const OwnerRef& owner = record.owner;
  if (owner.kind == Owner::kProject) {
    KVCS_TRY(parts_.projects->withdraw_removal(owner.organization_id, owner.id, nullptr));
  }
  return remove_tombstones(record);
}

Status OwnerDeletions::remove_tombstones(const DeletionRecord& record) const {
  KvBatch batch;
  batch.remove(KvFamily::kSystem, record.key());
  if (record.owner.kind == Owner::kOrganization && !record.owner.slug.empty()) {
    batch.remove(KvFamily::kSystem, keyspace::deletion(Owner::kTenant, record.owner.slug));
  }
  return parts_.audited->write(batch, record.who);
}

// What the first batch does not reach: rows of SQL, and answers in memory.
Status OwnerDeletions::take_from_sight(const DeletionRecord& record) const {
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
  std::optional<DeletionRecord> record = KVCS_TRY(read(owner.kind, owner.id));
  if (!record) return true;  // Another thread has ended it.
  if (record->asked) {       // Whoever asked is gone.
    KVCS_TRY(withdraw(*record));
    return true;
  }
  // After the deletion was written down, so that what stays is paid for still; before the walk,
  // which takes the record that says what to end.
  if (owner.kind == Owner::kOrganization && parts_.before_organization_goes) {
    KVCS_TRY(parts_.before_organization_goes(owner.id));
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

Status OwnerDeletions::end(const DeletionRecord& record) {
  KVCS_TRY(take_from_sight(record));
  KVCS_TRY(remove_tombstones(record));
  log::info("deletion.ended", {{"owner", record.key()},
                               {"removed", record.removed},
                               {"ms", parts_.clock().unix_ms() - record.began_ms}});
  return ok();
}

// A mark in portal.db whose deletion no record tells of is what a key-value store has left that
// lost its last writes. Of an organization that is back the project is back too: what was not lost
// yet is not deleted on the word of a mark. Of one that is gone it goes.
Status OwnerDeletions::settle_mark(const Project& project) {
  for (const auto& [kind, id] : {std::pair{Owner::kProject, project.id},
                                 std::pair{Owner::kOrganization, project.organization_id}}) {
    if (KVCS_TRY(read(kind, id))) return ok();
  }
  const AuditContext who{"kvcs", "deletion", ""};
  const Status organization =
      parts_.kv->get(KvFamily::kConfig, keyspace::org_config(project.organization_id)).status();
  if (organization.code() == Code::kNotFound) {
    DeletionRecord record;
    record.owner = {Owner::kProject, project.id, project.organization_id, ""};
    record.who = who;
    record.began_ms = parts_.clock().unix_ms();
    log::warn("deletion.found", {{"owner", record.key()}});
    return parts_.audited->write(deletion_begin(record, {}).batch, who);
  }
  KVCS_TRY(Status(organization));
  KVCS_TRY(parts_.projects->withdraw_removal(project.organization_id, project.id, &who));
  const std::string message =
      "The project " + printable(project.slug, kShownName) + " (" + project.id +
      ") was being deleted, and the key-value store has lost that it was: it is there again. "
      "Delete it again if it is to go.";
  log::error("deletion.taken_back", {{"project", project.id}, {"message", message}});
  raise_alert(*parts_.kv, {"deletion.taken_back", project.id, message}, parts_.clock(),
              *parts_.entropy);
  return ok();
}

Status OwnerDeletions::settle_marks() {
  std::vector<Project> page = KVCS_TRY(parts_.projects->list_marked(""));
  while (!page.empty()) {
    for (const Project& project : page) KVCS_TRY(settle_mark(project));
    page = KVCS_TRY(parts_.projects->list_marked(page.back().id));
  }
  return ok();
}

// A record that a repair has put back may lack the organization, which portal.db knows.
Status OwnerDeletions::complete(DeletionRecord& record) const {
  OwnerRef& owner = record.owner;
  if (owner.kind != Owner::kProject || !owner.organization_id.empty()) return ok();
  owner.organization_id = KVCS_TRY(parts_.projects->organization_of(owner.id));
  if (owner.organization_id.empty()) return ok();
  KvBatch batch;
  batch.put(KvFamily::kSystem, record.key(), record.to_json());
  return parts_.kv->write(batch, KvDurability::kSynced);
}

// A store that takes no writes is no reason not to serve what is there: the job tries again.
int64_t OwnerDeletions::resume() {
  if (const Status settled = settle_marks(); !settled.ok()) {
    log::warn("deletion.resume_failed", {{"error", settled.to_string()}});
  }
  Result<std::vector<DeletionRecord>> all = list();
  if (!all.ok()) log::warn("deletion.resume_failed", {{"error", all.status().to_string()}});
  if (!all.ok()) return 0;
  for (DeletionRecord& record : all.value()) {
    Status hidden = record.asked ? withdraw(record) : complete(record);
    if (hidden.ok() && !record.asked) hidden = take_from_sight(record);
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
  Status failed = parts_.planned_deletions->begin_due();
  for (const DeletionRecord& record : KVCS_TRY(list())) {
    const Result<bool> gone = go_on(record.owner, cancelled);
    if (!gone.ok()) failed = gone.status();
    ++(gone.ok() && gone.value() ? ended : left);
  }
  if (!failed.ok()) return failed;
  if (ended == 0 && left == 0) return std::string();
  return dump_json(Json{{"ended", ended}, {"under_way", left}});
}

}  // namespace kvcs
