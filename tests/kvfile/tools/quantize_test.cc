// Goal: every scheme keeps its bound, int8 is kvcdn's to the byte, gates and faults leave nothing
// behind. Method: seeded caches of awkward sizes, bounds computed from the scheme's own scales.
#include "kvfile/tools/quantize.h"

#include <catch2/catch.hpp>

#include "kvfile/format/tiles.h"
#include "kvfile/support.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

const Scheme kSchemes[] = {Scheme::kInt8,  Scheme::kInt8c,   Scheme::kQ8,
                           Scheme::kInt4c, Scheme::kFp8E4m3, Scheme::kFp8E5m2};

Result<QuantizeReport> run(const std::string& input, const std::string& output, Scheme scheme,
                           bool rotate = false) {
  QuantizeOptions options;
  options.input = input;
  options.output = output;
  options.scheme = scheme;
  options.rotate_hadamard = rotate;
  options.verify = true;
  return quantize(options);
}

std::vector<float> values_of(const KvFile& file, Part part, uint64_t layer) {
  auto reader = TileReader::create(file);
  REQUIRE(reader.ok());
  const KvHeader& header = file.header();
  std::vector<float> all;
  for (const Tile& tile : tiles_of(geometry_of(header), part, layer)) {
    std::vector<float> x(tile.rows * header.head_dim);
    REQUIRE(reader->read(tile, x.data()).ok());
    all.insert(all.end(), x.begin(), x.end());
  }
  return all;
}

// The least SNR that a scheme must reach on the sample data.
double expected_snr(Scheme scheme) {
  switch (scheme) {
    case Scheme::kInt8c:
      return 38;
    case Scheme::kQ8:
      return 38;
    case Scheme::kInt8:
      return 30;
    case Scheme::kFp8E4m3:
      return 30;
    case Scheme::kFp8E5m2:
      return 24;
    default:
      return 18;
  }
}

std::string plain_file(const std::string& path, const std::vector<float>& keys, Dtype dtype) {
  auto header = make_header(layout_tensors(Scheme::kPlain, dtype, {1, 1, 1, keys.size()}), {});
  REQUIRE(header.ok());
  auto writer = KvWriter::create(path, std::move(*header));
  REQUIRE(writer.ok());
  std::string bytes;
  for (const float value : keys) bytes += encode_value(dtype, value);
  for (const Tensor& tensor : (*writer)->header().tensors) {
    REQUIRE((*writer)->write(tensor, 0, bytes.data(), bytes.size()).ok());
  }
  REQUIRE((*writer)->publish().ok());
  return path;
}

}  // namespace

TEST_CASE("quantize: every scheme reads back within its error, for every dtype and size",
          "[unit][kvfile]") {
  TempDir dir;
  const Geometry sizes[] = {{1, 1, 1, 32}, {2, 2, 300, 64}, {1, 3, 257, 96}, {1, 1, 140, 32}};
  for (const Dtype dtype : {Dtype::kF16, Dtype::kBf16, Dtype::kF32}) {
    for (const Geometry& size : sizes) {
      REQUIRE(write_sample(dir.file("a.kv"), dtype, size, 3).ok());
      for (const Scheme scheme : kSchemes) {
        INFO(scheme_name(scheme) << " " << dtype_name(dtype) << " tokens " << size.tokens);
        const auto report = run(dir.file("a.kv"), dir.file("q.kv"), scheme);
        INFO(report.status().message());
        REQUIRE(report.ok());
        CHECK(report->verified);
        CHECK(report->header.scheme == scheme);
        CHECK(report->errors->keys.snr_db > expected_snr(scheme));
        if (size.tokens > 1) CHECK(report->errors->values.snr_db > expected_snr(scheme) - 2);
        CHECK(verify({.path = dir.file("q.kv")})->verdict == Verdict::kVerified);
        REQUIRE(dequantize({.input = dir.file("q.kv"), .output = dir.file("d.kv")}).ok());
        const auto back = KvFile::open(dir.file("d.kv"));
        const auto codes = KvFile::open(dir.file("q.kv"));
        REQUIRE(back.ok());
        CHECK((*back)->header().dtype == (scheme == Scheme::kInt8 ? Dtype::kF16 : dtype));
        const auto same = compare(**codes, **back);
        REQUIRE(same.ok());
        CHECK(same->snr_min_db > (dtype == Dtype::kBf16 ? 48 : 60));
      }
    }
  }
}

