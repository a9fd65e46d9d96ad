// Goal: a slice is a valid file with the bytes of its tokens and layers, and slices put together
// are the whole again. Method: seeded files of every scheme, decoded and compared.
#include "kvfile/tools/slice.h"

#include <catch2/catch.hpp>

#include "kvfile/format/tiles.h"
#include "kvfile/support.h"
#include "kvfile/tools/quantize.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

std::vector<float> rows_of(const std::string& path, Part part, uint64_t layer, uint64_t head) {
  const auto file = KvFile::open(path);
  REQUIRE(file.ok());
  auto reader = TileReader::create(**file);
  REQUIRE(reader.ok());
  std::vector<float> all;
  for (const Tile& tile : tiles_of(geometry_of((*file)->header()), part, layer)) {
    if (tile.head != head) continue;
    std::vector<float> x(tile.rows * (*file)->header().head_dim);
    REQUIRE(reader->read(tile, x.data()).ok());
    all.insert(all.end(), x.begin(), x.end());
  }
  return all;
}

Status cut(const std::string& from, const std::string& to, const std::string& tokens,
           const std::string& layers = ":") {
  SliceOptions options;
  options.input = from;
  options.output = to;
  options.spec.tokens = KVCS_TRY(parse_index_range(tokens, "tokens"));
  options.spec.layers = KVCS_TRY(parse_index_range(layers, "layers"));
  return slice_file(options).status();
}

void add_sidecar(const std::string& path) {
  Sidecar sidecar = describe_header((*KvFile::open(path))->header());
  sidecar.prompt = "text";
  sidecar.tokens.emplace();
  for (uint32_t i = 0; i < sidecar.num_tokens; i++) sidecar.tokens->push_back(100 + i);
  REQUIRE(write_sidecar(path, sidecar).ok());
}

}  // namespace

TEST_CASE("slice: two slices of any scheme hold together what the whole holds", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {3, 2, 700, 64}, 5).ok());
  add_sidecar(dir.file("a.kv"));
  for (const Scheme scheme : {Scheme::kPlain, Scheme::kInt8, Scheme::kInt8c, Scheme::kQ8,
                              Scheme::kInt4c, Scheme::kFp8E4m3}) {
    INFO(scheme_name(scheme));
    std::string whole = dir.file("a.kv");
    if (scheme != Scheme::kPlain) {
      QuantizeOptions options;
      options.input = whole;
      options.output = whole = dir.file("q.kv");
      options.scheme = scheme;
      REQUIRE(quantize(options).ok());
    }
    for (const std::string& middle : {std::string("256"), std::string("512")}) {
      const Status first = cut(whole, dir.file("1.kv"), "0:" + middle);
      INFO(first.message());
      REQUIRE(first.ok());
      REQUIRE(cut(whole, dir.file("2.kv"), middle + ":").ok());
      for (const char* name : {"1.kv", "2.kv"}) {
        const auto report = verify({.path = dir.file(name)});
        INFO(report->why);
        CHECK(report->verdict == Verdict::kVerified);
        CHECK(report->has_sidecar);
      }
      for (uint64_t i = 0; i < 12; i++) {
        const Part part = i % 2 == 0 ? Part::kKeys : Part::kValues;
        std::vector<float> joined = rows_of(dir.file("1.kv"), part, i / 4, i / 2 % 2);
        const std::vector<float> tail = rows_of(dir.file("2.kv"), part, i / 4, i / 2 % 2);
        joined.insert(joined.end(), tail.begin(), tail.end());
        CHECK(joined == rows_of(whole, part, i / 4, i / 2 % 2));
      }
    }
  }
}

TEST_CASE("slice: layers are renumbered, positions and token ids recorded", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {12, 2, 40, 16}, 5).ok());
  add_sidecar(dir.file("a.kv"));
  REQUIRE(cut(dir.file("a.kv"), dir.file("b.kv"), "8:30", "9:11").ok());
  const auto file = KvFile::open(dir.file("b.kv"));
  REQUIRE(file.ok());
  CHECK((*file)->header().layers == 2);
  CHECK((*file)->header().tokens == 22);
  CHECK(*(*file)->header().metadata_value("kvcs.position_offset") == "8");
  CHECK(*(*file)->header().metadata_value("kvcs.first_layer") == "9");
  const auto sidecar = read_sidecar(dir.file("b.kv"));
  CHECK((*sidecar)->tokens->front() == 108);
  CHECK((*sidecar)->tokens->size() == 22);
  CHECK(!(*sidecar)->prompt);
  const std::vector<float> all = rows_of(dir.file("a.kv"), Part::kValues, 10, 1);
  const std::vector<float> part(all.begin() + 8 * 16, all.begin() + 30 * 16);
  CHECK(rows_of(dir.file("b.kv"), Part::kValues, 1, 1) == part);
  REQUIRE(cut(dir.file("b.kv"), dir.file("c.kv"), "2:", "1:").ok());
  const auto twice = KvFile::open(dir.file("c.kv"));
  CHECK(*(*twice)->header().metadata_value("kvcs.position_offset") == "10");
  CHECK(*(*twice)->header().metadata_value("kvcs.first_layer") == "10");
}

TEST_CASE("slice: any byte range of the planned file equals that of the written one",
          "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {2, 3, 50, 16}, 5).ok());
  REQUIRE(cut(dir.file("a.kv"), dir.file("b.kv"), "5:33").ok());
  const std::string written = read_bytes(dir.file("b.kv"));
  const auto file = KvFile::open(dir.file("a.kv"));
  const auto plan = plan_slice((*file)->header(), {.tokens = {5, 33}, .layers = {}});
  REQUIRE(plan.ok());
  REQUIRE(plan->size_bytes == written.size());
  const ReadSource source = [&](uint64_t offset, void* out, size_t n) {
    return (*file)->read(offset, out, n);
  };
  Noise noise(3);
  for (int i = 0; i < 200; i++) {
    const size_t offset = noise.next() % (written.size() + 1);
    const size_t size = noise.next() % (written.size() - offset + 1);
    std::string out(size, '\0');
    REQUIRE(read_slice(*plan, source, offset, out.data(), size).ok());
    CHECK(out == written.substr(offset, size));
  }
}

TEST_CASE("slice: ranges that cannot be are refused with what would do", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {2, 1, 300, 32}, 5).ok());
  QuantizeOptions options;
  options.input = dir.file("a.kv");
  options.output = dir.file("q.kv");
  REQUIRE(quantize(options).ok());
  const auto refuses = [&](const char* tokens, const char* layers, const char* why) {
    const Status status = cut(dir.file("q.kv"), dir.file("x.kv"), tokens, layers);
    INFO(status.message());
    CHECK(status.message().find(why) != std::string::npos);
    CHECK(!std::filesystem::exists(dir.file("x.kv")));
  };
  refuses("100:200", ":", "begin at 0 or 256");
  refuses("300:400", ":", "beyond the 300 tokens");
  refuses(":", "2:3", "beyond the 2 layers");
  refuses("5:5", ":", "is empty");
  refuses("5", ":", "is not a:b");
  refuses("a:b", ":", "tokens");
  CHECK(cut(dir.file("a.kv"), dir.file("a.kv"), "0:5").code() == Code::kConflict);
}
