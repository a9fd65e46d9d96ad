// Goal: every instruction set gives the same bits, and the conversions are exact. Method: each
// kernel of each set against the scalar one on seeded values of odd lengths; golden vectors.
#include "kvfile/kernels/kernels.h"

#include <catch2/catch.hpp>

#include "kvfile/support.h"

using namespace kvcs;
using namespace kvcs::kvfile;

namespace {

std::vector<float> noise(size_t n, uint64_t seed, float factor = 3.0F) {
  Noise source(seed);
  std::vector<float> x(n);
  for (float& value : x) value = factor * source.value();
  return x;
}
template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

struct Shape {
  size_t rows, columns;
};
const Shape kShapes[] = {{1, 1}, {3, 7}, {5, 64}, {256, 128}, {17, 130}, {64, 96}};

void compare_reductions(const Kernels& one, const Kernels& other, Shape shape) {
  const size_t rows = shape.rows, columns = shape.columns;
  const std::vector<float> x = noise(rows * columns, rows + columns);
  const std::vector<float> y = noise(rows * columns, rows + columns + 9);
  CHECK(one.absolute_max(Dtype::kF32, x.data(), x.size()) ==
        other.absolute_max(Dtype::kF32, x.data(), x.size()));
  const auto pair = [&](auto call) {
    std::vector<float> a(2 * (rows + columns), 0.0F), b(a);
    call(one, a.data());
    call(other, b.data());
    CHECK(same_bits(a, b));
  };
  pair([&](const Kernels& k, float* out) {
    k.column_absolute_max(Dtype::kF32, x.data(), rows, columns, out);
  });
  pair([&](const Kernels& k, float* out) {
    k.row_absolute_max(Dtype::kF32, x.data(), rows, columns, out);
  });
  pair([&](const Kernels& k, float* out) {
    k.column_range(x.data(), rows, columns, out, out + columns);
  });
  pair(
      [&](const Kernels& k, float* out) { k.row_range(x.data(), rows, columns, out, out + rows); });
  pair([&](const Kernels& k, float* out) { out[0] = k.dot(x.data(), y.data(), x.size()); });
  pair([&](const Kernels& k, float* out) {
    std::copy_n(y.data(), columns, out);
    k.add_scaled(out, 0.37F, x.data(), columns);
    k.scale(out, 1.7F, columns);
  });
  RowError a, b;
  one.row_error(x.data(), y.data(), x.size(), &a);
  other.row_error(x.data(), y.data(), x.size(), &b);
  CHECK(std::memcmp(&a, &b, sizeof a) == 0);
}

template <typename Code, typename Call>
void same_codes(const Kernels& one, const Kernels& other, size_t n, Call call) {
  std::vector<Code> a(n), b(n);
  call(one, a.data());
  call(other, b.data());
  CHECK(same_bits(a, b));
}

void compare_codes(const Kernels& one, const Kernels& other, Shape shape) {
  const size_t rows = shape.rows, columns = shape.columns;
  const size_t n = rows * columns;
  const std::vector<float> x = noise(n, n);
  const std::vector<float> factors = noise(rows + columns, 5, 10.0F);
  const float* const f = factors.data();
  same_codes<int8_t>(one, other, n, [&](const Kernels& k, int8_t* out) {
    k.quantize_columns(Dtype::kF32, x.data(), rows, columns, f, out);
  });
  same_codes<int8_t>(one, other, n, [&](const Kernels& k, int8_t* out) {
    k.quantize_rows(Dtype::kF32, x.data(), rows, columns, f, out);
  });
  same_codes<uint8_t>(one, other, n, [&](const Kernels& k, uint8_t* out) {
    k.quantize_kvcdn(Dtype::kF32, x.data(), n, 4.7F, out);
  });
  same_codes<uint8_t>(one, other, n, [&](const Kernels& k, uint8_t* out) {
    k.quantize4_columns(x.data(), rows, columns, f, f, out);
  });
  same_codes<uint8_t>(one, other, n, [&](const Kernels& k, uint8_t* out) {
    k.quantize4_rows(x.data(), rows, columns, f, f, out);
  });
  std::vector<uint8_t> codes(n);
  Noise source(n);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(source.next());
  const auto* signed_codes = reinterpret_cast<const int8_t*>(codes.data());
  same_codes<float>(one, other, n, [&](const Kernels& k, float* out) {
    k.dequantize_columns(signed_codes, rows, columns, f, Dtype::kF32, out);
  });
  same_codes<float>(one, other, n, [&](const Kernels& k, float* out) {
    k.dequantize_rows(signed_codes, rows, columns, f, Dtype::kF32, out);
  });
  same_codes<float>(one, other, n, [&](const Kernels& k, float* out) {
    k.dequantize_kvcdn(codes.data(), n, 4.7F, Dtype::kF32, out);
  });
  same_codes<float>(one, other, n, [&](const Kernels& k, float* out) {
    k.dequantize4_columns(codes.data(), rows, columns, f, f, out);
  });
  same_codes<float>(one, other, n, [&](const Kernels& k, float* out) {
    k.dequantize4_rows(codes.data(), rows, columns, f, f, out);
  });
  same_codes<uint8_t>(one, other, 2 * n, [&](const Kernels& k, uint8_t* out) {
    k.unpack4(codes.data(), n, out);
    k.pack4(out, n, out + n);
  });
}

// Values of any dtype give what their floats give: rows that share a strip, and rows of several.
void compare_dtypes(const Kernels& set, Dtype dtype, Shape shape) {
  const size_t rows = shape.rows, columns = shape.columns;
  const size_t n = rows * columns;
  const std::vector<float> from = noise(n, n);
  std::vector<char> x(n * dtype_bytes(dtype));
  set.encode(dtype, from.data(), x.data(), n);
  std::vector<float> floats(n);
  set.decode(dtype, x.data(), floats.data(), n);
  const std::vector<float> factors = noise(rows + columns, 5, 10.0F);
  const auto same = [&](size_t size, auto call) {
    std::vector<float> a(size, 0.0F), b(a);
    call(dtype, x.data(), a.data());
    call(Dtype::kF32, floats.data(), b.data());
    CHECK(same_bits(a, b));
  };
  same(1, [&](Dtype of, const void* in, float* out) { *out = set.absolute_max(of, in, n); });
  same(columns, [&](Dtype of, const void* in, float* out) {
    set.column_absolute_max(of, in, rows, columns, out);
  });
  same(rows, [&](Dtype of, const void* in, float* out) {
    set.row_absolute_max(of, in, rows, columns, out);
  });
  same(n, [&](Dtype of, const void* in, float* out) {
    auto* const codes = reinterpret_cast<int8_t*>(out);
    set.quantize_columns(of, in, rows, columns, factors.data(), codes);
    set.quantize_rows(of, in, rows, columns, factors.data(), codes + n);
    set.quantize_kvcdn(of, in, n, 4.7F, reinterpret_cast<uint8_t*>(codes + 2 * n));
  });
  std::vector<int8_t> codes(n);
  set.quantize_columns(Dtype::kF32, floats.data(), rows, columns, factors.data(), codes.data());
  const auto same_out = [&](auto call) {
    std::vector<char> a(x.size()), b(x.size());
    std::vector<float> wide(n);
    call(dtype, static_cast<void*>(a.data()));
    call(Dtype::kF32, static_cast<void*>(wide.data()));
    set.encode(dtype, wide.data(), b.data(), n);
    CHECK(same_bits(a, b));
  };
  same_out([&](Dtype to, void* out) {
    set.dequantize_columns(codes.data(), rows, columns, factors.data(), to, out);
  });
  same_out([&](Dtype to, void* out) {
    set.dequantize_rows(codes.data(), rows, columns, factors.data(), to, out);
  });
  same_out([&](Dtype to, void* out) {
    set.dequantize_kvcdn(reinterpret_cast<const uint8_t*>(codes.data()), n, 4.7F, to, out);
  });
}

// Every pattern of the narrow types; for F32 and on the way back floats of every exponent, with
// infinities, subnormals and NaNs of both signs.
void compare_conversions(const Kernels& one, const Kernels& other, Dtype dtype) {
  const size_t width = dtype_bytes(dtype);
  std::vector<uint32_t> floats;
  Noise noise(7);
  for (uint32_t top = 0; top < 512; top++) {
    for (int i = 0; i < 64; i++) floats.push_back(top << 23 | (noise.next() & 0x7fffff));
    for (const uint32_t fraction : {0U, 1U, 0x400000U, 0x7fffffU}) {
      floats.push_back(top << 23 | fraction);
    }
  }
  std::vector<uint32_t> words(floats);
  if (width < 4) words.assign(width == 1 ? 256 / 4 : 65536 / 2, 0);
  auto* const bytes = reinterpret_cast<uint8_t*>(words.data());
  for (size_t i = 0; width < 4 && i < words.size() * 4 / width; i++) {
    std::memcpy(bytes + i * width, &i, width);
  }
  const size_t n = words.size() * 4 / width;
  std::vector<float> a(n), b(n);
  one.decode(dtype, bytes, a.data(), n);
  other.decode(dtype, bytes, b.data(), n);
  CHECK(same_bits(a, b));
  std::vector<float> from(floats.size());
  std::memcpy(from.data(), floats.data(), floats.size() * 4);
  same_codes<uint8_t>(one, other, from.size() * width, [&](const Kernels& k, uint8_t* out) {
    k.encode(dtype, from.data(), out, from.size());
  });
}

}  // namespace

