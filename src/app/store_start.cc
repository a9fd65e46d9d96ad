// What a start asks of the stores beside their marks is cheap, single keys and rows, so that it
// takes no longer with a million of them.
#include "app/store_start.h"

#include "app/parts.h"
#include "app/store_look.h"
#include "app/usage_sums.h"
#include "artifacts/artifact_audit.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/damage.h"
#include "base/entropy.h"
#include "base/id.h"
#include "base/log.h"
#include "base/money.h"
#include "db/db.h"
#include "kv/keyspace.h"
#include "kv/kv.h"
#include "ledger/audit_head.h"

namespace kvcs {
namespace {

Result<bool> has_key(const KvStore& kv, std::string_view key) {
  return KVCS_TRY(find_entry(kv, KvFamily::kSystem, key)).has_value();
}

Result<std::optional<StoreMark>> mark_of(DbReaders& readers, const std::string& name) {
  std::optional<StoreMark> mark;
  KVCS_TRY(readers.run([&](Database& db) -> Status {
    auto found = read_mark(db, name);
    if (found.ok()) mark = *found;
    return std::move(found).status();
  }));
  return mark;
}

// In the order in which they are compared.
Status mark_all(Parts& parts, const StoreMark& next) {
  const std::string& dir = parts.config.data_dir;
  KVCS_TRY(write_directory_mark(dir, {next, false}));
  KVCS_TRY(write_mark(*parts.kv, next));
  const auto write = [&next](Database& db) { return write_mark(db, next); };
  KVCS_TRY(parts.ledger_writer->run(write));
  KVCS_TRY(parts.portal_writer->run(write));
  return write_directory_mark(dir, {next, true});
}

Status refuse(const Parts& parts, const std::string& what, const std::string& accept = "sql") {
  return conflict(what + ways_out(parts.config.data_dir, accept));
}

std::string rows_text(const ai::BudgetView::Rows& rows) {
  return std::to_string(rows.count) + " rows of $" + format_usd(rows.nano_usd);
}

Status check_usage(const Parts& parts) {
  std::optional<UsageMismatch> found;
  const auto look = [&](Database& db) -> Status {
    found = KVCS_TRY(find_usage_mismatch(*parts.kv, db, parts.clock().unix_ms()));
    return ok();
  };
  KVCS_TRY(parts.ledger_readers->run(look));
  if (!found) return ok();
  const std::string& dir = parts.config.data_dir;
  const std::string of = " of usage of the organization " + printable(found->organization_id) +
                         " in " + found->month + ": ";
  const std::string counted = "the key-value store has counted " + rows_text(found->counted);
  const std::string there = "ledger.db and the outbox have " + rows_text(found->found);
  return refuse(parts,
                (found->kv_lacks() ? "The key-value store " + dir + "/kv has lost charges"
                                   : "The database " + dir + "/sql/ledger.db has lost rows") +
                    of + counted + ", and " + there + ".",
                "generation");
}

Status check_kv_knows(const Parts& parts, const std::string& head) {
  std::optional<AuditRow> unknown;
  const auto look = [&](Database& db) -> Status {
    unknown = KVCS_TRY(find_audit_unknown_to(*parts.kv, db, head));
    return ok();
  };
  KVCS_TRY(parts.ledger_readers->run(look));
  if (!unknown) return ok();
  return refuse(parts,
                "The key-value store " + parts.config.data_dir +
                    "/kv is older than the databases: it does not know that " +
                    printable(unknown->key) + " was changed (" + printable(unknown->action) +
                    ") at " + format_iso8601_ms(unknown->ts_ms) + ".",
                "generation");
}

Status check_artifacts(const Parts& parts) {
  const Status known = parts.ledger_readers->run([&parts](Database& ledger) {
    return parts.portal_readers->run(
        [&ledger](Database& portal) { return check_artifact_audit(portal, ledger); });
  });
  if (known.code() != Code::kConflict) return known;
  return refuse(parts,
                "The database " + parts.config.data_dir + "/sql/portal.db " + known.message() + ".",
                "generation");
}

}  // namespace

Result<StoreStart> StoreStart::begin(Parts& parts) {
  const std::string& dir = parts.config.data_dir;
  StoreStart start;
  start.there_ = KVCS_TRY(look_for_stores(dir));
  start.directory_ = KVCS_TRY(read_directory_mark(dir));
  KVCS_TRY(check_stores_there(dir, start.there_, start.directory_));
  if (start.directory_ || start.there_.any()) return start;
  start.directory_ = DirectoryMark{{make_uuid_v4(*parts.entropy), 1, kDataFormat}, false};
  KVCS_TRY(write_directory_mark(dir, *start.directory_));
  return start;
}

// A directory of before has no marks. That it was in use is known from KV; only a first start that
// was cut off has no databases.
Status StoreStart::check_kv(Parts& parts) const {
  if (directory_ || there_.all()) return ok();
  if (!KVCS_TRY(has_key(*parts.kv, keyspace::kFirstStartDone))) return ok();
  const std::string name = there_.ledger ? "portal.db" : "ledger.db";
  return refuse(parts, "The database " + parts.config.data_dir + "/sql/" + name +
                           " is missing, and the key-value store beside it has been in use.");
}

Status StoreStart::check_sums(Parts& parts) const {
  const std::string sql = parts.config.data_dir + "/sql/";
  if (!directory_ && KVCS_TRY(has_key(*parts.kv, keyspace::kFirstStartDone))) {
    bool any = false;
    const auto look = [&any](Database& db) -> Status {
      auto one = KVCS_TRY(db.prepare("SELECT 1 FROM projects LIMIT 1"));
      any = KVCS_TRY(one.step());
      return ok();
    };
    KVCS_TRY(parts.portal_readers->run(look));
    if (!any) {
      return refuse(parts, "The database " + sql +
                               "portal.db has no project, and the key-value store knows of some.");
    }
  }
  KVCS_TRY(check_usage(parts));
  KVCS_TRY(check_artifacts(parts));
  const auto head = KVCS_TRY(find_entry(*parts.kv, KvFamily::kSystem, keyspace::kAuditHead));
  if (!head) return ok();
  const Status known = parts.ledger_readers->run(
      [&head](Database& db) { return check_audit_head(db, head->value); });
  if (known.code() == Code::kConflict) {
    return refuse(parts, "The database " + sql + "ledger.db " + known.message() + ".");
  }
  KVCS_TRY(known);
  return check_kv_knows(parts, head->value);
}

Status StoreStart::finish(Parts& parts) {
  const std::string& dir = parts.config.data_dir;
  FoundMarks found{directory_, KVCS_TRY(read_mark(*parts.kv, dir + "/kv")),
                   KVCS_TRY(mark_of(*parts.ledger_readers, dir + "/sql/ledger.db")),
                   KVCS_TRY(mark_of(*parts.portal_readers, dir + "/sql/portal.db"))};
  const StoreMark next = KVCS_TRY(check_marks(dir, found, *parts.entropy));
  KVCS_TRY(check_sums(parts));
  if (const Status marked = mark_all(parts, next); !marked.ok()) {
    // A disk that takes no writes is no reason not to serve what is there. The next start goes on
    // where this one was cut off.
    if (!found.kv) return marked;
    log::warn("stores.not_marked", {{"data_dir", dir}, {"error", marked.to_string()}});
    return ok();
  }
  if (!directory_) log::info("stores.marked", {{"data_dir", dir}, {"store_id", next.store_id}});
  return ok();
}

}  // namespace kvcs
