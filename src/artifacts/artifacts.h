// The artifact store: who owns which KV-cache file, who may see it, and how it comes and goes.
// Rows live in portal.db, bytes in the blob store under their SHA-256; several artifacts, also of
// several organizations, may share one blob.
//
//   create() pending, quota reserved ── PUT: begin_put() … finish_put() ── confirm() ready, used
//       └── not confirmed in time: sweep() takes row, reservation and blob away
//   remove_later(): the row moves to deleted_artifacts, its quota is free ── restore() undoes it
//       └── not restored in time: sweep() takes the row and the blob away
//
// Rules that keep rows and blobs in step:
// - A row comes first and goes first, and leaves a note (table blob_removals) until its blob is
//   gone too, so that a process that dies in between leaves no bytes: finish_removals(). Any other
//   blob without a row is an orphan; sweep() removes it.
// - A row of deleted_artifacts names its bytes as any other; nothing else reads that table but what
//   restores, lists and ends deleted artifacts (deleted.cc).
// - A blob is removed only by collect_blob(), or moved to the trash by the sweep, between two
//   commits of the one writer thread and after it saw no row with that digest; finish_put() and
//   confirm() look at the blob on that same thread. So no row can come to name a blob that is being
//   removed.
// - What changes who may have the bytes (confirm, visibility, delete) is written down for the audit
//   by the transaction of the change (artifact_audit.h).
// - Confirm demands that this artifact's own PUT was stored (uploaded_ms), however well known the
//   digest: deduplication tells nobody which bytes exist, and gives nobody bytes he does not have.
// - An upload announced without digest or size gets them from its PUT, until it is confirmed.
//
// Thread-safe. Failures in the words of the public contract: NotFound "Artifact not found", also
// for what is not the caller's own (identity/access.h); Invalid "size mismatch" and "sha256
// mismatch" with details; Forbidden with reason quota_exceeded; Unavailable when a store does not
// answer.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/principal.h"
#include "base/status.h"
#include "blob/blob.h"
#include "blob/presign.h"