TEST_CASE("kernels: every set that the processor can run is compared", "[unit][kvfile]") {
  std::vector<std::string> names, expected = {"scalar"};
  for (const Kernels* set : available_kernels()) names.emplace_back(set->name);
  // No processor has AVX2 without the conversions of halves.
  if (__builtin_cpu_supports("avx2")) expected.push_back("avx2");
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    expected.push_back("avx512");
  }
  CHECK(names == expected);
}

TEST_CASE("kernels: every dtype converts to the same bits in every set, NaN included",
          "[unit][kvfile]") {
  const auto sets = available_kernels();
  for (const Kernels* set : sets) {
    for (const Dtype dtype :
         {Dtype::kF16, Dtype::kBf16, Dtype::kF32, Dtype::kF8E4m3, Dtype::kF8E5m2}) {
      INFO(set->name << " " << dtype_name(dtype));
      compare_conversions(*sets[0], *set, dtype);
    }
  }
}

TEST_CASE("kernels: every instruction set gives the bits of the scalar one", "[unit][kvfile]") {
  const auto sets = available_kernels();
  for (const Kernels* set : sets) {
    INFO(set->name);
    for (const Shape shape : kShapes) {
      compare_reductions(*sets[0], *set, shape);
      compare_codes(*sets[0], *set, shape);
    }
    for (const size_t size : {1, 2, 4, 8, 16, 32, 64, 128, 256}) {
      std::vector<float> a = noise(5 * size, size), b = a;
      const std::vector<float> before = a;
      sets[0]->hadamard(a.data(), 5, size);
      set->hadamard(b.data(), 5, size);
      CHECK(same_bits(a, b));
      set->hadamard(b.data(), 5, size);
      for (size_t i = 0; i < b.size(); i++) CHECK(b[i] == Approx(before[i]).margin(1e-5));
    }
  }
}

