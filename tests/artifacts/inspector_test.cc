// Goal: a report about stored bytes has the figures that the command line has, says what it read,
// refuses what is no .kv file in clear words, and keeps to one reader. Method: small files in a
// store that counts, and one that holds its reader up.
#include "artifacts/inspector.h"

#include <nlohmann/json.hpp>

#include <mutex>
#include <vector>

#include "artifact_world.h"
#include "base/thread.h"
#include "kvfile/support.h"
#include "kvfile/tools/figures.h"
#include "support/tiny_kv.h"
#include "support/wait.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;
using test::tiny_kv;

// Bytes in memory; counts the reads, and holds them up while it is told to.
class SlowReader final : public BlobReader {
 public:
  explicit SlowReader(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size_bytes() const override { return bytes_.size(); }
  Result<size_t> read(uint64_t offset, char* out, size_t size) const override {
    reads++;
    (void)test::comes_true([this] { return !is_held.load(); });
    if (fails) return unavailable("The disk fails.");
    const size_t n = std::min<size_t>(size, bytes_.size() - std::min(bytes_.size(), offset));
    std::copy_n(bytes_.data() + offset, n, out);
    return n;
  }
  int descriptor() const override { return -1; }

  mutable std::atomic<int> reads{0};
  std::atomic<bool> is_held{false}, fails{false};

 private:
  const std::string bytes_;
};

Artifact of(const std::string& organization, const std::string& bytes) {
  Artifact a;
  a.organization_id = organization;
  a.sha256 = sha256_hex(bytes);
  a.size_bytes = bytes.size();
  return a;
}

Result<ArtifactInspector::Report> inspect(ArtifactInspector& inspector, const std::string& bytes) {
  return inspector.inspect(of("acme", bytes), std::make_shared<SlowReader>(bytes));
}

}  // namespace

TEST_CASE("inspector: figures of each layer, token ids, and that all was read",
          "[artifacts][unit]") {
  ArtifactInspector inspector;
  // 1, -2, 0 and NaN of F16.
  const auto report = inspect(inspector, tiny_kv({0x3c00, 0xc000, 0x0000, 0x7e00}));
  REQUIRE(report.ok());
  const Json& r = **report;
  CHECK(r["scheme"] == "plain");
  CHECK(r["layers"] == 1);
  CHECK(r["tokens"] == 4);
  CHECK(r["head_dim"] == 8);
  CHECK(r["metadata"]["kvcs.model"] == "test/tiny");
  CHECK(r["tokens_preview"]["count"] == 4);
  CHECK(r["tokens_preview"]["preview"] == Json::array({7, 8, 9, 10}));
  CHECK(r["read"]["values"] == 64);
  CHECK(r["read"]["values_read"] == 64);
  CHECK(r["read"]["is_sample"] == false);
  const Json keys = r["per_layer"][0]["keys"];
  CHECK(keys["values"] == 32);
  CHECK(keys["min"] == -2.0);
  CHECK(keys["max"] == 1.0);
  CHECK(keys["nonfinite"] == 8);
  CHECK(keys["zeros"] == 8);
  CHECK(keys["zero_share"] == 0.25);
  CHECK(keys["mean"].get<double>() == Approx(-1.0 / 3));
  CHECK(keys["rms"].get<double>() == Approx(std::sqrt(5.0 / 3)));
  CHECK(r["per_layer"][0]["values"]["zero_share"] == 1.0);
}

TEST_CASE("inspector: where no value is finite there are no figures of them", "[artifacts][unit]") {
  ArtifactInspector inspector;
  // NaN, an infinity and NaN of F16.
  const auto report = inspect(inspector, tiny_kv({0x7e00, 0x7c00, 0x7e00}));
  REQUIRE(report.ok());
  const Json keys = (**report)["per_layer"][0]["keys"];
  CHECK(keys["nonfinite"] == keys["values"]);
  for (const char* const figure : {"min", "max", "mean", "rms", "deviation"}) {
    INFO(figure);
    CHECK(keys[figure].is_null());
  }
  CHECK(keys["zeros"] == 0);
  CHECK((**report)["per_layer"][0]["values"]["min"] == 0.0);
}

TEST_CASE("inspector: the figures are those of `kvcs inspect --stats`", "[artifacts][unit]") {
  ArtifactWorld w;
  const std::string path = w.folder.file("a.kv");
  REQUIRE(kvfile::write_sample(path, kvfile::Dtype::kF16, {3, 2, 600, 16}, 5).ok());
  ArtifactInspector inspector;
  const auto report = inspect(inspector, kvfile::read_bytes(path));
  REQUIRE(report.ok());
  const auto file = kvfile::KvFile::open(path);
  REQUIRE(file.ok());
  const auto stats = kvfile::layer_stats(**file);
  REQUIRE(stats.ok());
  const Json rows = kvfile::layers_json((*file)->header(), *stats);
  for (size_t layer = 0; layer < 3; layer++) {
    for (const char* part : {"keys", "values"}) {
      for (const auto& [name, value] : rows[layer][part].items()) {
        INFO(layer << " " << part << " " << name);
        CHECK((**report)["per_layer"][layer][part][name].get<double>() ==
              Approx(value.get<double>()));
      }
    }
  }
}