namespace kvcs {

class Database;
class DbReaders;
class DbWriter;

struct Artifact {
  std::string id, organization_id, project_id, project, owner_id;  // `project` is the slug.
  std::string name, model_name, dtype;
  std::optional<std::string> storage_dtype;
  int64_t num_tokens = 0, num_layers = 0;
  bool quantized = false, is_public = false, ready = false, uploaded = false;
  uint64_t size_bytes = 0;
  std::string sha256;  // "" until known.
  std::string metadata_json = "{}";
  int64_t created_ms = 0, expires_ms = 0;
  // Of the nested routes: words of the owner's own, which name nothing of ours.
  std::string label_organization = "default", label_project = "default";
  std::string description;
  std::vector<std::string> tags;
  int64_t downloads = 0;  // By everybody, of a public artifact, and by share links.
  int64_t text_id = 0;    // Its number in the full-text index; given by the store.
};

// The limits of one organization. What is reserved by uploads under way counts as used.
struct ArtifactQuota {
  uint64_t organizations = 10, projects = 100, artifacts = 1000, storage_bytes = uint64_t{1} << 40;
};

inline constexpr int64_t kUnusedUploadLifetimeS = 3600;

// Artifacts whose downloads wait in memory to be written.
inline constexpr size_t kDownloadCountsMax = 10'000;

struct ArtifactConfig {
  uint64_t object_bytes_max = uint64_t{1} << 40;
  int url_lifetime_s = 900;
  // How long an upload may stay unconfirmed: the URL's life and the slowest transfer.
  int64_t pending_lifetime_s = 6 * 3600;
  int64_t orphan_age_s = 3600;  // A blob younger than this may belong to a PUT under way.
  // How long blobs that no row names stay in the trash, from which a lost row brings them back.
  int64_t trash_age_s = 7 * 86'400;
  // How long a deleted artifact can be restored; 0: it is gone at once.
  int64_t deleted_lifetime_s = 86'400;
  // A sweep that finds more orphans than this share of all blobs, and more than a handful, takes
  // the rows for lost and touches nothing. 100: it always sweeps.
  int sweep_max_percent = 5;
  uint64_t scrub_bytes_per_second = 64u << 20;
  // How long an upload in several requests may rest between two of them, at least half of it; one
  // of which no byte has come, kUnusedUploadLifetimeS.
  int64_t resumable_lifetime_s = 86'400;
  // How many of these may be unfinished.
  int64_t resumable_open_key = 200, resumable_open_organization = 1000;
  // Whether public artifacts of a suspended organization are served.
  bool serve_suspended = false;
  std::string engine_url;  // Of the inference engine; "" = none.
  int engine_timeout_s = 120;
  // Of one project key, enforced by App's route table; negative: no limit.
  int64_t requests_per_minute = 6000;
  ArtifactQuota quota;  // Where nobody says what an organization may.
};

// How many hits of a search by words are counted; more are not worth their time.
inline constexpr uint64_t kFoundCountMax = 1000;

// What a list or a search may take of a reader's time; there are few, and others wait for them.
inline constexpr int64_t kArtifactQueryMs = 3000;

struct ArtifactUsage {
  uint64_t organizations = 1, projects = 0, artifacts = 0, storage_bytes = 0;
  // Of deleted ones that can be restored, which count for no quota.
  uint64_t deleted_artifacts = 0, deleted_bytes = 0;
};

// Of the nested routes: different organizations, and organizations with projects, that label an
// artifact.
struct LabelUsage {
  uint64_t organizations = 0, projects = 0;
};

enum class ArtifactSort : uint8_t { kCreated, kName, kSize, kDownloads, kId };

struct ArtifactFilter {
  std::string organization_id;
  std::string only_project_id;    // "" = of every project
  std::string status = "ready";   // "ready", "pending" or "all"
  std::string visibility, dtype;  // "" = any
  std::string name, model;        // Part of it, any case; "" = any
  std::string exact_name;         // All of it, in this case; "" = any
  std::string id_prefix;          // How the id begins, in lower case; "" = any
  std::string project;            // Slug or id; "" = any
  std::string words;              // Of name, model, description or tags; "" = any
  std::string sha256;             // 64 hex digits in lower case; "" = any
  // Of the nested routes; "" = any
  std::string label_organization, label_project;
  ArtifactSort sort = ArtifactSort::kCreated;
  bool descending = true;
  std::string cursor;  // From the page before; "" = start.
  int64_t offset = 0;
  size_t limit = 100;
};

// Of the artifacts that everybody may see.
struct CatalogueFilter {
  std::string words;  // "" = any
  ArtifactSort sort = ArtifactSort::kCreated;
  bool descending = true;
  std::string cursor;
  size_t limit = 50;
};

// What its owner says about an artifact, and may change. Absent: as it was.
struct ArtifactEdit {
  std::optional<std::string> name, description;
  std::optional<std::vector<std::string>> tags;
};

// A deleted artifact, until it is restored or its bytes go.
struct DeletedArtifact {
  Artifact artifact;
  int64_t deleted_ms = 0, ends_ms = 0;
  std::string deleted_by;  // As in the audit: "person:<id>", "projectkey:<id>".
};
struct DeletedPage {
  std::vector<DeletedArtifact> items;  // The last deleted first.
  std::string next_cursor;             // "" on the last page.
};
struct DeletedAsk {
  std::string organization_id, only_project_id;  // The latter "" = of every project.
  std::string cursor;
  size_t limit = 100;
};

// How many ready artifacts have a model, in the order of the models' names.
struct ModelCount {
  std::string model;
  uint64_t artifacts = 0;
};
struct ModelCounts {
  std::vector<ModelCount> models;
  bool is_whole = true;  // False: there are more models than were asked for.
};
struct ModelAsk {
  std::string organization_id, project_id;  // The latter "" = of every project.
  size_t max = 200;
};

struct ArtifactPage {
  std::vector<Artifact> items;
  std::string next_cursor;  // "" on the last page.
};

// A blob that is not what its name or its row says, for an alert.
struct BlobDamage {
  std::string sha256, message;
};
// Called at most once for each blob and process, from any thread.
using BlobAlarm = std::function<void(const BlobDamage&)>;

// The turn of one PUT at an artifact, until it ends: its URL takes one at a time.
class ArtifactPutTurn final {
 public:
  explicit ArtifactPutTurn(std::function<void()> end) : end_(std::move(end)) {}
  ~ArtifactPutTurn() { end_(); }
  ArtifactPutTurn(const ArtifactPutTurn&) = delete;
  ArtifactPutTurn& operator=(const ArtifactPutTurn&) = delete;

