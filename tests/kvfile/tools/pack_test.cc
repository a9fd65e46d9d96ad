// Goal: what was packed comes back byte for byte, damage is found, any zstd reads the frames.
// Method: seeded files of every dtype; every byte of a small pack changed in turn.
#include "kvfile/tools/pack.h"

#include <catch2/catch.hpp>
#include <zstd.h>

#include "kvfile/format/planes.h"
#include "kvfile/support.h"
#include "kvfile/tools/quantize.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

TEST_CASE("pack: every dtype and scheme unpacks to the same bytes, and BF16 shrinks",
          "[unit][kvfile]") {
  TempDir dir;
  for (const Dtype dtype : {Dtype::kF16, Dtype::kBf16, Dtype::kF32}) {
    REQUIRE(write_sample(dir.file("a.kv"), dtype, {2, 2, 300, 64}, 9).ok());
    const auto packed = pack_file(dir.file("a.kv"), dir.file("a.kvz"));
    INFO(packed.status().to_string());
    REQUIRE(packed.ok());
    CHECK(packed->packed_bytes == std::filesystem::file_size(dir.file("a.kvz")));
    CHECK(packed->packed_bytes * 100 < packed->original_bytes * (dtype == Dtype::kF16 ? 95 : 90));
    const auto unpacked = unpack_file(dir.file("a.kvz"), dir.file("b.kv"));
    REQUIRE(unpacked.ok());
    CHECK(read_bytes(dir.file("a.kv")) == read_bytes(dir.file("b.kv")));
    CHECK(unpacked->sha256 == packed->sha256);
  }
  QuantizeOptions options;
  options.input = dir.file("a.kv");
  options.output = dir.file("q.kv");
  REQUIRE(quantize(options).ok());
  REQUIRE(pack_file(dir.file("q.kv"), dir.file("q.kvz")).ok());
  REQUIRE(unpack_file(dir.file("q.kvz"), dir.file("r.kv")).ok());
  CHECK(read_bytes(dir.file("q.kv")) == read_bytes(dir.file("r.kv")));
}

TEST_CASE("pack: the sidecar comes back byte for byte, and none where none was", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 1, 20, 16}, 9).ok());
  Sidecar sidecar = describe_header((*KvFile::open(dir.file("a.kv")))->header());
  sidecar.prompt = "text";
  const std::string as_typed = "  " + dump_sidecar(sidecar) + "\n";
  write_bytes(dir.file("a.kv.json"), as_typed);
  const auto packed = pack_file(dir.file("a.kv"), dir.file("a.kvz"));
  REQUIRE(packed.ok());
  CHECK(packed->sidecar_bytes == as_typed.size());
  CHECK(packed->packed_bytes == std::filesystem::file_size(dir.file("a.kvz")));
  REQUIRE(unpack_file(dir.file("a.kvz"), dir.file("b.kv")).ok());
  CHECK(read_bytes(dir.file("b.kv.json")) == as_typed);
  CHECK(read_bytes(dir.file("b.kv")) == read_bytes(dir.file("a.kv")));
  const std::string bytes = read_bytes(dir.file("a.kvz"));
  std::string planes(std::filesystem::file_size(dir.file("a.kv")), '\0');
  CHECK(ZSTD_decompress(planes.data(), planes.size(), bytes.data(), bytes.size()) == planes.size());

  std::filesystem::remove(dir.file("a.kv.json"));
  CHECK(pack_file(dir.file("a.kv"), dir.file("bare.kvz"))->sidecar_bytes == 0);
  REQUIRE(unpack_file(dir.file("bare.kvz"), dir.file("b.kv")).ok());
  CHECK_FALSE(std::filesystem::exists(dir.file("b.kv.json")));  // The old one was another file's.

  sidecar.num_tokens = 21;
  REQUIRE(write_sidecar(dir.file("a.kv"), sidecar).ok());
  CHECK(pack_file(dir.file("a.kv"), dir.file("no.kvz")).status().message().find("num_tokens") !=
        std::string::npos);
  for (size_t i = bytes.size() - 8 - 48 - 60; i < bytes.size(); i++) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    write_bytes(dir.file("bad.kvz"), bad);
    CHECK(unpack_file(dir.file("bad.kvz"), dir.file("no.kv")).code() == Code::kInvalid);
    write_bytes(dir.file("bad.kvz"), bytes.substr(0, i));
    const bool whole = unpack_file(dir.file("bad.kvz"), dir.file("no.kv")).ok();
    CHECK(whole == (i == read_bytes(dir.file("bare.kvz")).size()));
    if (whole) std::filesystem::remove(dir.file("no.kv"));
  }
  CHECK_FALSE(std::filesystem::exists(dir.file("no.kv")));
}

TEST_CASE("pack: the whole file is frames that any zstd decodes", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kBf16, {1, 1, 20, 16}, 9).ok());
  REQUIRE(pack_file(dir.file("a.kv"), dir.file("a.kvz")).ok());
  const std::string bytes = read_bytes(dir.file("a.kvz"));
  std::string planes(std::filesystem::file_size(dir.file("a.kv")), '\0');
  CHECK(ZSTD_decompress(planes.data(), planes.size(), bytes.data(), bytes.size()) == planes.size());
}

TEST_CASE("pack: a damaged pack never becomes a file", "[fault][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 1, 4, 8}, 9).ok());
  REQUIRE(pack_file(dir.file("a.kv"), dir.file("a.kvz")).ok());
  const std::string good = read_bytes(dir.file("a.kvz"));
  size_t accepted = 0;
  for (size_t i = 0; i < good.size(); i++) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    write_bytes(dir.file("b.kvz"), bad);
    if (unpack_file(dir.file("b.kvz"), dir.file("b.kv")).ok()) {
      accepted++;
      CHECK(read_bytes(dir.file("b.kv")) == read_bytes(dir.file("a.kv")));
      std::filesystem::remove(dir.file("b.kv"));
    }
    CHECK(!std::filesystem::exists(dir.file("b.kv")));
  }
  // The reserved bytes of the index mean nothing yet.
  CHECK(accepted <= 6 * 2 + 4);
  for (const size_t size : {size_t{0}, size_t{10}, size_t{63}, good.size() - 1}) {
    write_bytes(dir.file("b.kvz"), good.substr(0, size));
    CHECK(unpack_file(dir.file("b.kvz"), dir.file("b.kv")).code() == Code::kInvalid);
  }
  CHECK(unpack_file(dir.file("a.kv"), dir.file("b.kv")).code() == Code::kInvalid);
  CHECK(pack_file(dir.file("a.kv"), dir.file("a.kv")).code() == Code::kConflict);
}

TEST_CASE("pack: planes join to what was split", "[unit][kvfile]") {
  std::string data(4096, '\0');
  Noise noise(1);
  for (char& c : data) c = static_cast<char>(noise.next());
  for (const uint8_t width : {uint8_t{1}, uint8_t{2}, uint8_t{4}}) {
    for (const bool rotate : {false, true}) {
      std::string planes(data.size(), '\0'), back(data.size(), '\0');
      split_planes({width, rotate}, data.data(), data.size(), planes.data());
      join_planes({width, rotate}, planes.data(), planes.size(), back.data());
      CHECK(back == data);
    }
  }
}
