// Goal: what comes in several requests is kept as blob/blob.h promises, by every engine; and the
// file engine loses nothing that counted, whenever its process dies.
// Method: the same cases over files, memory and a decorator that injects nothing; a death is the
// end of one store and the opening of another on the same folder.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/boot_id.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/store_damage.h"
#include "blob/blob.h"
#include "support/temp_dir.h"

namespace kvcs {
namespace {

constexpr auto kAsItComes = StagedMode::kAsItComes;
constexpr auto kAllOrNothing = StagedMode::kAllOrNothing;

struct Staging {
  test::TempDir folder;
  std::unique_ptr<BlobStore> base, store;
  explicit Staging(const std::string& kind = "file") {
    if (kind == "memory") {
      store = make_memory_blobs();
      return;
    }
    reopen();
    if (kind != "faulty") return;
    base = std::move(store);
    store = make_faulty_blobs(*base, [](auto, auto) { return ok(); });
  }
  void reopen() {
    store.reset();
    store = open_file_blobs({folder.file("blobs"), 0}).value();
  }
  Status add(const std::string& id, uint64_t from, const std::string& bytes,
             StagedMode mode = kAsItComes) {
    const auto writer = KVCS_TRY(store->open_staged(id, from, bytes.size(), "org", mode));
    for (size_t at = 0; at < bytes.size(); at += 100'000) {
      KVCS_TRY(writer->append(std::string_view(bytes).substr(at, 100'000)));
    }
    return writer->keep();
  }
  uint64_t size(const std::string& id, StagedLook look = StagedLook::kAll) {
    return store->staged_size(id, look).value();
  }
  std::string read_blob(const std::string& digest) {
    const auto reader = store->open(digest);
    REQUIRE(reader.ok());
    std::string bytes((*reader)->size_bytes(), '\0');
    REQUIRE((*reader)->read(0, bytes.data(), bytes.size()).ok());
    return bytes;
  }
  std::set<std::string> staged() {
    std::set<std::string> ids;
    REQUIRE(
        store->for_each_staged([&](std::string_view id) { return ids.emplace(id), ok(); }).ok());
    return ids;
  }
};

}  // namespace

TEST_CASE("staged bytes that were acknowledged and are gone are told, and not counted",
          "[blob][fault]") {
  test::TempDir folder;
  StoreDamage damage({"What was uploaded", "upload.damaged", "upload_damaged", ""});
  const auto store = open_file_blobs({folder.file("blobs"), 0}, &damage).value();
  {
    const auto writer = store->open_staged("one", 0, 1000, "org", kAsItComes).value();
    REQUIRE(writer->append(std::string(1000, 'a')).ok());
    REQUIRE(writer->keep().ok());
  }
  CHECK(store->staged_size("one", StagedLook::kAll).value() == 1000);
  CHECK(damage.status().ok());
  std::filesystem::resize_file(folder.file("blobs") + "/staged/one", 300);
  CHECK(store->staged_size("one", StagedLook::kAll).value() == 300);
  CHECK(damage.status().reason() == "upload_damaged");
  CHECK(damage.take_news()->find("300 bytes are there, and 1000 were acknowledged") !=
        std::string::npos);
  // It goes on from there, with a digest of what is there.
  {
    const auto writer = store->open_staged("one", 300, 10, "org", kAsItComes).value();
    REQUIRE(writer->append("0123456789").ok());
    REQUIRE(writer->keep().ok());
  }
  CHECK(store->staged_digest("one").value() == sha256_hex(std::string(300, 'a') + "0123456789"));
  CHECK_FALSE(damage.take_news().has_value());
}

TEST_CASE("staged bytes become the blob of their digest, in how many steps they came",
          "[blob][contract]") {
  Staging s(GENERATE("file", "memory", "faulty"));
  auto entropy = make_seeded_entropy(5);
  const std::string bytes = entropy->bytes(9'000'001);
  uint64_t at = 0;
  for (const size_t step : {0, 1, 262'144, 5'000'000, 3'737'856}) {
    REQUIRE(s.add("u1", at, bytes.substr(at, step)).ok());
    at += step;
    CHECK(s.size("u1") == at);
  }
  CHECK(at == bytes.size());
  const std::string digest = sha256_hex(bytes);
  CHECK(s.store->staged_digest("u1").value() == digest);
  // Asked again, it is read once more.
  CHECK(s.store->staged_digest("u1").value() == digest);
  CHECK(s.store->stat(digest).code() == Code::kNotFound);
  REQUIRE(s.store->publish_staged("u1", digest).ok());
  CHECK(s.read_blob(digest) == bytes);
  CHECK(s.size("u1") == 0);
  CHECK(s.staged().empty());
  // Repeated, as after a death.
  CHECK(s.store->publish_staged("u1", digest).ok());
  CHECK(s.store->publish_staged("u2", sha256_hex("other")).code() == Code::kNotFound);
}

TEST_CASE("what is staged takes no more bytes than announced, and no other place",
          "[blob][contract]") {
  Staging s(GENERATE("file", "memory", "faulty"));
  REQUIRE(s.add("u1", 0, "0123456789").ok());
  CHECK(s.store->open_staged("u1", 11, 1, "", kAsItComes).code() == Code::kInvalid);
  {
    const auto writer = s.store->open_staged("u1", 10, 3, "", kAsItComes);
    REQUIRE(writer.ok());
    CHECK((*writer)->append("abcd").code() == Code::kTooLarge);
    REQUIRE((*writer)->append("ab").ok());
  }
  // Not kept in so many words, and there all the same: from now on it is.
  CHECK(s.size("u1") == 12);
  CHECK(s.size("u1", StagedLook::kKept) == 12);
  // What lies beyond the place goes.
  REQUIRE(s.add("u1", 4, "X").ok());
  CHECK(s.store->staged_digest("u1").value() == sha256_hex("0123X"));
  for (const char* bad : {"", "..", "a/b", "A", "u1.kept", "x y"}) {
    INFO(bad);
    CHECK(s.store->staged_size(bad, StagedLook::kAll).code() == Code::kInvalid);
    CHECK(s.store->open_staged(bad, 0, 1, "", kAsItComes).code() == Code::kInvalid);
    CHECK(s.store->remove_staged(bad).code() == Code::kInvalid);
    CHECK(s.store->read_staged(bad).code() == Code::kInvalid);
  }
  CHECK(s.store->staged_digest("nobody").code() == Code::kNotFound);
  CHECK(s.store->read_staged("nobody").code() == Code::kNotFound);
  CHECK(s.store->remove_staged("nobody").ok());
  CHECK(s.staged() == std::set<std::string>{"u1"});
  CHECK(s.store->remove_staged("u1").ok());
  CHECK(s.size("u1") == 0);
  CHECK(s.staged().empty());
}

TEST_CASE("all or nothing: what was not kept is not there", "[blob][contract]") {
  Staging s(GENERATE("file", "memory", "faulty"));
  REQUIRE(s.add("u1", 0, "first").ok());
  {
    const auto writer = s.store->open_staged("u1", 5, 100, "", kAllOrNothing);
    REQUIRE(writer.ok());
    REQUIRE((*writer)->append("dropped").ok());
    CHECK(s.size("u1") == 5);
  }
  CHECK(s.size("u1") == 5);
  REQUIRE(s.add("u1", 5, " kept", kAllOrNothing).ok());
  CHECK(s.size("u1") == 10);
  REQUIRE(s.add("u1", 10, " and more").ok());
  CHECK(s.store->staged_digest("u1").value() == sha256_hex("first kept and more"));
  // What cannot begin, as fewer bytes are there, makes none.
  CHECK(s.store->open_staged("u2", 10, 100, "", kAllOrNothing).code() == Code::kInvalid);
  CHECK(s.size("u2") == 0);
}

namespace {

// The folder as a death at this moment leaves it, opened by another life.
std::unique_ptr<BlobStore> next_life(Staging& s, const std::string& name) {
  std::filesystem::copy(s.folder.file("blobs"), s.folder.file(name),
                        std::filesystem::copy_options::recursive);
  return open_file_blobs({s.folder.file(name), 0}).value();
}

struct AnotherBoot {
  AnotherBoot() { set_boot_id("another-boot"); }
  ~AnotherBoot() { set_boot_id(old); }
  const std::string old = boot_id();
};

uint64_t size_in(BlobStore& store) {
  return store.staged_size("u1", StagedLook::kAll).value();
}

}  // namespace

TEST_CASE("staged bytes are there after a death, and what did not count is not", "[blob][fault]") {
  Staging s;
  REQUIRE(s.add("u1", 0, "first").ok());
  s.reopen();
  CHECK(s.size("u1") == 5);
  {
    const auto writer = s.store->open_staged("u1", 5, 100, "", kAsItComes);
    REQUIRE((*writer)->append("half").ok());
    CHECK(s.size("u1", StagedLook::kKept) == 5);
    CHECK(size_in(*next_life(s, "killed")) == 9);
  }
  CHECK(s.size("u1") == 9);
  {
    const auto writer = s.store->open_staged("u1", 9, 100, "", kAllOrNothing);
    REQUIRE((*writer)->append("half of a checked chunk").ok());
    const auto life = next_life(s, "killed_in_chunk");
    CHECK(size_in(*life) == 9);
    const auto next = life->open_staged("u1", 9, 1, "", kAsItComes);
    REQUIRE((*next)->append("!").ok());
    REQUIRE((*next)->keep().ok());
    CHECK(life->staged_digest("u1").value() == sha256_hex("firsthalf!"));
  }
  CHECK(s.size("u1") == 9);
  REQUIRE(s.add("u1", 9, " second", kAllOrNothing).ok());
  s.reopen();
  const std::string digest = sha256_hex("firsthalf second");
  CHECK(s.store->staged_digest("u1").value() == digest);
  REQUIRE(s.store->publish_staged("u1", digest).ok());
  s.reopen();
  CHECK(s.store->publish_staged("u1", digest).ok());
  CHECK(std::filesystem::is_empty(s.folder.file("blobs/staged")));
}

TEST_CASE("after the power went only what was kept is staged", "[blob][fault]") {
  Staging s;
  REQUIRE(s.add("u1", 0, "first").ok());
  {
    const auto writer = s.store->open_staged("u1", 5, 100, "", kAsItComes);
    REQUIRE((*writer)->append("never synced").ok());
    const auto life = next_life(s, "cut");
    {
      const AnotherBoot boot;
      CHECK(size_in(*life) == 5);
    }
    // Asked before the power went, it was kept.
    const auto asked = next_life(s, "asked");
    CHECK(size_in(*asked) == 17);
    const AnotherBoot boot;
    CHECK(size_in(*asked) == 17);
  }
  // A mark of which the newest half was torn says what the one before said.
  const std::string mark = s.folder.file("blobs/staged/u1.kept");
  CHECK(s.size("u1") == 17);
  std::ifstream in(mark, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (const size_t at : {size_t{0}, size_t{4096}}) {
    std::string torn = whole;
    if (at < torn.size()) torn.replace(at, 20, std::string(20, '\0'));
    std::ofstream(mark, std::ios::binary) << torn;
    const AnotherBoot boot;
    INFO(at);
    const uint64_t size = s.size("u1");
    CHECK((size == 17 || size == 5));
  }
  std::ofstream(mark, std::ios::binary) << "";
  CHECK(s.size("u1") == 0);
}

}  // namespace kvcs
