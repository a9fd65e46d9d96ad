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

// Rows of artifacts go one by one, with their bytes and what they used; projects after them.
constexpr TableOwner kOwners[] = {
    {"customers", "nobody", ""},
    {"memberships", "organization", "organization_id"},
    {"projects", "organization", "organization_id"},
    {"project_slugs", "project", "project_id"},  // ON DELETE CASCADE
    {"artifacts", "project", "project_id"},
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
  static const std::vector<Migration> list = {{1, kPortal1},  {2, kPortal2}, {3, kPortal3},
                                              {4, kPortal4},  {5, kPortal5}, {6, kPortal6},
                                              {11, kPortal11}};
  return list;
}

}  // namespace kvcs
