// The tables of portal.db. A migration that has been released is never edited: a change is a new
// number. Times are unix milliseconds (…_ms), identities are text, booleans 0 or 1.
#include "artifacts/schema.h"

namespace kvcs {
namespace {

// Customers are people who sign in to the portal; members of organizations, which live in KV.
// organization_usage is kept by the transactions that change artifacts: `reserved_*` counts what is
// pending, the other two what is ready.
constexpr const char* kPortal1 = R"sql(
CREATE TABLE customers (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  created_ms INTEGER NOT NULL
);
CREATE TABLE memberships (
  organization_id TEXT NOT NULL,
  customer_id TEXT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (organization_id, customer_id)
);
CREATE INDEX memberships_by_customer ON memberships (customer_id);
CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  UNIQUE (organization_id, slug)
);
CREATE TABLE artifacts (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects (id),
  owner_id TEXT NOT NULL,
  name TEXT NOT NULL,
  model_name TEXT NOT NULL,
  dtype TEXT NOT NULL,
  storage_dtype TEXT,
  num_tokens INTEGER NOT NULL DEFAULT 0 CHECK (num_tokens >= 0),
  num_layers INTEGER NOT NULL DEFAULT 0 CHECK (num_layers >= 0),
  quantized INTEGER NOT NULL DEFAULT 0 CHECK (quantized IN (0, 1)),
  visibility TEXT NOT NULL DEFAULT 'private' CHECK (visibility IN ('private', 'public')),
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'ready')),
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  sha256 TEXT NOT NULL DEFAULT '',
  metadata_json TEXT NOT NULL DEFAULT '{}',
  download_count INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  confirmed_ms INTEGER,
  expires_ms INTEGER
);
CREATE INDEX artifacts_by_organization ON artifacts (organization_id, created_ms, id);
CREATE INDEX artifacts_by_project ON artifacts (project_id, created_ms, id);
CREATE INDEX artifacts_by_name ON artifacts (organization_id, name);
CREATE INDEX artifacts_by_sha256 ON artifacts (sha256);
CREATE INDEX artifacts_public ON artifacts (created_ms, id)
  WHERE visibility = 'public' AND status = 'ready';
CREATE INDEX artifacts_pending ON artifacts (expires_ms) WHERE status = 'pending';
CREATE TABLE organization_usage (
  organization_id TEXT PRIMARY KEY,
  artifacts INTEGER NOT NULL DEFAULT 0 CHECK (artifacts >= 0),
  storage_bytes INTEGER NOT NULL DEFAULT 0 CHECK (storage_bytes >= 0),
  reserved_artifacts INTEGER NOT NULL DEFAULT 0 CHECK (reserved_artifacts >= 0),
  reserved_bytes INTEGER NOT NULL DEFAULT 0 CHECK (reserved_bytes >= 0)
);
)sql";

// When a PUT of this very artifact was stored. Bytes that another artifact brought do not count:
// a caller that only knows a digest must not come by the bytes.
constexpr const char* kPortal2 = "ALTER TABLE artifacts ADD COLUMN uploaded_ms INTEGER;";

// Token ids (kind 0) and texts (kind 1, a byte as an id) of ready artifacts for prefix search, a
// row per block of 256 (artifacts/artifact_search.h). `ids` are big-endian, so that their bytes
// have the order of the numbers.
constexpr const char* kPortal3 = R"sql(
ALTER TABLE artifacts ADD COLUMN search_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE artifacts ADD COLUMN search_model TEXT NOT NULL DEFAULT '';
ALTER TABLE artifacts ADD COLUMN search_tokenizer TEXT NOT NULL DEFAULT '';
ALTER TABLE artifacts ADD COLUMN search_root TEXT NOT NULL DEFAULT '';
CREATE INDEX artifacts_by_search_root
  ON artifacts (organization_id, search_model, search_tokenizer, search_root);
CREATE INDEX artifacts_not_searched ON artifacts (id)
  WHERE status = 'ready' AND search_version = 0;
CREATE TABLE artifact_blocks (
  artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
  kind INTEGER NOT NULL,
  block INTEGER NOT NULL,
  prefix_id BLOB NOT NULL,
  ids BLOB NOT NULL,
  PRIMARY KEY (artifact_id, kind, block)
);
CREATE INDEX artifact_blocks_by_prefix ON artifact_blocks (prefix_id, ids);
CREATE TABLE search_salts (
  organization_id TEXT PRIMARY KEY,
  salt TEXT NOT NULL
);
)sql";