 private:
  const std::function<void()> end_;
};

// An upload whose PUT is being received. One thread.
struct ArtifactPut {
  std::unique_ptr<ArtifactPutTurn> turn;  // First: given up when the writer is gone.
  std::unique_ptr<BlobWriter> writer;
  std::string id;
  uint64_t size_bytes = 0;
};

// The claims of an uploader on confirmation. Each part may be missing; a part that is there must
// agree with what is stored.
struct ConfirmClaim {
  std::string sha256;
  std::optional<uint64_t> size_bytes;
};

// An artifact whose row is gone, and whose bytes go with it unless another row names them.
struct BlobRemoval {
  std::string artifact_id, sha256;
};

struct SweepReport {
  size_t expired_uploads = 0, orphan_blobs = 0;  // Orphans are moved to the trash.
  size_t ended_deletions = 0;                    // Deleted artifacts that are gone for good.
  size_t restored_blobs = 0;                     // Of the trash, as a row names them again.
  uint64_t freed_bytes = 0;
};

struct ScrubReport {
  size_t checked_blobs = 0, damaged_blobs = 0;
  uint64_t checked_bytes = 0;
  bool whole = false;  // It came to the last blob; else the next run goes on from here.
};

// What comes with a new artifact in the transaction of its row.
struct ArtifactRider {
  int64_t lifetime_s = 0;       // 0: pending_lifetime_s.
  uint64_t reserved_bytes = 0;  // Of its size; they are set aside already.
  std::function<Status(Database&, const Artifact&)> also = {};
};

class ArtifactService final {
 public:
  // The quota of an organization, by its plan.
  using QuotaOf = std::function<Result<ArtifactQuota>(std::string_view organization_id)>;
  ArtifactService(const ArtifactConfig& config, DbWriter& writer, DbReaders& readers,
                  BlobStore& blobs, const Clock& clock, Entropy& entropy, QuotaOf quota_of,
                  BlobAlarm alarm);

  const ArtifactConfig& config() const { return config_; }

  // Fills in id, times and state. Forbidden: over quota. Invalid: over object_bytes_max. NotFound
  // with reason project_not_found: the organization has no such project.
  Result<Artifact> create(Artifact wanted, const ArtifactRider& rider = {});
  // `size_bytes`: of the body. `claim` was signed by us. RateLimited with reason
  // upload_in_progress: another PUT to this artifact is under way.
  Result<ArtifactPut> begin_put(const PresignedClaim& claim, uint64_t size_bytes);
  // Durable on return. Returns the digest.
  Result<std::string> finish_put(ArtifactPut& put);
  // Remembers why a PUT was refused, so that confirm can say it.
  void note_refused_put(const std::string& id, const Status& why);
  // Idempotent.
  Result<Artifact> confirm(const Principal& who, std::string_view id, const ConfirmClaim& claim,
                           std::string_view request_id = {});

  // Steps of the uploads that come in several requests. Those with a Database are part of the
  // caller's transaction.
  Status reserve(Database& db, const std::string& organization_id, uint64_t artifacts,
                 uint64_t bytes, const ArtifactQuota& limits) const;
  Status fit_size(const Artifact& row, uint64_t size_bytes);
  Status make_ready(Database& db, Artifact& row, const Principal& who, const ArtifactQuota& limits,
                    std::string_view request_id) const;
  Status remove_row(Database& db, const Artifact& row) const;
  // Removes the blob unless a row names it. Returns whether it did.
  Result<bool> collect_blob(const std::string& sha256);