TEST_CASE("quantize: int8 gives kvcdn's golden codes, layout, sidecar and event",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string path = plain_file(
      dir.file("a.kv"), {0, 1, -1, .5F, -.5F, .1F, -.7F, .25F, .33333334F, .996063F}, Dtype::kF32);
  const auto report = run(path, dir.file("q.kv"), Scheme::kInt8);
  REQUIRE(report.ok());
  const std::string bytes = read_bytes(dir.file("q.kv"));
  const std::string json = R"({"k_0_s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                           R"("v_0_s":{"dtype":"F32","shape":[],"data_offsets":[4,8]},)"
                           R"("k_0_q":{"dtype":"U8","shape":[1,1,1,10],"data_offsets":[8,18]},)"
                           R"("v_0_q":{"dtype":"U8","shape":[1,1,1,10],"data_offsets":[18,28]}})";
  CHECK(bytes.substr(8, json.size()) == json);
  const std::vector<uint8_t> codes = {128, 255, 1, 192, 64, 141, 39, 160, 170, 255};
  CHECK(bytes.substr(bytes.size() - 10) == std::string(codes.begin(), codes.end()));
  CHECK(bytes.substr(bytes.size() - 28, 8) == std::string("\0\0\x80\x3f\0\0\x80\x3f", 8));
  const auto sidecar = read_sidecar(dir.file("q.kv"));
  REQUIRE((sidecar.ok() && *sidecar));
  CHECK((*sidecar)->dtype == "F16");
  CHECK((*sidecar)->storage_dtype == "U8");
  CHECK((*sidecar)->quantized);
  const std::string event = read_bytes(dir.file("q.kv.quant-event.json"));
  CHECK(event.find("\"verification_result\": \"Match\"") != std::string::npos);
  CHECK(event.find("+00:00\"\n}") != std::string::npos);
}

TEST_CASE(
    "quantize: int8 codes and scales follow the recipe to the bit for every dtype and odd size",
    "[unit][kvfile]") {
  TempDir dir;
  for (const Dtype dtype : {Dtype::kF16, Dtype::kBf16, Dtype::kF32}) {
    REQUIRE(write_sample(dir.file("a.kv"), dtype, {2, 3, 37, 24}, 11).ok());
    REQUIRE(run(dir.file("a.kv"), dir.file("q.kv"), Scheme::kInt8).ok());
    const auto a = KvFile::open(dir.file("a.kv")), q = KvFile::open(dir.file("q.kv"));
    REQUIRE((a.ok() && q.ok()));
    for (const char* name : {"k_0", "v_0", "k_1", "v_1"}) {
      const Part part = name[0] == 'k' ? Part::kKeys : Part::kValues;
      const std::vector<float> x = values_of(**a, part, static_cast<uint64_t>(name[2] - '0'));
      float scale = 1e-12F;
      for (const float value : x) scale = std::max(scale, std::fabs(value));
      std::string codes;
      for (const float value : x) {
        const float unit = value / scale;
        const float step = unit * 127.0F;
        const float code = std::clamp(std::round(step), -127.0F, 127.0F) + 128.0F;
        codes += static_cast<char>(static_cast<uint8_t>(code));
      }
      std::string stored(codes.size(), '\0');
      REQUIRE((*q)->read(*(*q)->header().find(std::string(name) + "_q"), 0, stored.data(),
                         stored.size())
                  .ok());
      CHECK(stored == codes);
      float stored_scale = 0;
      REQUIRE((*q)->read(*(*q)->header().find(std::string(name) + "_s"), 0, &stored_scale, 4).ok());
      CHECK(std::memcmp(&stored_scale, &scale, 4) == 0);
    }
  }
}

TEST_CASE("quantize: all zeros and huge values have a usable scale in every scheme",
          "[unit][kvfile]") {
  TempDir dir;
  const std::string zeros = plain_file(dir.file("z.kv"), std::vector<float>(64, 0.0F), Dtype::kF16);
  std::vector<float> large(64, 1.0F);
  large[3] = 3.4e38F;
  large[4] = -3.4e38F;
  const std::string huge = plain_file(dir.file("h.kv"), large, Dtype::kF32);
  for (const Scheme scheme : kSchemes) {
    INFO(scheme_name(scheme));
    CHECK(run(zeros, dir.file("q.kv"), scheme).ok());
    const auto q = KvFile::open(dir.file("q.kv"));
    for (const float y : values_of(**q, Part::kKeys, 0)) CHECK(y == 0.0F);
    const bool holds =
        scheme == Scheme::kInt8 || scheme == Scheme::kInt8c || scheme == Scheme::kInt4c;
    const auto report = run(huge, dir.file("r.kv"), scheme);
    CHECK(report.ok() == holds);
    if (!holds) CHECK(report.status().message().find("out of the range") != std::string::npos);
  }
}

TEST_CASE("quantize: values that are not finite are refused, or replaced and counted",
          "[unit][kvfile]") {
  TempDir dir;
  std::vector<float> x(64, 2.0F);
  x[5] = NAN;
  x[6] = -INFINITY;
  const std::string path = plain_file(dir.file("a.kv"), x, Dtype::kF16);
  const auto refused = run(path, dir.file("q.kv"), Scheme::kInt8c);
  CHECK(refused.code() == Code::kInvalid);
  CHECK(refused.status().message().find("2 values are NaN or infinite") != std::string::npos);
  CHECK(count_files(dir.path()) == 1);
  QuantizeOptions options;
  options.input = path;
  options.output = dir.file("q.kv");
  options.saturate_nonfinite = true;
  const auto report = quantize(options);
  REQUIRE(report.ok());
  CHECK(report->nonfinite == 4);
}