// Audit records on their way to ledger.db. AUTOINCREMENT: a number is never used again, so that the
// mover, which removes by number, cannot take a record that it has not moved.
constexpr const char* kPortal4 = R"sql(
CREATE TABLE audit_outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  ts_ms INTEGER NOT NULL,
  payload_json TEXT NOT NULL
);
)sql";

// A project that is being deleted: nobody sees it or its artifacts any more.
constexpr const char* kPortal5 =
    "ALTER TABLE projects ADD COLUMN deleting INTEGER NOT NULL DEFAULT 0 "
    "CHECK (deleting IN (0, 1));";

// A project's key searches its project alone, and would read all of the organization's rows else.
constexpr const char* kPortal6 =
    "CREATE INDEX artifacts_by_project_search_root "
    "ON artifacts (project_id, search_model, search_tokenizer, search_root);";

// Labels of the nested routes, which name no organization and no project of ours; what an artifact
// is called and about; downloads by everybody; links that share one artifact.
//
// artifact_text is the full-text index over the view artifact_texts (artifacts/text_index.h).
// Triggers may not write to it, as it is the engine's own kind of table, so they note in
// artifact_text_changes what the index holds of a row that changes, and the transactions of the
// changes bring the index up to date from there. `scope` are words that stand for whose the
// artifact is and who may see it. text_id grows in the order in which artifacts are announced.
//
// artifact_counts is what lists answer as their total, kept by triggers.
constexpr const char* kPortal7 = R"sql(
ALTER TABLE artifacts ADD COLUMN label_organization TEXT NOT NULL DEFAULT 'default';
ALTER TABLE artifacts ADD COLUMN label_project TEXT NOT NULL DEFAULT 'default';
ALTER TABLE artifacts ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE artifacts ADD COLUMN tags_json TEXT NOT NULL DEFAULT '[]';
ALTER TABLE artifacts ADD COLUMN text_id INTEGER;
CREATE INDEX artifacts_by_labels
  ON artifacts (organization_id, label_organization, label_project, id);
CREATE INDEX artifacts_public_by_name ON artifacts (name, id)
  WHERE visibility = 'public' AND status = 'ready';
CREATE INDEX artifacts_public_by_size ON artifacts (size_bytes, id)
  WHERE visibility = 'public' AND status = 'ready';
CREATE INDEX artifacts_public_by_downloads ON artifacts (download_count, id)
  WHERE visibility = 'public' AND status = 'ready';
CREATE TABLE artifact_shares (
  id TEXT PRIMARY KEY,
  artifact_id TEXT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
  token_sha256 TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL DEFAULT '',
  maker_kind TEXT NOT NULL CHECK (maker_kind IN ('person', 'project_key', 'organization_key')),
  maker_id TEXT NOT NULL,
  downloads INTEGER NOT NULL DEFAULT 0 CHECK (downloads >= 0),
  downloads_max INTEGER CHECK (downloads_max > 0),
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  CHECK (downloads_max IS NULL OR downloads <= downloads_max)
);
CREATE INDEX artifact_shares_by_artifact ON artifact_shares (artifact_id, created_ms);

UPDATE artifacts SET text_id = numbered.number
  FROM (SELECT id, row_number() OVER (ORDER BY created_ms, id) AS number FROM artifacts)
    AS numbered
  WHERE numbered.id = artifacts.id;
CREATE UNIQUE INDEX artifacts_by_text_id ON artifacts (text_id);
CREATE VIEW artifact_texts AS
  SELECT text_id AS id,
    'o' || replace(organization_id, '-', '') || status ||
    ' p' || replace(project_id, '-', '') || status ||
    CASE WHEN visibility = 'public' AND status = 'ready' THEN ' everybody' ELSE '' END AS scope,
    name, model_name, description, tags_json
  FROM artifacts;