  // Lists that look through rows, and searches by words, ask here from now on, so that nothing else
  // waits for them. Before the server starts.
  void set_searchers(DbReaders& searchers) { searchers_ = &searchers; }
  Result<Artifact> find(std::string_view id) const;  // Anybody's.
  Result<Artifact> find_own(const Principal& who, std::string_view id) const;
  // Timeout with reason query_too_long, as the next two.
  Result<ArtifactPage> list(const ArtifactFilter& filter) const;
  // Cursor and limit aside. With words it counts no further than kFoundCountMax.
  Result<uint64_t> count(const ArtifactFilter& filter) const;
  // Ready and public, of every organization, suspended ones too.
  Result<ArtifactPage> list_public(const CatalogueFilter& filter) const;
  // Where a nested route puts what comes with a key of no project: the organization's project
  // "default", else its oldest. NotFound with reason project_not_found.
  Result<std::string> default_project(std::string_view organization_id) const;
  // One download more of a public artifact. Shown at once, and written with the next
  // flush_downloads(): a job calls it each minute, and the end of the daemon; one that is killed
  // loses what waits. Where more than kDownloadCountsMax artifacts wait it is called here.
  Status count_download(std::string_view id);
  Status flush_downloads();
  Result<Artifact> edit(const Principal& who, std::string_view id, const ArtifactEdit& wanted,
                        std::string_view request_id);
  Status set_visibility(const Principal& who, std::string_view id, bool is_public,
                        std::string_view request_id);
  // To another project of its organization; bytes, visibility and what is used stay as they are.
  // NotFound with reason project_not_found; of two changes at once each is whole.
  Result<Artifact> move(const Principal& who, std::string_view id, const std::string& project_id,
                        std::string_view request_id);
  // At once and for good, also one that was deleted and could be restored.
  Status remove(const Principal& who, std::string_view id, std::string_view request_id);
  // Hides it, and gives its quota back, until restore() or the sweep: when that may be; 0: it is
  // gone already, as an unconfirmed upload is, and as all are where deleted_lifetime_s is 0. An
  // organization keeps as much as it may store: for more, the first deleted of the project go, or
  // else the one deleted now.
  Result<int64_t> remove_later(const Principal& who, std::string_view id,
                               std::string_view request_id);
  // Brings a deleted artifact back as private and without its links. Forbidden as create().
  // Internal with reason blob_missing. One that is there is answered as it is.
  Result<Artifact> restore(const Principal& who, std::string_view id, std::string_view request_id);
  Result<DeletedPage> list_deleted(const DeletedAsk& ask) const;
  // NotFound "Artifact not found", also for what is not the caller's own.
  Result<DeletedArtifact> find_deleted(const Principal& who, std::string_view id) const;
  // Deleted artifacts end by this clock (base/kept_clock.h). Before the server starts.
  void end_deleted_by(const Clock& clock) { end_clock_ = &clock; }
  // Timeout with reason query_too_long.
  Result<ModelCounts> count_models(const ModelAsk& ask) const;
  // Part of deleting a project: removes up to `max` of its artifacts, with their bytes and what
  // they used; how many. `actor` is who deletes the project.
  Result<size_t> remove_some_of(std::string_view project_id, size_t max, std::string_view actor,
                                std::string_view request_id);
  // Removes the bytes of rows that are gone, which a crash or the disk has left; how many rows.
  Result<size_t> finish_removals();
  // How many the project has, pending ones too, and their bytes; and what it could restore.
  Result<ArtifactUsage> usage_of_project(std::string_view project_id) const;
  // Part of deleting an organization, when its projects are gone.
  Status forget_organization(std::string_view organization_id);
  // Internal with reason blob_missing or blob_damaged: the bytes are gone, or not as many as the
  // row says. Both raise the alarm.
  Result<std::unique_ptr<BlobReader>> open_bytes(const Artifact& artifact) const;

  // Of a blob that is damaged, or could not be read while it was sent: a line in the log and the
  // alarm, once for each blob and process.
  void raise_alarm(const std::string& sha256, const std::string& message) const;

  // PUTs that were refused: as their organization has its share of the disk, or as another one to
  // their artifact was under way.
  struct Refused {
    uint64_t by_disk_share, by_turn;
  };
  Refused refused() const { return {refused_by_share_, refused_by_turn_}; }