TEST_CASE("kernels: values of every dtype give what their floats give", "[unit][kvfile]") {
  for (const Kernels* set : available_kernels()) {
    for (const Dtype dtype :
         {Dtype::kF16, Dtype::kBf16, Dtype::kF32, Dtype::kF8E4m3, Dtype::kF8E5m2}) {
      for (const Shape shape : {Shape{1, 1}, {3, 7}, {9, 130}, {2, 1100}, {256, 128}, {40, 32}}) {
        INFO(set->name << " " << dtype_name(dtype) << " " << shape.rows << " x " << shape.columns);
        compare_dtypes(*set, dtype, shape);
      }
    }
  }
}

TEST_CASE("kernels: halves convert exactly in both directions, in every instruction set",
          "[unit][kvfile]") {
  std::vector<uint16_t> halves;
  for (uint32_t i = 0; i < 65536; i++) {
    if ((i & 0x7fff) <= 0x7c00) halves.push_back(static_cast<uint16_t>(i));
  }
  std::vector<float> ties;
  for (const float step : {0x1p-24F, 0x1p-14F, 1.0F, 1000.0F}) {
    for (int i = -50; i < 50; i++) ties.push_back(step * (1.0F + static_cast<float>(i) * 0x1p-12F));
  }
  for (const float x :
       {65504.0F, 65519.9F, 65520.0F, 1e30F, -1e30F, 1e-30F, 0x1p-25F, 0x1.8p-25F, INFINITY}) {
    ties.push_back(x);
  }
  for (const Kernels* set : available_kernels()) {
    INFO(set->name);
    std::vector<float> wide(halves.size());
    set->decode(Dtype::kF16, halves.data(), wide.data(), halves.size());
    size_t wrong = 0;
    for (size_t i = 0; i < halves.size(); i++) {
      if (from_half(halves[i]) != wide[i]) wrong++;
    }
    CHECK(wrong == 0);
    std::vector<uint16_t> back(halves.size());
    set->encode(Dtype::kF16, wide.data(), back.data(), wide.size());
    CHECK(same_bits(back, halves));
    std::vector<uint16_t> rounded(ties.size());
    set->encode(Dtype::kF16, ties.data(), rounded.data(), ties.size());
    for (size_t i = 0; i < ties.size(); i++) {
      if (rounded[i] != to_half(ties[i])) wrong++;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("kernels: the one-byte floats round to the nearest code, ties to even",
          "[unit][kvfile]") {
  for (const Kernels* set : available_kernels()) {
    INFO(set->name);
    for (const Dtype dtype : {Dtype::kF8E4m3, Dtype::kF8E5m2}) {
      const int finite = dtype == Dtype::kF8E4m3 ? 0x7f : 0x7c;
      std::vector<uint8_t> codes;
      for (int i = 0; i < finite; i++) codes.push_back(static_cast<uint8_t>(i));
      std::vector<float> values(codes.size());
      set->decode(dtype, codes.data(), values.data(), codes.size());
      std::vector<uint8_t> back(codes.size());
      set->encode(dtype, values.data(), back.data(), values.size());
      CHECK(same_bits(back, codes));
      for (size_t i = 0; i + 1 < values.size(); i++) {
        REQUIRE(values[i] < values[i + 1]);
        const float middle = (values[i] + values[i + 1]) / 2;
        const float probes[3] = {std::nextafterf(middle, 0.0F), middle,
                                 std::nextafterf(middle, 1e9F)};
        uint8_t out[3];
        set->encode(dtype, probes, out, 3);
        CHECK(out[0] == codes[i]);
        CHECK(out[1] == (codes[i] % 2 == 0 ? codes[i] : codes[i + 1]));
        CHECK(out[2] == codes[i + 1]);
      }
      const float large[2] = {1e9F, -1e9F};
      uint8_t out[2];
      set->encode(dtype, large, out, 2);
      CHECK(out[0] == finite - 1);
      CHECK(out[1] == (0x80 | (finite - 1)));
    }
  }
}

TEST_CASE("kernels: int8 codes follow kvcdn's recipe to the bit", "[unit][kvfile]") {
  const std::vector<float> x = {0, 1, -1, .5F, -.5F, .1F, -.7F, .25F, .33333334F, .996063F};
  const std::vector<uint8_t> q = {128, 255, 1, 192, 64, 141, 39, 160, 170, 255};
  const std::vector<uint32_t> y = {0x00000000, 0x3f800000, 0xbf800000, 0x3f010204, 0xbf010204,
                                   0x3dd1a346, 0xbf3366ce, 0x3e810204, 0x3ea952a5, 0x3f800000};
  const std::vector<float> x2 = {2.5F, -1.25F, .009842519F, .0098425196F};
  const std::vector<uint8_t> q2 = {255, 64, 128, 129};
  for (const Kernels* set : available_kernels()) {
    INFO(set->name);
    std::vector<uint8_t> codes(x.size());
    set->quantize_kvcdn(Dtype::kF32, x.data(), x.size(), 1.0F, codes.data());
    CHECK(codes == q);
    std::vector<float> values(x.size());
    set->dequantize_kvcdn(codes.data(), codes.size(), 1.0F, Dtype::kF32, values.data());
    CHECK(std::memcmp(values.data(), y.data(), 4 * y.size()) == 0);
    std::vector<uint8_t> codes2(x2.size());
    set->quantize_kvcdn(Dtype::kF32, x2.data(), x2.size(), 2.5F, codes2.data());
    CHECK(codes2 == q2);
    float zero = 0;
    uint8_t code = 0;
    set->quantize_kvcdn(Dtype::kF32, &zero, 1, 1e-12F, &code);
    CHECK(code == 128);
    set->dequantize_kvcdn(&code, 1, 1e-12F, Dtype::kF32, &zero);
    CHECK(std::memcmp(&zero, "\0\0\0\0", 4) == 0);
  }
}
