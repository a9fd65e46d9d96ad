// Builds what everything else stands on: the locked data directory, keys and clocks, the stores and
// the client for other servers. Runs on the thread that creates App.
#include <algorithm>

#include "app/blob_mark.h"
#include "app/build.h"
#include "app/clock_file.h"
#include "app/files.h"
#include "app/master_key.h"
#include "app/parts.h"
#include "app/store_look.h"
#include "app/store_marks.h"
#include "app/store_metrics.h"
#include "app/store_start.h"
#include "app/wal_syncer.h"
#include "artifacts/schema.h"
#include "base/build_info.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/damage.h"
#include "base/entropy.h"
#include "base/kept_clock.h"
#include "base/log_gatherer.h"
#include "base/store_damage.h"
#include "blob/blob.h"
#include "blob/presign.h"
#include "db/db.h"
#include "http/client/upstream.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"
#include "ledger/ledger.h"
#include "ledger/ledger_api.h"
#include "ledger/retention.h"
#include "ledger/schema.h"
#include "ops/metrics.h"
#include "ops/rate_limit.h"

namespace kvcs {
namespace {

// A wrong master key must stop the start, not turn up at the first use of a sealed secret.
Status check_master_key(Parts& parts) {
  const Result<KvEntry> entry = parts.kv->get(KvFamily::kSystem, keyspace::kMasterKeyCheck);
  if (entry.code() == Code::kNotFound) {
    KvBatch batch;
    batch.put(KvFamily::kSystem, std::string(keyspace::kMasterKeyCheck),
              parts.sealer->seal("kvcs", keyspace::kMasterKeyCheck));
    return parts.kv->write(batch, KvDurability::kSynced);
  }
  if (!entry.ok()) return entry.status();
  if (parts.sealer->open(entry.value().value, keyspace::kMasterKeyCheck).ok()) return ok();
  return invalid(
      "The master key does not fit this data directory: what it holds was sealed under another. "
      "Restore that key (KVCS_MASTER_KEY, or master.key in the data directory).");
}

// The lock comes before anything in the directory is opened or made: a second daemon must not even
// write a master key.
Status build_ground(Parts& parts) {
  const std::string& dir = parts.config.data_dir;
  parts.log_gatherer = std::make_unique<log::Gatherer>();
  parts.entropy = make_system_entropy();
  KVCS_TRY(make_private_directory(dir));
  parts.lock = std::make_unique<DataDirLock>(KVCS_TRY(DataDirLock::acquire(dir)));
  parts.kept_clock = open_kept_clock(dir, parts.clock());
  parts.sealer =
      std::make_unique<Sealer>(KVCS_TRY(load_master_keys(dir, parts.config.secrets.master_key,
                                                         credentials_directory(), *parts.entropy)),
                               *parts.entropy);
  parts.metrics = std::make_unique<Metrics>();
  parts.rates = std::make_unique<RateLimiter>(parts.clock());
  return ok();
}

Status build_kv(Parts& parts) {
  const Config& config = parts.config;
  KvConfig kv = config.kv;
  kv.path = config.data_dir + "/kv";
  kv.reserve_path = config.data_dir + "/reserve";
  // Each layer wraps the one before: engine, faults (in tests), timer, listeners. Everybody else
  // writes through the outermost, or, for what must be audited, through `audited` on top of it.
  parts.kv_engine = KVCS_TRY(open_rocks_kv(kv, parts.kept_clock->steady()));
  if (parts.options.kv_faults) {
    parts.kv_faulty = make_faulty_kv(*parts.kv_engine, parts.options.kv_faults);
  }
  KvStore& base = parts.kv_faulty ? *parts.kv_faulty : *parts.kv_engine;
  parts.kv_timed = make_timed_kv(base, parts.clock(), kv_timer(*parts.metrics));
  parts.kv = make_watched_kv(*parts.kv_timed);
  parts.audited =
      std::make_unique<AuditedKv>(*parts.kv, parts.clock(), *parts.entropy, OwnerRule::kRequired);
  parts.syncer = std::make_unique<WalSyncer>(*parts.kv, *parts.kv, config.kv_sync_interval_ms);
  return check_master_key(parts);
}

// A database is one writing connection with a thread and a pool of reading ones, on the same file.
struct OpenedDatabase {
  std::unique_ptr<DbWriter> writer;
  std::unique_ptr<DbReaders> readers;
};
// Both databases bear the marks of the directory, so that only their tables tell them apart.
Status check_not_exchanged(const Parts& parts, const std::string& name, Database& db) {
  const std::string other = name == "portal" ? "ledger" : "portal";
  const char* table = name == "portal" ? "kv_audit" : "projects";
  auto found =
      KVCS_TRY(db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"));
  if (!KVCS_TRY(found.bind(1, table).step())) return ok();
  const std::string folder = parts.config.data_dir + "/sql/";
  return conflict("The database " + folder + name + ".db has the tables of " + other +
                  ".db: the two were exchanged. Rename both, with their -wal and -shm, and start "
                  "again; nothing was changed.");
}

Result<OpenedDatabase> open_database(const Parts& parts, const std::string& name,
                                     const std::vector<Migration>& migrations) {
  const std::string path = parts.config.data_dir + "/sql/" + name + ".db";
  std::unique_ptr<Database> db = KVCS_TRY(open_sqlite(path));
  KVCS_TRY(check_not_exchanged(parts, name, *db));
  // Before anybody reads, and on the connection that will write.
  KVCS_TRY(migrate(*db, migrations));
  OpenedDatabase opened;
  opened.writer =
      std::make_unique<DbWriter>(std::move(db), (name + "-writer").c_str(),
                                 static_cast<size_t>(parts.config.db.writer_queue_max),
                                 db_timer(*parts.metrics, parts.clock(), name, "commit"));
  opened.readers = KVCS_TRY(
      DbReaders::open(sqlite_readers(path), static_cast<size_t>(parts.config.db.readers_max),
                      db_timer(*parts.metrics, parts.clock(), name, "query")));
  return opened;
}

Status build_sql(Parts& parts) {
  KVCS_TRY(make_private_directory(parts.config.data_dir + "/sql"));
  OpenedDatabase portal = KVCS_TRY(open_database(parts, "portal", portal_migrations()));
  parts.portal_writer = std::move(portal.writer);
  parts.portal_readers = std::move(portal.readers);
  // Searches wait for one another, and for nobody else's look at a row: half as many more.
  parts.portal_searchers =
      KVCS_TRY(DbReaders::open(sqlite_readers(parts.config.data_dir + "/sql/portal.db"),
                               static_cast<size_t>(parts.config.db.readers_max) / 2,
                               db_timer(*parts.metrics, parts.clock(), "portal", "query")));
  OpenedDatabase ledger = KVCS_TRY(open_database(parts, "ledger", ledger_migrations()));
  parts.ledger_writer = std::move(ledger.writer);
  parts.ledger_readers = std::move(ledger.readers);
  parts.ledger =
      std::make_unique<Ledger>(*parts.kv, *parts.ledger_writer, *parts.ledger_readers,
                               parts.clock(), static_cast<size_t>(parts.config.ledger.queue_max));
  const LedgerConfig& limits = parts.config.ledger;
  parts.ledger->set_row_caps(row_caps(limits));
  parts.ledger->set_dead_caps(limits.dead_max_rows, limits.dead_max_bytes);
  parts.ledger_api = std::make_unique<LedgerApi>(*parts.ledger, *parts.audited, parts.clock());
  return ok();
}

Status build_blobs_and_upstream(Parts& parts) {
  const Config& config = parts.config;
  BlobConfig blobs = config.blobs;
  if (blobs.path.empty()) blobs.path = config.data_dir + "/blobs";
  KVCS_TRY(make_private_directory(blobs.path));
  KVCS_TRY(parts.lock->also_lock_blobs(blobs.path));
  if (const auto mark = KVCS_TRY(read_directory_mark(config.data_dir))) {
    KVCS_TRY(claim_blobs(config.data_dir, blobs.path, mark->mark.store_id));
  }
  parts.staged_damage = std::make_unique<StoreDamage>(StoreDamage::Store{
      "What was uploaded in part, in \"" + blobs.path + "/staged\",", "upload.damaged",
      "upload_damaged",
      " Each upload goes on from what is there. Look at the disk, and at who else writes there; a "
      "restart takes this notice away."});
  parts.blob_files = KVCS_TRY(open_file_blobs(blobs, parts.staged_damage.get()));
  parts.blobs = make_timed_blobs(*parts.blob_files, parts.clock(), blob_timer(*parts.metrics));
  // Uploads that died with the last process.
  KVCS_TRY(parts.blobs->remove_stale_temps());
  parts.presigner =
      std::make_unique<Presigner>(parts.sealer->derive(kUrlSigning), parts.kept_clock->latest());
  parts.presigner->set_keys(parts.sealer->derive_all(kUrlSigning));
  http::UpstreamConfig upstream = config.upstream;
  // What the door has let in, no host refuses: shares are the door's.
  const http::ServerConfig& server = config.http.server;
  upstream.connections_per_host_max =
      std::max(upstream.connections_per_host_max, server.streams_max + server.streams_reserved);
  upstream.user_agent = std::string("kvcs/") + version();
  parts.upstream = http::make_http_upstream(upstream, parts.clock());
  return ok();
}

// A damage that is met while the stores are read is for the operator alone to see: its cause names
// the file.
Status in_words(const Parts& parts, Status status, std::string_view accept) {
  if (status.code() != Code::kInternal) return status;
  // What is not proven to be damaged may be whole: nothing is to be given up for that.
  if (!is_damage(status)) {
    return unavailable("A store in " + parts.config.data_dir +
                       " cannot be read: " + printable(status.cause(), 600) +
                       ". It may be whole: see to that, to the owner and the mode of the file for "
                       "one, and start again.");
  }
  return unavailable("A store in " + parts.config.data_dir +
                     " cannot be read: " + printable(status.cause(), 600) + "." +
                     ways_out(parts.config.data_dir, accept));
}

Status told(const Parts& parts, Status status) {
  const bool is_kv = status.reason() == kKvDamaged;
  return in_words(parts, std::move(status), is_kv ? "kv-files" : "sql");
}

}  // namespace

Status damage_in_words(const Parts& parts, Status failed) {
  const bool is_known = failed.reason() == kKvDamaged || failed.reason() == kDbDamaged;
  return is_known ? told(parts, std::move(failed)) : failed;
}

Status build_stores(Parts& parts) {
  KVCS_TRY(build_ground(parts));
  StoreStart start = KVCS_TRY(StoreStart::begin(parts));
  KVCS_TRY(told(parts, build_kv(parts)));
  KVCS_TRY(told(parts, start.check_kv(parts)));
  KVCS_TRY(told(parts, build_sql(parts)));
  KVCS_TRY(told(parts, start.finish(parts)));
  return build_blobs_and_upstream(parts);
}

}  // namespace kvcs