  Result<ArtifactQuota> quota(std::string_view organization_id) const;
  Result<ArtifactUsage> usage(std::string_view organization_id) const;
  Result<LabelUsage> label_usage(std::string_view organization_id) const;

  // Expired uploads, orphan blobs, the trash, and temp files of a process that died. A cron job.
  // Conflict with reason sweep_refused: the rows look lost, and nothing but expired uploads and
  // temp files was touched.
  Result<SweepReport> sweep();
  // Compares the full-text index with the rows; whether it was made anew. A cron job, for which the
  // writer has no time for others: half a second for 100,000 artifacts.
  Result<bool> mend_text_index();
  // Reads every blob, slowly, and sets those aside whose digest is another than their name. A cron
  // job; at most one at a time.
  Result<ScrubReport> scrub(const std::function<bool()>& cancelled);

 private:
  using DownloadCounts = std::map<std::string, int64_t, std::less<>>;
  void add_unwritten(std::span<Artifact> artifacts) const;
  Status confirm_row(Database& db, const Principal& who, std::string_view id,
                     const ConfirmClaim& claim, const ArtifactQuota& limits,
                     std::string_view request_id, Artifact& row);
  Status collect_removed(std::span<const BlobRemoval> removals);
  // collect_blob() of a row that has gone, and the end of its note; how many bytes are free.
  Result<uint64_t> collect_noted(const Artifact& gone);
  bool has_put(const std::string& id);  // Whether its bytes are arriving.
  size_t puts_under_way();
  Status sweep_expired(SweepReport& report);
  Status sweep_deleted(SweepReport& report);
  Status use_reserved(Database& db, const Artifact& row) const;
  Status end_deleted(Database& db, const Artifact& row, std::string_view actor,
                     std::string_view request_id) const;
  Result<bool> make_room_for_deleted(Database& db, const Artifact& row, const ArtifactQuota& limits,
                                     std::string_view actor, std::string_view request_id,
                                     std::vector<BlobRemoval>& removals) const;
  int64_t end_clock_ms() const { return (end_clock_ ? *end_clock_ : clock_).unix_ms(); }
  Status sweep_orphans(SweepReport& report);
  Result<bool> has_its_rows() const;
  Status sweep_trash(SweepReport& report);
  Status audit_change(Database& db, std::string_view action, const Artifact& before,
                      std::string_view new_value, const Principal& who,
                      std::string_view request_id) const;
  Result<bool> is_damaged(const std::string& sha256, uint64_t& pace_bytes,
                          const std::function<bool()>& cancelled) const;
  Status refused_put(std::string_view id);
  Result<std::unique_ptr<ArtifactPutTurn>> take_turn(const std::string& id);
  DbReaders& lister(bool looks_through) const;

  const ArtifactConfig config_;
  DbWriter& writer_;
  DbReaders& readers_;
  DbReaders* searchers_ = nullptr;  // Null: readers_.
  BlobStore& blobs_;
  const Clock& clock_;
  const Clock* end_clock_ = nullptr;  // Null: clock_.
  Entropy& entropy_;
  const QuotaOf quota_of_;
  const BlobAlarm alarm_;
  std::atomic<uint64_t> refused_by_share_{0}, refused_by_turn_{0};
  mutable Mutex mutex_;
  std::set<std::string> turns_ KVCS_GUARDED_BY(mutex_);  // Artifacts with a PUT under way.
  std::map<std::string, Status, std::less<>> refused_puts_ KVCS_GUARDED_BY(mutex_);
  DownloadCounts downloads_ KVCS_GUARDED_BY(mutex_);               // Not written yet.
  mutable std::set<std::string> alarmed_ KVCS_GUARDED_BY(mutex_);  // Digests.
  std::string scrubbed_to_ KVCS_GUARDED_BY(mutex_);  // The last blob that a scrub looked at.
};

// The customer that an organization's keys speak for: 32 hex digits made from its slug.
std::string customer_id_of(std::string_view organization);

}  // namespace kvcs
