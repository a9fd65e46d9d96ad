// Goal: no value is further from what it was than half a step of its scheme allows. Method: the
// allowed error of every value from the original alone, as the formats state it, against what the
// file gives back; rotated schemes are judged among the rotated values, where their steps lie.
#include <catch2/catch.hpp>

#include "kvfile/format/tiles.h"
#include "kvfile/support.h"
#include "kvfile/tools/quantize.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::TempDir;

namespace {

constexpr size_t kTokens = 520, kDim = 64, kHeads = 2;
constexpr size_t kKeptFirst = 4, kKeptLast = 128;  // int4c

using Matrix = std::vector<float>;  // kTokens rows of kDim.

std::vector<Matrix> heads_of(const std::string& path, Part part) {
  const auto file = KvFile::open(path);
  REQUIRE(file.ok());
  auto reader = TileReader::create(**file);
  std::vector<Matrix> heads(kHeads);
  for (const Tile& tile : tiles_of(geometry_of((*file)->header()), part, 0)) {
    Matrix x(tile.rows * kDim);
    REQUIRE(reader->read(tile, x.data()).ok());
    heads[tile.head].insert(heads[tile.head].end(), x.begin(), x.end());
  }
  return heads;
}

// A rectangle of values that share a scale.
struct Group {
  size_t row, rows, column, columns;
};
std::vector<Group> groups_of(Scheme scheme, Part part) {
  std::vector<Group> groups;
  const bool int4 = scheme == Scheme::kInt4c;
  const size_t first = int4 ? kKeptFirst : 0, end = int4 ? kTokens - kKeptLast : kTokens;
  const bool columns = part == Part::kKeys && (int4 || scheme == Scheme::kInt8c);
  const size_t tile = int4 ? kInt4Group : kTileTokens;
  const size_t width = scheme == Scheme::kQ8 ? kQ8Block : kDim;
  if (scheme == Scheme::kInt8) return {{0, kTokens, 0, kDim}};
  for (size_t row = first; row < end;) {
    const size_t stop = columns ? std::min(end, (row / tile + 1) * tile) : row + 1;
    for (size_t column = 0; column < kDim; column += columns ? 1 : width) {
      groups.push_back({row, stop - row, column, columns ? 1 : width});
    }
    row = stop;
  }
  return groups;
}

// `tensor_max`: of all heads, which share int8's scale.
float allowed_in_group(Scheme scheme, float low, float high, float tensor_max) {
  const float max = std::max(std::fabs(low), std::fabs(high));
  switch (scheme) {
    case Scheme::kInt8:
      return tensor_max / 254.0F;
    case Scheme::kInt8c:  // The scale is a bfloat16, rounded up.
      return max / 254.0F * (1 + 0x1p-7F);
    case Scheme::kQ8:  // The code is by the exact scale, the stored one a half.
      return max / 254.0F + max * 0x1p-11F;
    default:  // int4c: minimum and scale are bfloat16.
      return (high - low + std::fabs(low) * 0x1p-7F) / 30.0F * (1 + 0x1p-7F);
  }
}

// The largest share of its allowance that any value used.
double worst_share(Scheme scheme, Part part, const Matrix& x, const Matrix& y, float tensor_max) {
  double worst = 0;
  const auto judge = [&](size_t at, float allowed) {
    const double error = std::fabs(double{x[at]} - double{y[at]});
    // Float arithmetic on the way, rotations included.
    const double slack = 4e-6 * (std::fabs(double{x[at]}) + 1);
    worst = std::max(worst, std::max(0.0, error - slack) / double{allowed});
  };
  if (scheme == Scheme::kFp8E4m3 || scheme == Scheme::kFp8E5m2) {
    const bool e4m3 = scheme == Scheme::kFp8E4m3;
    for (size_t i = 0; i < x.size(); i++) {
      const float half_step = std::fabs(x[i]) * (e4m3 ? 0x1p-4F : 0x1p-3F);
      judge(i, std::max(half_step, e4m3 ? 0x1p-10F : 0x1p-17F));
    }
    return worst;
  }
  for (const Group& group : groups_of(scheme, part)) {
    float low = INFINITY, high = -INFINITY;
    const auto each = [&](const auto& visit) {
      for (size_t r = group.row; r < group.row + group.rows; r++) {
        for (size_t c = group.column; c < group.column + group.columns; c++) visit(r * kDim + c);
      }
    };
    each([&](size_t at) {
      low = std::min(low, x[at]);
      high = std::max(high, x[at]);
    });
    const float allowed = allowed_in_group(scheme, low, high, tensor_max);
    each([&](size_t at) { judge(at, allowed); });
  }
  return worst;
}

void check_bounds(const std::string& in, const std::string& out, Scheme scheme, bool rotate) {
  QuantizeOptions options;
  options.input = in;
  options.output = out;
  options.scheme = scheme;
  options.rotate_hadamard = rotate;
  REQUIRE(quantize(options).ok());
  for (const Part part : {Part::kKeys, Part::kValues}) {
    std::vector<Matrix> before = heads_of(in, part), after = heads_of(out, part);
    float tensor_max = 0;
    for (const Matrix& head : before) {
      for (const float value : head) tensor_max = std::max(tensor_max, std::fabs(value));
    }
    double worst = 0;
    for (size_t head = 0; head < kHeads; head++) {
      Matrix &x = before[head], &y = after[head];
      for (size_t row = 0; scheme == Scheme::kInt4c && row < kTokens; row++) {
        const bool kept = row < kKeptFirst || row >= kTokens - kKeptLast;
        if (kept) CHECK(std::memcmp(&x[row * kDim], &y[row * kDim], 4 * kDim) == 0);
      }
      if (rotate) {
        scalar_kernels().hadamard(x.data(), kTokens, kDim);
        scalar_kernels().hadamard(y.data(), kTokens, kDim);
      }
      worst = std::max(worst, worst_share(scheme, part, x, y, tensor_max));
    }
    INFO((part == Part::kKeys ? "keys" : "values"));
    CHECK(worst <= 1.0001);
    CHECK(worst > 0.8);  // The allowance is no empty promise.
  }
}

}  // namespace

