// How artifacts come into the search index. It happens when an upload is confirmed, on the
// request's thread, and for what was missed in the job "artifact-index". Bytes are read outside of
// any transaction; the rows of one artifact are written in one. The format is told in
// artifact_search.h.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "artifacts/artifact_search.h"
#include "artifacts/rows.h"
#include "artifacts/search_rows.h"
#include "artifacts/slice_cache.h"
#include "base/bytes.h"
#include "base/json.h"

namespace kvcs {
namespace {

using kvfile::KvHeader;
using kvfile::PrefixId;

constexpr size_t kMissingBatch = 100;

// The sidecar that an upload brought as metadata.sidecar; an empty one without.
kvfile::Sidecar sidecar_of(const Artifact& artifact) {
  const auto metadata = parse_json(artifact.metadata_json);
  if (!metadata.ok() || !metadata->is_object()) return {};
  const auto sidecar = metadata->find("sidecar");
  if (sidecar == metadata->end()) return {};
  auto parsed = kvfile::parse_sidecar(dump_json(*sidecar));
  return parsed.ok() ? std::move(parsed).value() : kvfile::Sidecar{};
}

// A cache that was cut off at its start holds no prefix, so nothing can be found by it.
bool begins_later(const KvHeader& header) {
  const std::string* const offset = header.metadata_value("kvcs.position_offset");
  return offset != nullptr && *offset != "0";
}

// The token ids: those of the file's own tensor, or else the sidecar's if they are as many as the
// file has tokens.
Result<std::vector<uint32_t>> read_tokens(const kvfile::Sidecar& sidecar, const KvHeader& header,
                                          const kvfile::ReadSource& source) {
  const kvfile::Tensor* const tensor = header.find("tokens");
  std::vector<uint32_t> ids;
  if (tensor == nullptr) {
    ids = sidecar.tokens.value_or(std::vector<uint32_t>());
    if (ids.size() != header.tokens) ids.clear();
  } else {
    ids.resize(std::min<uint64_t>(header.tokens, kSearchTokensMax));
    std::string bytes(ids.size() * 4, '\0');
    KVCS_TRY(source(header.data_start + tensor->begin, bytes.data(), bytes.size()));
    for (size_t i = 0; i < ids.size(); i++) ids[i] = load_u32le(bytes.data() + i * 4);
  }
  ids.resize(std::min(ids.size(), kSearchTokensMax));
  return ids;
}

// One row for each block of kPrefixBlock ids, under the hash of all blocks before it.
Status insert_blocks(Database& db, const std::string& artifact_id, int kind, const PrefixId& root,
                     const std::vector<uint32_t>& tokens) {
  if (tokens.empty()) return ok();
  auto row =
      KVCS_TRY(db.prepare("INSERT INTO artifact_blocks (artifact_id, kind, block, prefix_id, ids) "
                          "VALUES (?, ?, ?, ?, ?)"));
  PrefixId id = root;
  // The last row holds what is behind the last whole block, also when that is nothing.
  for (size_t at = 0;; at += kvfile::kPrefixBlock) {
    const size_t count = std::min<size_t>(kvfile::kPrefixBlock, tokens.size() - at);
    row.bind(1, artifact_id).bind(2, kind);
    row.bind(3, static_cast<int64_t>(at / kvfile::kPrefixBlock));
    row.bind_bytes(4, search_rows::key_of(id));
    row.bind_bytes(5, search_rows::ids_bytes(tokens.data() + at, count));
    KVCS_TRY(row.run());
    row.reset();
    if (count < kvfile::kPrefixBlock) return ok();
    id = kvfile::next_prefix_id(id, tokens.data() + at, count);
  }
}

}  // namespace

struct ArtifactSearch::Facts {
  kvfile::PrefixIdentity identity;
  std::vector<uint32_t> tokens;
  std::string text;
};

ArtifactSearch::ArtifactSearch(DbWriter& writer, DbReaders& readers, BlobStore& blobs,
                               Entropy& entropy)
    : writer_(writer), readers_(readers), blobs_(blobs), entropy_(entropy) {}

Result<ArtifactSearch::Facts> ArtifactSearch::read_facts(const Artifact& artifact) const {
  const auto reader = KVCS_TRY(blobs_.open(artifact.sha256));
  const kvfile::ReadSource source = blob_source(*reader);
  const auto header = kvfile::read_header(source, reader->size_bytes());
  if (header.code() == Code::kInvalid) return Facts{};
  KVCS_TRY(header.status());
  const std::string* const model = header->metadata_value("kvcs.model");
  Facts facts;
  facts.identity =
      kvfile::prefix_identity(*header, model != nullptr ? *model : artifact.model_name);
  if (begins_later(*header)) return facts;
  const kvfile::Sidecar sidecar = sidecar_of(artifact);
  facts.tokens = KVCS_TRY(read_tokens(sidecar, *header, source));
  facts.text = sidecar.prompt.value_or("").substr(0, kSearchTokensMax);
  return facts;
}

// The organization's salt, made at its first artifact. Without it an organization could find out by
// its own ids which prefixes another one has stored.
Result<std::string> ArtifactSearch::salt_of(const std::string& organization_id) {
  const std::string fresh = to_hex(entropy_.bytes(32));
  std::string salt;
  const Status ran = writer_.run([&](Database& db) -> Status {
    salt = KVCS_TRY(search_rows::find_salt(db, organization_id));
    if (!salt.empty()) return ok();
    auto row =
        KVCS_TRY(db.prepare("INSERT INTO search_salts (organization_id, salt) VALUES (?, ?)"));
    KVCS_TRY(row.bind(1, organization_id).bind(2, fresh).run());
    salt = fresh;
    return ok();
  });
  if (!ran.ok()) return ran;
  return salt;
}

Status ArtifactSearch::index(const Artifact& artifact) {
  bool is_new = false;
  const Status looked = readers_.run([&](Database& db) -> Status {
    is_new = KVCS_TRY(search_rows::is_new(db, artifact.id));
    return ok();
  });
  if (!looked.ok() || !is_new) return looked;
  const Facts facts = KVCS_TRY(read_facts(artifact));
  const std::string salt = KVCS_TRY(salt_of(artifact.organization_id));
  const PrefixId root = kvfile::prefix_root(facts.identity, salt);
  return writer_.run([&](Database& db) -> Status {
    // It may have been deleted, or indexed by another, meanwhile.
    if (!KVCS_TRY(search_rows::is_new(db, artifact.id))) return ok();
    auto update =
        KVCS_TRY(db.prepare("UPDATE artifacts SET search_version = 1, search_model = ?, "
                            "search_tokenizer = ?, search_root = ? WHERE id = ?"));
    update.bind(1, facts.identity.model).bind(2, facts.identity.tokenizer);
    update.bind(3, facts.tokens.empty() ? std::string() : search_rows::root_text(root));
    KVCS_TRY(update.bind(4, artifact.id).run());
    using search_rows::kTextKind, search_rows::kTokenKind;
    KVCS_TRY(insert_blocks(db, artifact.id, kTokenKind, root, facts.tokens));
    return insert_blocks(db, artifact.id, kTextKind,
                         search_rows::text_root(facts.identity.model, salt),
                         search_rows::ids_of_text(facts.text));
  });
}

Result<size_t> ArtifactSearch::index_missing(const std::function<bool()>& cancelled) {
  size_t count = 0;
  std::string after;
  Status first_failure;
  for (;;) {
    std::vector<Artifact> missing;
    const Status ran = readers_.run([&](Database& db) -> Status {
      missing = KVCS_TRY(search_rows::list_new(db, after, kMissingBatch));
      return ok();
    });
    if (!ran.ok()) return ran;
    for (const Artifact& artifact : missing) {
      if (cancelled && cancelled()) return count;
      // One that cannot be read does not keep the others out.
      Status indexed = index(artifact);
      if (indexed.ok()) count++;
      if (!indexed.ok() && first_failure.ok()) {
        first_failure = std::move(indexed).with_context("artifact " + artifact.id);
      }
    }
    if (missing.size() < kMissingBatch) break;
    after = missing.back().id;
  }
  if (!first_failure.ok()) return first_failure;
  return count;
}

}  // namespace kvcs
