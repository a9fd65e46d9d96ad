// Goal: every engine keeps the promises of blob/blob.h. Method: the same cases over files, memory
// and a decorator that injects nothing.
#include <catch2/catch.hpp>

#include <thread>

#include "base/crypto.h"
#include "base/entropy.h"
#include "blob/blob.h"
#include "support/temp_dir.h"

namespace kvcs {
namespace {

struct Engine {
  test::TempDir folder;
  ManualClock clock;
  std::unique_ptr<BlobStore> base, store;
};

std::unique_ptr<Engine> make_engine(const std::string& kind) {
  auto engine = std::make_unique<Engine>();
  if (kind == "memory") {
    engine->store = make_memory_blobs();
    return engine;
  }
  auto files = open_file_blobs({engine->folder.file("blobs"), 0});
  REQUIRE(files.ok());
  engine->store = std::move(files).value();
  if (kind == "faulty") {
    engine->base = std::move(engine->store);
    engine->store = make_faulty_blobs(*engine->base, [](auto, auto) { return ok(); });
  }
  if (kind == "timed") {
    engine->base = std::move(engine->store);
    engine->store = make_timed_blobs(*engine->base, engine->clock, [](auto, auto) {});
  }
  return engine;
}

Status put(BlobStore& store, const std::string& digest, const std::string& bytes, uint64_t size,
           size_t step = 100'000) {
  auto writer = KVCS_TRY(store.begin_write(digest, size));
  for (size_t at = 0; at < bytes.size(); at += step) {
    KVCS_TRY(writer->append(std::string_view(bytes).substr(at, step)));
  }
  return writer->finish();
}
Status put(BlobStore& store, const std::string& bytes) {
  return put(store, sha256_hex(bytes), bytes, bytes.size());
}

std::string read_all(const BlobReader& reader) {
  std::string bytes(reader.size_bytes() + 10, '\0');
  auto n = reader.read(0, bytes.data(), bytes.size());
  REQUIRE(n.ok());
  bytes.resize(*n);
  return bytes;
}

size_t count(const BlobStore& store) {
  size_t n = 0;
  REQUIRE(store
              .for_each([&](auto, auto, auto) {
                n++;
                return ok();
              })
              .ok());
  return n;
}

}  // namespace

TEST_CASE("a blob comes back as it was written, whatever its size", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  auto entropy = make_seeded_entropy(7);
  // Around the chunk of the file engine, and long enough for its thread and several turns of its
  // ring.
  for (const size_t size : {0, 1, 4095, 262'143, 262'144, 262'145, 4'194'304, 11'000'001}) {
    const std::string bytes = entropy->bytes(size);
    const std::string digest = sha256_hex(bytes);
    CHECK(engine->store->open(digest).code() == Code::kNotFound);
    REQUIRE(put(*engine->store, bytes).ok());
    auto reader = engine->store->open(digest);
    REQUIRE(reader.ok());
    CHECK((*reader)->size_bytes() == size);
    CHECK(read_all(**reader) == bytes);
    CHECK(*engine->store->stat(digest) == size);
  }
}

TEST_CASE("a range read stops at the end of the blob", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  REQUIRE(put(*engine->store, "0123456789").ok());
  auto reader = engine->store->open(sha256_hex("0123456789"));
  char out[8] = {};
  CHECK(*(*reader)->read(7, out, 8) == 3);
  CHECK(std::string(out, 3) == "789");
  CHECK(*(*reader)->read(10, out, 8) == 0);
  CHECK(*(*reader)->read(~uint64_t{0} >> 2, out, 8) == 0);
}

TEST_CASE("bytes that are not what was announced never become visible", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  const std::string digest = sha256_hex("right");
  const Status wrong = put(*engine->store, digest, "wrong", 5);
  CHECK(wrong.code() == Code::kInvalid);
  CHECK(wrong.message() == "sha256 mismatch");
  CHECK(wrong.details_json() ==
        "{\"expected\":\"" + digest + "\",\"actual\":\"" + sha256_hex("wrong") + "\"}");
  const Status short_one = put(*engine->store, digest, "righ", 5);
  CHECK(short_one.message() == "size mismatch");
  CHECK(short_one.details_json() == R"({"expected":5,"actual":4})");
  CHECK(put(*engine->store, digest, "right and more", 5).code() == Code::kTooLarge);
  CHECK(count(*engine->store) == 0);
  CHECK(*engine->store->remove_stale_temps() == 0);
}

TEST_CASE("an upload without a digest is stored under the one its bytes have", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  auto writer = engine->store->begin_write("", 3);
  REQUIRE((*writer)->append("abc").ok());
  REQUIRE((*writer)->finish().ok());
  CHECK((*writer)->sha256_hex() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(engine->store->stat(sha256_hex("abc")).ok());
}

TEST_CASE("only digests in lower-case hex name blobs", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  const std::string good = sha256_hex("x");
  for (const std::string& bad : {std::string("../../etc/passwd"), good.substr(1), good + "0",
                                 "G" + good.substr(1), std::string(64, 'A')}) {
    CHECK(engine->store->begin_write(bad, 1).code() == Code::kInvalid);
    CHECK(engine->store->open(bad).code() == Code::kInvalid);
    CHECK(engine->store->stat(bad).code() == Code::kInvalid);
    CHECK(engine->store->remove(bad).code() == Code::kInvalid);
  }
  CHECK(engine->store->open("").code() == Code::kInvalid);
}

TEST_CASE("an open blob stays readable after its removal", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  REQUIRE(put(*engine->store, "stay").ok());
  auto reader = engine->store->open(sha256_hex("stay"));
  REQUIRE(engine->store->remove(sha256_hex("stay")).ok());
  CHECK(engine->store->remove(sha256_hex("stay")).ok());
  CHECK(engine->store->stat(sha256_hex("stay")).code() == Code::kNotFound);
  CHECK(read_all(**reader) == "stay");
}

TEST_CASE("the same bytes written by several at once are one blob", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  const std::string bytes = make_seeded_entropy(3)->bytes(5 << 20);
  std::vector<std::thread> writers;
  std::atomic<int> stored{0};
  for (int i = 0; i < 6; i++) {
    writers.emplace_back([&] { stored += put(*engine->store, bytes).ok() ? 1 : 0; });
  }
  for (auto& writer : writers) writer.join();
  CHECK(stored == 6);
  CHECK(count(*engine->store) == 1);
  CHECK(read_all(**engine->store->open(sha256_hex(bytes))) == bytes);
}

TEST_CASE("a visitor of the blobs sees each with its size, and can stop", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  for (const char* bytes : {"a", "bb", "ccc"}) REQUIRE(put(*engine->store, bytes).ok());
  uint64_t total = 0;
  REQUIRE(engine->store
              ->for_each([&](std::string_view digest, uint64_t size, int64_t age_s) {
                CHECK(digest.size() == 64);
                CHECK(age_s < 60);
                total += size;
                return ok();
              })
              .ok());
  CHECK(total == 6);
  int seen = 0;
  CHECK(engine->store
            ->for_each([&](auto, auto, auto) {
              seen++;
              return conflict("enough");
            })
            .code() == Code::kConflict);
  CHECK(seen == 1);
}

TEST_CASE("a blob that is set aside is not served, and can be put back", "[blob][contract]") {
  auto engine = make_engine(GENERATE("file", "memory", "faulty", "timed"));
  const BlobShelf shelf = GENERATE(BlobShelf::kTrash, BlobShelf::kDamaged);
  BlobStore& store = *engine->store;
  const std::string digest = sha256_hex("aside");
  CHECK(store.set_aside(digest, shelf).code() == Code::kNotFound);
  CHECK(store.put_back(digest, shelf).code() == Code::kNotFound);
  CHECK(store.remove_aside(digest, shelf).ok());
  const auto on_shelf = [&] {
    std::vector<std::string> found;
    REQUIRE(store
                .for_each_aside(shelf,
                                [&](std::string_view name, uint64_t size, int64_t age_s) {
                                  CHECK(size == 5);
                                  CHECK(age_s < 60);
                                  found.emplace_back(name);
                                  return ok();
                                })
                .ok());
    return found;
  };
  CHECK(on_shelf().empty());
  REQUIRE(put(store, "aside").ok());
  REQUIRE(put(store, "other").ok());
  REQUIRE(store.set_aside(digest, shelf).ok());
  CHECK(store.open(digest).code() == Code::kNotFound);
  CHECK(count(store) == 1);
  CHECK(on_shelf() == std::vector<std::string>{digest});
  REQUIRE(store.put_back(digest, shelf).ok());
  CHECK(on_shelf().empty());
  CHECK(read_all(**store.open(digest)) == "aside");
  // Over what lies there already.
  REQUIRE(store.set_aside(digest, shelf).ok());
  REQUIRE(put(store, "aside").ok());
  REQUIRE(store.set_aside(digest, shelf).ok());
  CHECK(on_shelf().size() == 1);
  REQUIRE(store.remove_aside(digest, shelf).ok());
  CHECK(on_shelf().empty());
  CHECK(store.set_aside("../x", shelf).code() == Code::kInvalid);
  CHECK(store.put_back("../x", shelf).code() == Code::kInvalid);
}

}  // namespace kvcs
