// Goal: search finds the longest common prefix that a scan finds, with and without BOS, and its
// index follows the folder. Method: seeded token lists against a plain scan; files in a temp dir.
#include "kvfile/search.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "kvfile/support.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

std::vector<uint32_t> some_ids(uint64_t seed, size_t count) {
  Noise noise(seed);
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < count; i++) ids.push_back(10 + noise.next() % 1000);
  return ids;
}

void add_file(PrefixIndex& index, const std::string& name, std::vector<uint32_t> tokens,
              const std::string& model = "m") {
  IndexedFile file;
  file.name = name;
  file.model = model;
  file.root[0] = static_cast<unsigned char>(model[0]);
  file.tokens = std::move(tokens);
  index.add(std::move(file));
}

void write_artifact(const std::string& path, const std::vector<uint32_t>& ids,
                    const std::string& prompt) {
  REQUIRE(write_sample(path, Dtype::kF16, {1, 1, ids.size(), 32}).ok());
  Sidecar sidecar = describe_header((*KvFile::open(path))->header());
  sidecar.tokens = ids;
  sidecar.prompt = prompt;
  REQUIRE(write_sidecar(path, sidecar).ok());
}

}  // namespace

TEST_CASE("search: the index finds what a scan of all files finds", "[unit][kvfile]") {
  PrefixIndex index;
  std::vector<std::vector<uint32_t>> all;
  for (uint64_t i = 0; i < 200; i++) {
    // Files branch off each other anywhere, block boundaries included.
    std::vector<uint32_t> ids = i == 0 ? some_ids(1, 900) : all[i * 7 % all.size()];
    ids.resize(std::min<size_t>(ids.size(), i % 5 == 0 ? 512 : i * 37 % 900));
    const auto more = some_ids(100 + i, 1 + i * 13 % 700);
    ids.insert(ids.end(), more.begin(), more.end());
    all.push_back(ids);
    add_file(index, std::to_string(i), ids);
  }
  index.build();
  for (uint64_t i = 0; i < 200; i++) {
    std::vector<uint32_t> query = all[i];
    query.resize(1 + i * 41 % query.size());
    const auto more = some_ids(5000 + i, i % 300);
    query.insert(query.end(), more.begin(), more.end());
    size_t longest = 0;
    for (const auto& ids : all) {
      const size_t count = std::min(ids.size(), query.size());
      const auto end = query.begin() + static_cast<ptrdiff_t>(count);
      const auto at = std::mismatch(query.begin(), end, ids.begin()).first;
      longest = std::max(longest, static_cast<size_t>(at - query.begin()));
    }
    const auto hits = index.find_tokens(query, "m", 5);
    REQUIRE_FALSE(hits.empty());
    CHECK(hits[0].common_prefix == longest);
    CHECK(hits.size() <= 5);
  }
  CHECK(index.find_tokens({5}, "", 5).empty());
  CHECK(index.find_tokens({}, "", 5).empty());
}

TEST_CASE("search: a BOS on either side is left out and said", "[unit][kvfile]") {
  PrefixIndex index;
  const auto ids = some_ids(1, 600);
  std::vector<uint32_t> with_bos{1};
  with_bos.insert(with_bos.end(), ids.begin(), ids.end());
  add_file(index, "plain", ids);
  add_file(index, "bos", with_bos, "n");
  index.build();
  const auto hits = index.find_tokens(with_bos, "m", 5);
  REQUIRE(hits.size() == 1);
  CHECK(hits[0].common_prefix == 600);
  CHECK(hits[0].without_bos);
  const auto others = index.find_tokens(ids, "n", 5);
  REQUIRE(others.size() == 1);
  CHECK(others[0].common_prefix == 600);
  CHECK(others[0].without_bos);
  CHECK_FALSE(index.find_tokens(ids, "m", 5)[0].without_bos);
  CHECK(index.find_tokens(ids, "other", 5).empty());
}

TEST_CASE("search: the folder's index follows its files", "[unit][kvfile]") {
  TempDir dir;
  const auto ids = some_ids(3, 300);
  write_artifact(dir.file("a.kv"), ids, "Once upon a time");
  write_bytes(dir.file("bad.kv"), "no safetensors");
  const auto first = open_folder_index(dir.path());
  REQUIRE(first.ok());
  CHECK((*first)->read_files == 1);
  REQUIRE((*first)->skipped.size() == 1);
  CHECK((*first)->skipped[0].find("bad.kv") == 0);
  CHECK(std::filesystem::exists(dir.file(".kvcs-index")));
  write_artifact(dir.file("b.kv"), some_ids(4, 300), "Once more");
  const auto second = open_folder_index(dir.path());
  CHECK((*second)->read_files == 1);
  CHECK((*second)->reused_files == 1);
  CHECK((*second)->index.find_tokens(ids, "", 3)[0].file->name == "a.kv");
  const auto hits = (*second)->index.find_text("Once upon", "", 3);
  REQUIRE(hits.size() == 2);
  CHECK(hits[0].common_prefix == 9);
  CHECK(hits[1].common_prefix == 5);
  std::filesystem::remove(dir.file("a.kv"));
  CHECK((*open_folder_index(dir.path()))->index.files().size() == 1);
  // A damaged index is built anew.
  std::string bytes = read_bytes(dir.file(".kvcs-index"));
  bytes[bytes.size() / 2] ^= 1;
  write_bytes(dir.file(".kvcs-index"), bytes);
  CHECK((*open_folder_index(dir.path()))->read_files == 1);
  CHECK(open_folder_index(dir.file("none")).code() == Code::kNotFound);
}
