// Goal: `kvcs sample` makes a sound artifact with its text, ids and facts, the same bytes on every
// machine. Method: digests that were written down once, and the module's own tools as judges.
#include "kvfile/convert/sample.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>

#include "base/crypto.h"
#include "kvfile/support.h"
#include "kvfile/tools/search.h"
#include "kvfile/tools/stats.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

SampleReport write(const std::string& path, uint64_t seed = 1) {
  auto report = write_sample({path, seed});
  REQUIRE(report.ok());
  return std::move(report).value();
}

}  // namespace

TEST_CASE("sample: a seed has the same bytes on every machine", "[unit][kvfile]") {
  TempDir dir;
  const SampleReport first = write(dir.path() + "/a.kv"), second = write(dir.path() + "/b.kv", 2);
  CHECK(sha256_hex(read_bytes(first.paths.artifact)) ==
        "53afbf3f8351c426278d113d8151fc3cbdf99a8c745baebb0a9a7ad992fd18e1");
  CHECK(sha256_hex(read_bytes(first.paths.token_ids)) ==
        "2e2ab21527c1f616862faeecae8386bed12713b9ccde8bf7ed74906469b6e6a8");
  CHECK(sha256_hex(read_bytes(first.paths.text)) ==
        "7d7955008c8a02adebdbaede929059110f5c8b4dc7229bf7858cbebbfaa10e44");
  CHECK(sha256_hex(read_bytes(first.paths.sidecar)) ==
        "ecba95b339dad239a8953c90b617a80f07cc0a706ce5931867b0766931d7a5c7");
  CHECK(sha256_hex(read_bytes(second.paths.artifact)) ==
        "e0293a77b850bf60c44e51ec5c492534b9b476dc8c2232312063af2edffaeba6");
}

TEST_CASE("sample: the artifact is sound, small, and belongs to its text and ids",
          "[unit][kvfile]") {
  TempDir dir;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{77}, UINT64_MAX}) {
    const std::string name = std::to_string(seed);
    const SampleReport report = write(dir.path() + "/" + name + ".kv", seed);
    CHECK(report.header.file_bytes <= 1 << 20);
    VerifyOptions options;
    options.path = report.paths.artifact;
    options.context_text = read_bytes(report.paths.text);
    options.tokens = read_token_ids(report.paths.token_ids).value();
    CHECK(options.tokens->size() == kSampleTokens);
    const auto verdict = verify(options);
    REQUIRE(verdict.ok());
    CHECK(verdict->verdict == Verdict::kVerified);
    CHECK(verdict->text_context->common_prefix == options.context_text->size());
    for (const char* const fact : {"kvcs.model", "kvcs.tokenizer", "kvcs.rope_base", "kvcs.arch"}) {
      CHECK(report.header.metadata_value(fact) != nullptr);
    }
  }
}

TEST_CASE("sample: a longer one begins as a shorter one, and is sound", "[unit][kvfile]") {
  const SampleText text = make_sample_text(1), more = make_sample_text(1, 5000);
  CHECK(more.tokens.size() == 5000);
  CHECK(more.text.starts_with(text.text));
  CHECK(make_sample_text(1, 1).tokens.size() == 1);
  TempDir dir;
  const auto report = write_sample({.output = dir.path() + "/a.kv", .tokens = 5000});
  REQUIRE(report.ok());
  CHECK(report->header.tokens == 5000);
  VerifyOptions options;
  options.path = report->paths.artifact;
  options.context_text = read_bytes(report->paths.text);
  options.tokens = read_token_ids(report->paths.token_ids).value();
  CHECK(verify(options)->verdict == Verdict::kVerified);
}