CREATE VIRTUAL TABLE artifact_text USING fts5 (
  scope, name, model_name, description, tags_json,
  content = 'artifact_texts', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2');
INSERT INTO artifact_text (artifact_text) VALUES ('rebuild');
CREATE TABLE artifact_text_changes (
  text_id INTEGER PRIMARY KEY,
  is_indexed INTEGER NOT NULL,
  scope TEXT, name TEXT, model_name TEXT, description TEXT, tags_json TEXT
);
CREATE TRIGGER artifact_text_added AFTER INSERT ON artifacts WHEN new.text_id IS NULL BEGIN
  UPDATE artifacts SET text_id = (SELECT coalesce(max(text_id), 0) + 1 FROM artifacts)
    WHERE id = new.id;
  INSERT INTO artifact_text_changes (text_id, is_indexed)
    SELECT text_id, 0 FROM artifacts WHERE id = new.id ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER artifact_text_restored AFTER INSERT ON artifacts WHEN new.text_id IS NOT NULL BEGIN
  INSERT INTO artifact_text_changes (text_id, is_indexed) VALUES (new.text_id, 0)
    ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER artifact_text_changed
  BEFORE UPDATE OF organization_id, project_id, status, visibility, name, model_name, description,
    tags_json ON artifacts BEGIN
  INSERT INTO artifact_text_changes SELECT id, 1, scope, name, model_name, description, tags_json
    FROM artifact_texts WHERE id = old.text_id ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER artifact_text_removed BEFORE DELETE ON artifacts BEGIN
  INSERT INTO artifact_text_changes SELECT id, 1, scope, name, model_name, description, tags_json
    FROM artifact_texts WHERE id = old.text_id ON CONFLICT DO NOTHING;
END;

CREATE TABLE artifact_counts (
  project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  status TEXT NOT NULL,
  visibility TEXT NOT NULL,
  artifacts INTEGER NOT NULL,
  PRIMARY KEY (project_id, status, visibility)
);
INSERT INTO artifact_counts
  SELECT project_id, status, visibility, count(*) FROM artifacts
  GROUP BY project_id, status, visibility;
CREATE TRIGGER artifact_counted AFTER INSERT ON artifacts BEGIN
  INSERT INTO artifact_counts VALUES (new.project_id, new.status, new.visibility, 1)
    ON CONFLICT DO UPDATE SET artifacts = artifacts + 1;
END;
CREATE TRIGGER artifact_counted_off AFTER DELETE ON artifacts BEGIN
  UPDATE artifact_counts SET artifacts = artifacts - 1
    WHERE project_id = old.project_id AND status = old.status AND visibility = old.visibility;
END;
CREATE TRIGGER artifact_counted_anew AFTER UPDATE OF project_id, status, visibility ON artifacts
BEGIN
  UPDATE artifact_counts SET artifacts = artifacts - 1
    WHERE project_id = old.project_id AND status = old.status AND visibility = old.visibility;
  INSERT INTO artifact_counts VALUES (new.project_id, new.status, new.visibility, 1)
    ON CONFLICT DO UPDATE SET artifacts = artifacts + 1;
END;
)sql";

// Uploads that come in several requests (artifacts/uploads.h). How much of one has come stands in
// no row: the bytes themselves say it. `artifact_id` is the artifact that the upload becomes, the
// one of its own id; of a part the one that has taken it. `reserved_bytes` is what a part that
// nobody has taken holds of its organization's quota.
constexpr const char* kPortal9 = R"sql(
CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects (id),
  key_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('whole', 'part', 'final')),
  artifact_id TEXT REFERENCES artifacts (id) ON DELETE CASCADE,
  parts TEXT NOT NULL DEFAULT '',
  metadata TEXT NOT NULL DEFAULT '',
  length_bytes INTEGER CHECK (length_bytes >= 0),
  reserved_bytes INTEGER NOT NULL DEFAULT 0 CHECK (reserved_bytes >= 0),
  sealed_sha256 TEXT NOT NULL DEFAULT '',
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  done_ms INTEGER
);
CREATE INDEX uploads_by_artifact ON uploads (artifact_id);
CREATE INDEX uploads_by_project ON uploads (project_id);
CREATE INDEX uploads_by_expiry ON uploads (expires_ms);
CREATE INDEX uploads_open ON uploads (organization_id, key_id) WHERE done_ms IS NULL;
)sql";

// Rows that are gone while their bytes are still to go, noted by the transaction that removes the
// row: a process that dies in between leaves them to the next start.
constexpr const char* kPortal10 =
    "CREATE TABLE blob_removals (artifact_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL);";

// Slugs that a project had before it was renamed: public URLs with them redirect, and no other
// project of the organization gets them.
constexpr const char* kPortal11 = R"sql(
CREATE TABLE project_slugs (
  organization_id TEXT NOT NULL,
  slug TEXT NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  PRIMARY KEY (organization_id, slug)
);
CREATE INDEX project_slugs_by_project ON project_slugs (project_id);
)sql";

