// Lists and searches by words over 100,000 artifacts of one organization in portal.db, with their
// totals, as rows of "name p50 p99 limit ratio". Each answer is made as the handler makes it, JSON
// and all. Searches are for words of every artifact, of one in a hundred, and of one, in turn;
// sorted ones, by name and by size, for words of every artifact and of one in a hundred.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "artifacts/artifact_json.h"
#include "artifacts/artifacts.h"
#include "artifacts/schema.h"
#include "artifacts/text_index.h"
#include "base/id.h"
#include "db/db.h"
#include "support/temp_dir.h"

using namespace kvcs;

namespace {

constexpr size_t kArtifacts = 100'000, kQueries = 500, kPage = 50;
constexpr double kListLimitUs = 5000, kSearchLimitUs = 20'000;

void must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "list_bench: %s\n", status.to_string().c_str());
  std::exit(1);
}

std::string hundredth(size_t n) {
  return "topic" + std::to_string(n % 100);
}

Status fill(Database& db, const std::string& organization, const std::string& project,
            Entropy& entropy) {
  KVCS_TRY(
      db.execute("INSERT INTO projects (id, organization_id, slug, name, created_ms) VALUES ('" +
                 project + "', '" + organization + "', 'default', 'Default', 0)"));
  auto row = KVCS_TRY(
      db.prepare("INSERT INTO artifacts (id, organization_id, project_id, owner_id, name, "
                 "model_name, dtype, status, size_bytes, created_ms, description, tags_json) "
                 "VALUES (?, ?, ?, '', ?, 'Qwen2.5-7B-Instruct', 'F16', 'ready', 1, ?, ?, ?)"));
  for (size_t i = 0; i < kArtifacts; i++) {
    row.bind(1, make_uuid_v4(entropy)).bind(2, organization).bind(3, project);
    row.bind(4, "artifact-" + std::to_string(i)).bind(5, static_cast<int64_t>(i / 3));
    row.bind(6, "Context of " + hundredth(i) + ", for the bench.");
    row.bind(7, "[\"" + hundredth(i * 7) + "\",\"chat\"]");
    KVCS_TRY(row.run());
    row.reset();
  }
  return text_index::catch_up(db);
}

template <typename Ask>
void measure(const char* name, double limit_us, const Ask& ask) {
  std::vector<double> times_us;
  for (size_t n = 0; n < kQueries; n++) {
    const auto start = std::chrono::steady_clock::now();
    ask(n);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    times_us.push_back(took.count());
  }
  std::sort(times_us.begin(), times_us.end());
  const double p50 = times_us[kQueries / 2], p99 = times_us[kQueries * 99 / 100];
  std::printf("%-40s %8.0f us p50 %8.0f us p99   limit %5.0f us   %4.0f %%\n", name, p50, p99,
              limit_us, 100 * p99 / limit_us);
}

// What a request costs but its bytes on the wire.
void answer(const ArtifactService& service, const ArtifactFilter& filter, size_t at_least) {
  const auto page = service.list(filter);
  must(page.status());
  must(service.count(filter).status());
  Json items = Json::array();
  for (const Artifact& item : page->items) {
    items.push_back(artifact_json::to_json(item, artifact_json::Shape::kFull, {}));
  }
  if (page->items.size() < at_least || dump_json(items).empty()) {
    must(internal("a list has too few"));
  }
}

}  // namespace

int main() {
  const test::TempDir folder;
  const auto entropy = make_seeded_entropy(1);
  const auto clock = make_system_clock();
  const std::string organization = make_uuid_v4(*entropy), project = make_uuid_v4(*entropy);
  auto db = open_sqlite(folder.file("portal.db"), {.full_sync = false});
  must(db.status());
  must(migrate(**db, portal_migrations()));
  DbWriter writer(std::move(db).value(), "portal", 100);
  must(writer.run([&](Database& rows) { return fill(rows, organization, project, *entropy); }));
  const auto readers = DbReaders::open(sqlite_readers(folder.file("portal.db")), 1).value();
  const auto blobs = make_memory_blobs();
  const ArtifactService service({}, writer, *readers, *blobs, *clock, *entropy, nullptr, {});
  ArtifactFilter filter;
  filter.organization_id = organization;
  filter.limit = kPage;
  measure("list 50 of 100,000 artifacts", kListLimitUs,
          [&](size_t) { answer(service, filter, kPage); });
  ArtifactFilter of_project = filter;
  of_project.only_project_id = project;
  measure("list 50 of 100,000, key of a project", kListLimitUs,
          [&](size_t) { answer(service, of_project, kPage); });
  measure("search a beginning in 100,000 artifacts", kSearchLimitUs, [&](size_t n) {
    ArtifactFilter asked = filter;
    asked.words = hundredth(n).substr(0, 6) + "*";
    answer(service, asked, kPage);
  });
  measure("search words in 100,000 artifacts", kSearchLimitUs, [&](size_t n) {
    ArtifactFilter asked = filter;
    const bool is_one = n % 3 == 2;
    asked.words = n % 3 == 0 ? "qwen2.5 context" : hundredth(n) + " chat";
    if (is_one) asked.words = "artifact-" + std::to_string(n * 197 % kArtifacts);
    answer(service, asked, is_one ? 1 : kPage);
  });
  // Sorted by anything but time, a search sorts its newest hits alone: without that bound a word of
  // every artifact would read and sort 100,000 rows.
  measure("sorted search in 100,000 artifacts", kSearchLimitUs, [&](size_t n) {
    ArtifactFilter asked = filter;
    asked.sort = n % 2 == 0 ? ArtifactSort::kName : ArtifactSort::kSize;
    asked.descending = n % 4 < 2;
    asked.words = n % 3 == 0 ? "qwen2.5 context" : hundredth(n) + " chat";
    answer(service, asked, kPage);
  });
}