TEST_CASE("sample: texts of two seeds begin alike, and so do keys and values", "[unit][kvfile]") {
  const SampleText a = make_sample_text(1), b = make_sample_text(2);
  CHECK(a.text != b.text);
  const auto parted = std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin()).first;
  const auto shared = static_cast<uint64_t>(parted - a.tokens.begin());
  CHECK(shared >= kSampleSharedTokens);
  CHECK(shared < kSampleTokens);
  const auto of_a = make_sample_cache(a), of_b = make_sample_cache(b);
  const Geometry& geometry = of_a->geometry();
  const size_t row = geometry.head_dim;
  for (uint64_t layer = 0; layer < geometry.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      std::vector<float> x(geometry.kv_heads * kSampleTokens * row), y(x.size());
      REQUIRE(of_a->read(part, layer, 0, kSampleTokens, x.data()).ok());
      REQUIRE(of_b->read(part, layer, 0, kSampleTokens, y.data()).ok());
      CHECK(std::equal(x.begin(), x.begin() + std::ptrdiff_t(shared * row), y.begin()));
      CHECK_FALSE(std::equal(x.begin(), x.begin() + std::ptrdiff_t((shared + 1) * row), y.begin()));
    }
  }
}

TEST_CASE("sample: a prefix search finds the samples, the own text first", "[unit][kvfile]") {
  TempDir dir;
  write(dir.path() + "/a.kv");
  const SampleReport other = write(dir.path() + "/b.kv", 2);
  const auto folder = open_folder_index(dir.path());
  REQUIRE(folder.ok());
  const auto hits =
      (*folder)->index.find_tokens(read_token_ids(other.paths.token_ids).value(), {}, 10);
  REQUIRE(hits.size() == 2);
  CHECK(hits[0].file->name == "b.kv");
  CHECK(hits[0].common_prefix == kSampleTokens);
  CHECK(hits[1].common_prefix >= kSampleSharedTokens);
}

// Figures of real caches: keys with a few strong channels, values about zero with long tails, and a
// first token whose values are next to nothing.
TEST_CASE("sample: statistics are like those of real caches", "[unit][kvfile]") {
  TempDir dir;
  const SampleReport report = write(dir.path() + "/a.kv");
  const auto file = KvFile::open(report.paths.artifact);
  REQUIRE(file.ok());
  const auto stats = layer_stats(**file);
  REQUIRE(stats.ok());
  for (const LayerStats& layer : *stats) {
    CHECK(layer.keys.max > 8);
    CHECK(layer.keys.max < 40);
    CHECK(layer.keys.deviation > 2);
    CHECK(std::abs(layer.values.mean) < 0.05);
    CHECK(layer.values.max > 4 * layer.values.deviation);
    CHECK(layer.values.nonfinite + layer.keys.nonfinite == 0);
  }
  const auto cache = make_sample_cache(make_sample_text(1));
  std::vector<float> first(cache->geometry().kv_heads * cache->geometry().head_dim);
  REQUIRE(cache->read(Part::kValues, 1, 0, 1, first.data()).ok());
  for (const float value : first) CHECK(std::fabs(value) < 0.2F);
}

TEST_CASE("sample: what is there is not replaced unless asked, and nothing half appears",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string path = dir.path() + "/a.kv";
  const SamplePaths paths = sample_paths(path);
  CHECK(paths.sidecar == path + ".json");
  CHECK(paths.token_ids == dir.path() + "/a.ids.json");
  CHECK(paths.text == dir.path() + "/a.txt");
  CHECK(sample_paths("no-ending").text == "no-ending.txt");
  for (const std::string& taken : {paths.artifact, paths.sidecar, paths.token_ids, paths.text}) {
    write_bytes(taken, "mine");
    const auto refused = write_sample({path});
    CHECK(refused.code() == Code::kConflict);
    CHECK(refused.status().message().find(taken + " exists; --force replaces it.") == 0);
    CHECK(count_files(dir.path()) == 1);
    CHECK(read_bytes(taken) == "mine");
    std::filesystem::remove(taken);
  }
  // A link that leads nowhere is in the way too.
  std::filesystem::create_symlink("nowhere", paths.text);
  CHECK(write_sample({path}).code() == Code::kConflict);
  std::filesystem::remove(paths.text);
  // One output that cannot be written keeps all of them away.
  std::filesystem::create_directory(paths.text);
  CHECK(write_sample({.output = path, .replace = true}).code() == Code::kInvalid);
  CHECK(count_files(dir.path()) == 1);
  std::filesystem::remove(paths.text);
  write_bytes(path, "mine");
  CHECK(write_sample({.output = path, .replace = true}).ok());
  CHECK(count_files(dir.path()) == 4);
}
