// Goal: search finds the longest common prefix that a scan finds, with and without BOS, and its
// index follows the folder. Method: seeded token lists against a plain scan; files in a temp dir.
#include "kvfile/tools/search.h"

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
    const auto hits = index.find_tokens(query, {"m"}, 5);
    REQUIRE_FALSE(hits.empty());
    CHECK(hits[0].common_prefix == longest);
    CHECK(hits.size() <= 5);
  }
  CHECK(index.find_tokens({5}, {}, 5).empty());
  CHECK(index.find_tokens({}, {}, 5).empty());
}

TEST_CASE("search: a BOS on either side is left out and said", "[unit][kvfile]") {
  PrefixIndex index;
  const auto ids = some_ids(1, 600);
  std::vector<uint32_t> with_bos{1};
  with_bos.insert(with_bos.end(), ids.begin(), ids.end());
  add_file(index, "plain", ids);
  add_file(index, "bos", with_bos, "n");
  index.build();
  const auto hits = index.find_tokens(with_bos, {"m"}, 5);
  REQUIRE(hits.size() == 1);
  CHECK(hits[0].common_prefix == 600);
  CHECK(hits[0].without_bos);
  const auto others = index.find_tokens(ids, {"n"}, 5);
  REQUIRE(others.size() == 1);
  CHECK(others[0].common_prefix == 600);
  CHECK(others[0].without_bos);
  CHECK_FALSE(index.find_tokens(ids, {"m"}, 5)[0].without_bos);
  CHECK(index.find_tokens(ids, {"other"}, 5).empty());
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
  CHECK((*second)->index.find_tokens(ids, {}, 3)[0].file->name == "a.kv");
  const auto hits = (*second)->index.find_text("Once upon", {}, 3);
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

TEST_CASE("search: subfolders, renamed and replaced files are followed", "[unit][kvfile]") {
  TempDir dir;
  std::filesystem::create_directories(dir.file("sub/deeper"));
  std::filesystem::create_directories(dir.file(".hidden"));
  const auto first = some_ids(3, 300), second = some_ids(4, 300);
  write_artifact(dir.file("sub/deeper/a.kv"), first, "a");
  write_artifact(dir.file(".hidden/b.kv"), first, "b");
  std::filesystem::create_directory_symlink(dir.path(), dir.file("sub/circle"));
  const auto best = [&](const std::vector<uint32_t>& query) {
    const auto index = open_folder_index(dir.path());
    REQUIRE(index.ok());
    CHECK((*index)->index.files().size() == 1);
    const auto hits = (*index)->index.find_tokens(query, {}, 3);
    return hits.empty() ? "none" : hits[0].file->name;
  };
  CHECK(best(first) == "sub/deeper/a.kv");
  std::filesystem::rename(dir.file("sub/deeper/a.kv"), dir.file("c.kv"));
  std::filesystem::rename(dir.file("sub/deeper/a.kv.json"), dir.file("c.kv.json"));
  CHECK(best(first) == "c.kv");
  // Other ids of the same length with the old time: only the time of the change is new.
  const auto time = std::filesystem::last_write_time(dir.file("c.kv.json"));
  const auto size = std::filesystem::file_size(dir.file("c.kv.json"));
  std::string text = read_bytes(dir.file("c.kv.json"));
  const std::string old = std::to_string(first[0]) + ",";
  text.replace(text.find("    " + old) + 4, old.size(), std::string(old.size() - 1, '7') + ",");
  write_bytes(dir.file("c.kv.json"), text);
  std::filesystem::last_write_time(dir.file("c.kv.json"), time);
  CHECK(std::filesystem::file_size(dir.file("c.kv.json")) == size);
  CHECK(best(first) == "none");
  std::filesystem::create_directories(dir.file("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"));
  const auto deep = open_folder_index(dir.path());
  REQUIRE((*deep)->skipped.size() == 1);
  CHECK((*deep)->skipped[0].find("folders nest deeper than 16") != std::string::npos);
}

TEST_CASE("search: only caches of the model and tokenizer asked for answer", "[unit][kvfile]") {
  TempDir dir;
  const auto ids = some_ids(3, 300);
  for (const std::string name : {"t1", "t2", "none"}) {
    Metadata metadata{{"kvcs.model", "m"}};
    if (name != "none") metadata.emplace_back("kvcs.tokenizer", name);
    const std::string path = dir.file(name + ".kv");
    REQUIRE(write_sample(path, Dtype::kF16, {1, 1, ids.size(), 32}, 1, metadata).ok());
    Sidecar sidecar = describe_header((*KvFile::open(path))->header());
    sidecar.tokens = ids;
    sidecar.prompt = "Once";
    REQUIRE(write_sidecar(path, sidecar).ok());
  }
  const auto folder = open_folder_index(dir.path());
  const PrefixIndex& index = (*folder)->index;
  const auto names = [&](const SearchGate& gate) {
    std::string all;
    for (const SearchHit& hit : index.find_tokens(ids, gate, 5)) all += hit.file->name + " ";
    std::string of_text;
    for (const SearchHit& hit : index.find_text("Once", gate, 5)) of_text += hit.file->name + " ";
    CHECK(all == of_text);
    return all;
  };
  CHECK(names({}) == "none.kv t1.kv t2.kv ");
  CHECK(names({"m", "t2"}) == "t2.kv ");
  CHECK(names({"m", ""}) == "none.kv ");
  CHECK(names({"", "t1"}) == "t1.kv ");
  CHECK(names({"n", "t1"}).empty());
}
