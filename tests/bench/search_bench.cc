// Prefix search over 100,000 artifacts: the index of a folder, in memory, and the server's, in
// portal.db, as rows of "name ours limit ratio". A tenth of the artifacts shares each of ten system
// prompts, so that hashes alone do not decide; queries continue one that is stored.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "artifacts/artifact_search.h"
#include "artifacts/schema.h"
#include "artifacts/search_rows.h"
#include "base/id.h"
#include "db/db.h"
#include "kvfile/support.h"
#include "kvfile/tools/search.h"
#include "support/temp_dir.h"

using namespace kvcs;

namespace {

constexpr size_t kArtifacts = 100'000, kPrompts = 10, kQueries = 300;
constexpr size_t kPromptTokens = 300, kOwnTokens = 300;
constexpr double kLimitUs = 1000;
using Ids = std::vector<uint32_t>;

void must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "search_bench: %s\n", status.to_string().c_str());
  std::exit(1);
}

// The prompt of one in ten, then ids of its own.
Ids ids_of(size_t artifact) {
  Ids ids;
  kvfile::Noise prompt(artifact % kPrompts), own(1000 + artifact);
  for (size_t i = 0; i < kPromptTokens; i++) ids.push_back(prompt.next() % 150'000);
  for (size_t i = 0; i < kOwnTokens; i++) ids.push_back(own.next() % 150'000);
  return ids;
}

// A stored artifact's first 450 ids and 100 others behind them.
Ids query_of(size_t n) {
  Ids ids = ids_of(n * 331 % kArtifacts);
  ids.resize(450);
  kvfile::Noise other(77 + n);
  for (size_t i = 0; i < 100; i++) ids.push_back(other.next() % 150'000);
  return ids;
}

template <typename Find>
void measure(const char* name, const Find& find) {
  std::vector<double> times_us;
  for (size_t n = 0; n < kQueries; n++) {
    const Ids query = query_of(n);
    const auto start = std::chrono::steady_clock::now();
    const uint64_t common = find(query);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    times_us.push_back(took.count());
    if (common < 450) must(internal("a search missed a prefix that is stored"));
  }
  std::sort(times_us.begin(), times_us.end());
  const double p50 = times_us[kQueries / 2], p99 = times_us[kQueries * 99 / 100];
  std::printf("%-40s %8.0f us p50 %8.0f us p99   limit %5.0f us   %4.0f %%\n", name, p50, p99,
              kLimitUs, 100 * p50 / kLimitUs);
}

void bench_folder() {
  kvfile::PrefixIndex index;
  for (size_t i = 0; i < kArtifacts; i++) {
    kvfile::IndexedFile file;
    file.name = std::to_string(i);
    file.model = "m";
    file.tokens = ids_of(i);
    index.add(std::move(file));
  }
  index.build();
  measure("prefix search, folder of 100,000", [&](const Ids& query) {
    return index.find_tokens(query, {"m"}, 10).at(0).common_prefix;
  });
}

// Rows as ArtifactSearch::index() writes them, in one transaction instead of 100,000.
Status fill(Database& db, const std::string& organization, const std::string& project) {
  const auto root = kvfile::prefix_root({"m", "", "F16", "plain", ""}, "salt");
  KVCS_TRY(
      db.execute("INSERT INTO projects (id, organization_id, slug, name, created_ms) VALUES ('" +
                 project + "', '" + organization + "', 'default', 'Default', 0)"));
  auto row = KVCS_TRY(
      db.prepare("INSERT INTO artifacts (id, organization_id, project_id, owner_id, name, "
                 "model_name, dtype, num_tokens, num_layers, quantized, visibility, status, "
                 "size_bytes, sha256, created_ms, search_version, search_model, search_root) "
                 "VALUES (?, ?, ?, '', 'n', 'm', 'F16', 1, 1, 0, 'private', 'ready', 1, '', 0, 1, "
                 "'m', ?)"));
  auto block =
      KVCS_TRY(db.prepare("INSERT INTO artifact_blocks (artifact_id, kind, block, prefix_id, ids) "
                          "VALUES (?, ?, ?, ?, ?)"));
  for (size_t i = 0; i < kArtifacts; i++) {
    const std::string id = std::to_string(i);
    row.bind(1, id).bind(2, organization).bind(3, project);
    KVCS_TRY(row.bind(4, search_rows::root_text(root)).run());
    row.reset();
    const Ids ids = ids_of(i);
    auto prefix = root;
    for (size_t at = 0; at < ids.size(); at += kvfile::kPrefixBlock) {
      const size_t n = std::min<size_t>(kvfile::kPrefixBlock, ids.size() - at);
      block.bind(1, id).bind(2, search_rows::kTokenKind);
      block.bind(3, static_cast<int64_t>(at / kvfile::kPrefixBlock));
      block.bind_bytes(4, search_rows::key_of(prefix));
      block.bind_bytes(5, search_rows::ids_bytes(ids.data() + at, n));
      KVCS_TRY(block.run());
      block.reset();
      prefix = kvfile::next_prefix_id(prefix, ids.data() + at, n);
    }
  }
  return ok();
}

void bench_server() {
  const test::TempDir folder;
  const auto entropy = make_seeded_entropy(1);
  const std::string organization = make_uuid_v4(*entropy), project = make_uuid_v4(*entropy);
  auto db = open_sqlite(folder.file("portal.db"), {.full_sync = false});
  must(db.status());
  must(migrate(**db, portal_migrations()));
  DbWriter writer(std::move(db).value(), "portal", 100);
  must(writer.run([&](Database& rows) { return fill(rows, organization, project); }));
  const auto readers = DbReaders::open(sqlite_readers(folder.file("portal.db")), 1).value();
  const auto blobs = make_memory_blobs();
  const ArtifactSearch search(writer, *readers, *blobs, *entropy);
  measure("prefix search, server with 100,000", [&](const Ids& query) {
    PrefixQuery asked;
    asked.organization_id = organization;
    asked.tokens = query;
    asked.model = "m";
    const auto hits = search.find(asked);
    must(hits.status());
    return hits->at(0).common_prefix;
  });
}

}  // namespace

int main() {
  bench_folder();
  bench_server();
}