TEST_CASE("inspector: a large file is sampled, evenly, and it is said", "[artifacts][unit]") {
  ArtifactWorld w;
  const std::string path = w.folder.file("a.kv");
  REQUIRE(kvfile::write_sample(path, kvfile::Dtype::kF16, {2, 2, 2048, 16}, 5).ok());
  const std::string bytes = kvfile::read_bytes(path);
  // Two tiles of 256 tokens for each of the four parts, of sixteen that there are.
  ArtifactInspector inspector({.values_max = 4 * 2 * 256 * 16});
  const auto report = inspect(inspector, bytes);
  REQUIRE(report.ok());
  CHECK((**report)["read"]["is_sample"] == true);
  CHECK((**report)["read"]["values"] == 2 * 2 * 2 * 2048 * 16);
  CHECK((**report)["read"]["values_read"] == 4 * 2 * 256 * 16);
  for (size_t layer = 0; layer < 2; layer++) {
    CHECK((**report)["per_layer"][layer]["keys"]["values"] == 2 * 256 * 16);
  }
  // What does not fit at all has no figures, and the time is a bound, too.
  ArtifactInspector one_tile({.values_max = 256 * 16});
  const auto little = inspect(one_tile, bytes);
  REQUIRE(little.ok());
  CHECK((**little)["per_layer"][0]["keys"]["values"] == 256 * 16);
  CHECK((**little)["per_layer"][1]["values"].is_null());
  ArtifactInspector no_time({.time_max_ms = -1});
  const auto late = inspect(no_time, bytes);
  REQUIRE(late.ok());
  CHECK((**late)["read"]["values_read"] == 0);
  CHECK((**late)["read"]["is_sample"] == true);
}

TEST_CASE("inspector: what is no whole .kv file is refused with the reason", "[artifacts][unit]") {
  ArtifactInspector inspector;
  std::string damaged = tiny_kv({0x3c00});
  damaged.replace(damaged.find("F16"), 3, "F99");
  const std::string cut = tiny_kv({0x3c00}).substr(0, 200);
  for (const std::string& bytes : {std::string(), std::string("bytes"), damaged, cut}) {
    const auto refused = inspect(inspector, bytes);
    CHECK(refused.code() == Code::kInvalid);
    CHECK(refused.status().reason() == "not_inspectable");
    CHECK(refused.status().message().find("cannot be inspected: ") != std::string::npos);
  }
  // A disk that fails is our fault, and nothing is kept of it.
  const std::string good = tiny_kv({0x3c00});
  const auto failing = std::make_shared<SlowReader>(good);
  failing->fails = true;
  CHECK(inspector.inspect(of("acme", good), failing).code() == Code::kUnavailable);
  CHECK(inspect(inspector, good).ok());
}

TEST_CASE("inspector: one at a time for an organization, a few for all, and each digest once",
          "[artifacts][unit]") {
  ArtifactInspector inspector({.waiting_max = 1});
  const std::string one = tiny_kv({0x3c00}), two = tiny_kv({0xc000});
  const auto held = std::make_shared<SlowReader>(one);
  held->is_held = true;
  Result<ArtifactInspector::Report> first = unavailable("not asked");
  {
    const Thread asking("asking", [&] { first = inspector.inspect(of("acme", one), held); });
    test::wait_until([&] { return held->reads > 0; }, "the first report is being made");
    CHECK(inspect(inspector, two).status().reason() == "inspect_running");
    // Of two more organizations one waits, and the other is told that there is no room.
    std::atomic<int> busy{0};
    const auto ask = [&](const char* organization) {
      const auto answer =
          inspector.inspect(of(organization, two), std::make_shared<SlowReader>(two));
      busy += answer.status().reason() == "inspect_busy" ? 1 : 0;
    };
    const Thread second("second", [&] { ask("other"); });
    const Thread third("third", [&] { ask("third"); });
    test::wait_until([&] { return busy == 1; }, "the queue is full");
    held->is_held = false;
  }
  REQUIRE(first.ok());
  const auto again = std::make_shared<SlowReader>(one);
  CHECK(inspector.inspect(of("other", one), again).ok());
  CHECK(again->reads == 0);
}

TEST_CASE("inspector: who asks for the same bytes at the same time gets the same report",
          "[artifacts][unit]") {
  ArtifactInspector inspector({.requests_max = 3});
  const std::string good = tiny_kv({0x3c00}), bad = tiny_kv({0x3c00}).substr(0, 200);
  for (const std::string& bytes : {good, bad}) {
    const auto held = std::make_shared<SlowReader>(bytes);
    const auto other = std::make_shared<SlowReader>(bytes);
    held->is_held = true;
    std::mutex mutex;
    std::vector<Result<ArtifactInspector::Report>> answers;
    const auto ask = [&](const std::shared_ptr<SlowReader>& reader) {
      auto answer = inspector.inspect(of("acme", bytes), reader);
      const std::lock_guard lock(mutex);
      answers.push_back(std::move(answer));
    };
    {
      std::vector<Thread> threads;
      threads.emplace_back("first", [&] { ask(held); });
      test::wait_until([&] { return held->reads > 0; }, "the report is being made");
      // Two more find room; of four who ask, two are told that too many wait.
      for (int i = 0; i < 4; i++) threads.emplace_back("asking", [&] { ask(other); });
      test::wait_until(
          [&] {
            const std::lock_guard lock(mutex);
            return answers.size() == 2;
          },
          "two are refused");
      for (const auto& refused : answers) {
        CHECK(refused.status().reason() == "inspect_running");
        CHECK(refused.status().message().find("3 requests wait for this report") == 0);
      }
      answers.clear();
      test::wait_until([&] { return other.use_count() == 1; },
                       "those who wait hold no bytes of their own open");
      held->is_held = false;
    }
    REQUIRE(answers.size() == 3);
    CHECK(other->reads == 0);
    for (const auto& answer : answers) {
      if (bytes == good) CHECK(answer.value() == answers[0].value());
      if (bytes == bad) CHECK(answer.status().reason() == "not_inspectable");
    }
  }
  // Nothing of it stays behind.
  CHECK(inspect(inspector, tiny_kv({0xc000})).ok());
}

}  // namespace kvcs