TEST_CASE("quantize: no value errs by more than half a step of its scheme", "[unit][kvfile]") {
  TempDir dir;
  const Scheme schemes[] = {Scheme::kInt8,  Scheme::kInt8c,   Scheme::kQ8,
                            Scheme::kInt4c, Scheme::kFp8E4m3, Scheme::kFp8E5m2};
  for (const uint64_t seed : {1, 2, 3}) {
    REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF32, {1, kHeads, kTokens, kDim}, seed).ok());
    for (const Scheme scheme : schemes) {
      for (const bool rotate : {false, true}) {
        if (rotate && scheme != Scheme::kQ8 && scheme != Scheme::kInt4c) continue;
        INFO(scheme_name(scheme) << (rotate ? ", rotated" : "") << ", seed " << seed);
        check_bounds(dir.file("a.kv"), dir.file("q.kv"), scheme, rotate);
      }
    }
  }
}

TEST_CASE("dequantize: a scale that no writer made gives no values", "[unit][kvfile]") {
  TempDir dir;
  for (const char* const name : {"q-scale-inf.kv", "q-scale-neg.kv"}) {
    const Status status =
        dequantize({.input = data_path(std::string("malicious/") + name), .output = dir.file("o")})
            .status();
    INFO(name << ": " << status.message());
    CHECK(status.message().find("a scale is not finite and above zero") != std::string::npos);
  }
  CHECK(count_files(dir.path()) == 0);
}

TEST_CASE("dequantize: what F16 or BF16 cannot hold is refused, or cut to the largest value",
          "[unit][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF32, {1, 1, 8, 32}).ok());
  std::string bytes = read_bytes(dir.file("a.kv"));
  for (const auto& [dtype, value, most] :
       {std::tuple{Dtype::kF16, 70'000.0F, 65'504.0F},
        std::tuple{Dtype::kF16, 65'520.0F, 65'504.0F},
        std::tuple{Dtype::kBf16, -3.4028235e38F, -0x1.fep127F}}) {
    INFO(dtype_name(dtype) << " " << value);
    std::memcpy(bytes.data() + bytes.size() - 4, &value, 4);
    write_bytes(dir.file("big.kv"), bytes);
    DequantizeOptions options{dir.file("big.kv"), dir.file("out.kv"), dtype, false};
    const Status refused = dequantize(options).status();
    CHECK(refused.message().find("1 values are out of the range of " +
                                 std::string(dtype_name(dtype))) != std::string::npos);
    CHECK(refused.message().find("--dtype F32 holds them") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(dir.file("out.kv")));
    options.saturate_nonfinite = true;
    const auto cut = dequantize(options);
    REQUIRE(cut.ok());
    CHECK(cut->saturated == 1);
    const auto file = KvFile::open(dir.file("out.kv"));
    auto reader = TileReader::create(**file);
    std::vector<float> x(8 * 32);
    REQUIRE(reader->read({Part::kValues, 0, 0, 0, 8}, x.data()).ok());
    CHECK(x.back() == most);
    std::filesystem::remove(dir.file("out.kv"));
  }
}