TEST_CASE("quantize: values whose squares floats cannot hold have true figures", "[unit][kvfile]") {
  TempDir dir;
  const std::string huge = data_path("malicious/huge-f32.kv"), out = dir.file("out.kv");
  const auto exact = quantize({.input = huge, .output = out, .scheme = Scheme::kInt4c});
  REQUIRE(exact.ok());  // The first tokens, and with them the huge values, are kept as they are.
  CHECK(exact->errors->keys.error_max < 0.01);
  CHECK(exact->errors->keys.snr_db > 200);
  CHECK(exact->errors->keys.cosine_min == Approx(1));
  const auto fair = quantize({.input = huge, .output = out});
  REQUIRE(fair.ok());
  CHECK(fair->errors->keys.snr_db > 40);
  CHECK(fair->errors->keys.snr_db < 100);
  // kvcdn's recipe goes beyond what a float holds on the way back.
  const auto lost = quantize({.input = huge, .output = out, .scheme = Scheme::kInt8});
  REQUIRE(lost.ok());
  CHECK(lost->errors->keys.snr_db == -INFINITY);
  CHECK(lost->errors->keys.error_max == INFINITY);
  CHECK(read_bytes(out + ".quant-event.json").find("1.7976931348623157e+308") != std::string::npos);
  for (const bool attention : {false, true}) {
    QuantizeOptions gated{.input = huge, .output = dir.file("gated.kv"), .scheme = Scheme::kInt8};
    (attention ? gated.max_attention_error : gated.min_snr_db) = 1;
    CHECK(quantize(gated).status().reason() == "gate_failed");
  }
  CHECK_FALSE(std::filesystem::exists(dir.file("gated.kv")));
}

TEST_CASE("quantize: a gate that fails leaves no output", "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 2, 64, 32}).ok());
  QuantizeOptions options;
  options.input = dir.file("a.kv");
  options.output = dir.file("q.kv");
  options.min_snr_db = 90;
  CHECK(quantize(options).status().reason() == "gate_failed");
  options.min_snr_db.reset();
  options.max_attention_error = 1e-6;
  CHECK(quantize(options).status().reason() == "gate_failed");
  CHECK(count_files(dir.path()) == 1);
  options.output = options.input;
  CHECK(quantize(options).code() == Code::kConflict);
  options.output = dir.file("q.kv");
  options.max_attention_error.reset();
  REQUIRE(quantize(options).ok());
  options.input = dir.file("q.kv");
  options.output = dir.file("r.kv");
  CHECK(quantize(options).status().message().find("already int8c") != std::string::npos);
}

TEST_CASE("quantize: the source's digest and the rotation stand in the metadata",
          "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(
      write_sample(dir.file("a.kv"), Dtype::kF16, {1, 2, 64, 96}, 1, {{"kvcs.model", "m"}}).ok());
  const auto plain = run(dir.file("a.kv"), dir.file("p.kv"), Scheme::kQ8);
  const auto report = run(dir.file("a.kv"), dir.file("q.kv"), Scheme::kQ8, true);
  REQUIRE((plain.ok() && report.ok()));
  const auto file = KvFile::open(dir.file("q.kv"));
  REQUIRE(file.ok());
  const KvHeader& header = (*file)->header();
  CHECK(*header.metadata_value("kvcs.source_sha256") == report->source_sha256);
  CHECK(report->source_sha256 == verify({.path = dir.file("a.kv")})->sha256);
  CHECK(*header.metadata_value("kvcs.rotation") == "hadamard-32");
  CHECK(*header.metadata_value("kvcs.model") == "m");
  CHECK(report->errors->keys.snr_db > plain->errors->keys.snr_db);
}

TEST_CASE("compare: files of different size are refused, equal ones have no error",
          "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 2, 64, 32}).ok());
  REQUIRE(write_sample(dir.file("b.kv"), Dtype::kF16, {1, 2, 65, 32}).ok());
  const auto a = KvFile::open(dir.file("a.kv")), b = KvFile::open(dir.file("b.kv"));
  const std::string refused = compare(**a, **b).status().message();
  CHECK(refused.find("1 layer, 2 heads, 64 tokens, head_dim 32 and 1 layer, 2 heads, 65 tokens") !=
        std::string::npos);
  CHECK(refused.find("`kvcs slice` with --tokens 0:64 cuts the larger") != std::string::npos);
  REQUIRE(write_sample(dir.file("c.kv"), Dtype::kF16, {1, 2, 64, 16}).ok());
  CHECK(
      compare(**a, **KvFile::open(dir.file("c.kv"))).status().message().find("not of one model") !=
      std::string::npos);
  const auto same = compare(**a, **a);
  REQUIRE(same.ok());
  CHECK(std::isinf(same->snr_min_db));
  CHECK(same->attention_error_max == 0.0);
  CHECK(same->keys.cosine_min == Approx(1.0));
}