// Artifacts that were deleted and can still be restored. A deletion moves the row here, so that
// nothing that reads artifacts, counts them or searches them knows it any more; its links, its
// place in the indexes and its visibility go with it. What names its bytes is this row alone. The
// columns are those of `artifacts` that a restored row gets back. Triggers keep the sums of an
// organization.
constexpr const char* kPortal12 = R"sql(
CREATE TABLE deleted_artifacts (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects (id),
  owner_id TEXT NOT NULL,
  name TEXT NOT NULL,
  model_name TEXT NOT NULL,
  dtype TEXT NOT NULL,
  storage_dtype TEXT,
  num_tokens INTEGER NOT NULL,
  num_layers INTEGER NOT NULL,
  quantized INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  metadata_json TEXT NOT NULL,
  download_count INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  confirmed_ms INTEGER,
  uploaded_ms INTEGER,
  label_organization TEXT NOT NULL,
  label_project TEXT NOT NULL,
  description TEXT NOT NULL,
  tags_json TEXT NOT NULL,
  deleted_ms INTEGER NOT NULL,
  ends_ms INTEGER NOT NULL,
  deleted_by TEXT NOT NULL
);
CREATE INDEX deleted_artifacts_by_organization
  ON deleted_artifacts (organization_id, deleted_ms, id);
CREATE INDEX deleted_artifacts_by_project ON deleted_artifacts (project_id, deleted_ms, id);
CREATE INDEX deleted_artifacts_by_sha256 ON deleted_artifacts (sha256);
CREATE INDEX deleted_artifacts_by_end ON deleted_artifacts (ends_ms);
ALTER TABLE organization_usage ADD COLUMN deleted_artifacts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organization_usage ADD COLUMN deleted_bytes INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER deleted_artifact_counted AFTER INSERT ON deleted_artifacts BEGIN
  UPDATE organization_usage SET deleted_artifacts = deleted_artifacts + 1,
    deleted_bytes = deleted_bytes + new.size_bytes WHERE organization_id = new.organization_id;
END;
CREATE TRIGGER deleted_artifact_counted_off AFTER DELETE ON deleted_artifacts BEGIN
  UPDATE organization_usage SET deleted_artifacts = deleted_artifacts - 1,
    deleted_bytes = deleted_bytes - old.size_bytes WHERE organization_id = old.organization_id;
END;
CREATE INDEX artifacts_by_model ON artifacts (organization_id, status, model_name, project_id);
CREATE INDEX artifacts_by_project_model ON artifacts (project_id, status, model_name);
)sql";

// What an upload was begun by, where its creation had an Idempotency-Key: a repeat whose first
// answer was lost finds the upload by it.
constexpr const char* kPortal13 = R"sql(
ALTER TABLE uploads ADD COLUMN creation_sha256 TEXT NOT NULL DEFAULT '';
CREATE INDEX uploads_by_creation ON uploads (creation_sha256) WHERE creation_sha256 <> '';
)sql";

// Rows of artifacts go one by one, with their bytes and what they used; projects after them.
constexpr TableOwner kOwners[] = {
    {"customers", "nobody", ""},
    {"memberships", "organization", "organization_id"},
    {"projects", "organization", "organization_id"},
    {"project_slugs", "project", "project_id"},  // ON DELETE CASCADE
    {"artifacts", "project", "project_id"},
    {"deleted_artifacts", "project", "project_id"},
    {"artifact_blocks", "artifact", "artifact_id"},  // ON DELETE CASCADE
    {"artifact_shares", "artifact", "artifact_id"},  // Likewise.
    {"artifact_counts", "project", "project_id"},    // Likewise.
    // The full-text index and what the engine keeps it in; an entry goes with its artifact.
    {"artifact_text", "artifact", ""},
    {"artifact_text_config", "nobody", ""},
    {"artifact_text_data", "artifact", "id"},
    {"artifact_text_docsize", "artifact", "id"},
    {"artifact_text_idx", "artifact", "segid"},
    {"artifact_text_changes", "artifact", "text_id"},
    {"uploads", "project", "project_id"},  // And with their artifact, likewise.
    {"organization_usage", "organization", "organization_id"},
    {"search_salts", "organization", "organization_id"},
    {"audit_outbox", "history", ""},
    {"blob_removals", "artifact", "artifact_id"},  // Its last trace, until the bytes are gone.
};

}  // namespace

std::span<const TableOwner> portal_table_owners() {
  return kOwners;
}

const std::vector<Migration>& portal_migrations() {
  static const std::vector<Migration> list = {{1, kPortal1},   {2, kPortal2},   {3, kPortal3},
                                              {4, kPortal4},   {5, kPortal5},   {6, kPortal6},
                                              {7, kPortal7},   {9, kPortal9},   {10, kPortal10},
                                              {11, kPortal11}, {12, kPortal12}, {13, kPortal13}};
  return list;
}

}  // namespace kvcs
