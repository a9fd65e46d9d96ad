// Throughput of the .kv tools, each row beside the limit it stands against, measured in the same
// run: a STREAM triad and memcpy for memory, the library's digest for hashing, the scalar kernels
// for the vector ones. `kvfile_bench [MIB]` (default 512) in $TMPDIR; prints a table.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "base/crypto.h"
#include "kvfile/kernels.h"
#include "kvfile/layout.h"
#include "kvfile/pack.h"
#include "kvfile/quantize.h"
#include "kvfile/slice.h"
#include "kvfile/verify.h"

using namespace kvcs;
using namespace kvcs::kvfile;

namespace {

constexpr int kRounds = 3;
constexpr size_t kArrayBytes = 128 << 20;

// The best of a few rounds, in GB/s.
double rate(double bytes, const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < kRounds; i++) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return bytes / best / 1e9;
}

void row(const char* name, double gbps, const char* limit_name, double limit) {
  std::printf("%-34s %8.2f GB/s  %6.2f of %s (%.2f)\n", name, gbps, gbps / limit, limit_name,
              limit);
}

double triad() {
  std::vector<float> a(kArrayBytes / 4, 1.0F), b(a.size(), 2.0F), c(a.size(), 3.0F);
  return rate(3.0 * kArrayBytes, [&] {
    for (size_t i = 0; i < a.size(); i++) a[i] = b[i] + 0.5F * c[i];
  });
}

double copy() {
  std::vector<char> a(kArrayBytes, 'a'), b(kArrayBytes, 'b');
  return rate(kArrayBytes, [&] { std::memcpy(a.data(), b.data(), a.size()); });
}

double digest() {
  const std::string data(kArrayBytes, 'x');
  return rate(kArrayBytes, [&] { sha256(data); });
}

// Tiles of 256 tokens of 128 channels, as the commands work on them; bytes of input and output.
void kernel_rows(const Kernels& set, double limit) {
  constexpr size_t kRows = 256, kColumns = 128, kTile = kRows * kColumns;
  const size_t tiles = kArrayBytes / 2 / kTile;
  std::vector<uint16_t> in(tiles * kTile, 0x3c01);
  std::vector<int8_t> codes(tiles * kTile);
  std::vector<float> x(kTile), scale(kRows), inverse(kRows, 3.0F);
  std::string name = std::string("F16 to int8c keys, ") + set.name;
  row(name.c_str(),
      rate(3.0 * kTile * static_cast<double>(tiles),
           [&] {
             for (size_t t = 0; t < tiles; t++) {
               set.decode(Dtype::kF16, in.data() + t * kTile, x.data(), kTile);
               std::fill(scale.begin(), scale.end(), 0.0F);
               set.column_absolute_max(x.data(), kRows, kColumns, scale.data());
               set.quantize_columns(x.data(), kRows, kColumns, inverse.data(),
                                    codes.data() + t * kTile);
             }
           }),
      "triad", limit);
  name = std::string("int8c keys to F16, ") + set.name;
  row(name.c_str(),
      rate(3.0 * kTile * static_cast<double>(tiles),
           [&] {
             for (size_t t = 0; t < tiles; t++) {
               set.dequantize_columns(codes.data() + t * kTile, kRows, kColumns, inverse.data(),
                                      x.data());
               set.encode(Dtype::kF16, x.data(), in.data() + t * kTile, kTile);
             }
           }),
      "triad", limit);
}

Status make_file(const std::string& path, uint64_t mib) {
  const Geometry size{32, 8, std::max<uint64_t>(256, mib * 8), 128};
  auto header = KVCS_TRY(make_header(layout_tensors(Scheme::kPlain, Dtype::kF16, size), {}));
  auto writer = KVCS_TRY(KvWriter::create(path, std::move(header)));
  std::vector<uint16_t> values(writer->header().tensors[0].size_bytes() / 2);
  uint64_t state = 1;
  for (uint16_t& value : values) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    value = static_cast<uint16_t>(0x3000 | ((state >> 40) & 0x8fff));
  }
  for (const Tensor& tensor : writer->header().tensors) {
    KVCS_TRY(writer->write(tensor, 0, values.data(), tensor.size_bytes()));
  }
  return writer->publish();
}

// Read, work, write and sync, each alone: the slowest is what the whole is held against.
double durable_write(const std::string& path, uint64_t bytes) {
  const std::string block(4 << 20, 'w');
  return rate(static_cast<double>(bytes), [&] {
    auto file = AtomicFile::create(path);
    for (uint64_t at = 0; at < bytes; at += block.size()) {
      if (!(*file)->write(at, block.data(), block.size()).ok()) std::exit(1);
    }
    if (!(*file)->sync().ok()) std::exit(1);
  });
}

int run(uint64_t mib) {
  std::string folder = std::filesystem::temp_directory_path() / "kvcs-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  const std::string in = folder + "/a.kv", out = folder + "/b.kv";
  const double triad_limit = triad(), copy_limit = copy(), digest_limit = digest();
  for (const Kernels* set : available_kernels()) kernel_rows(*set, triad_limit);
  if (!make_file(in, mib).ok()) return 1;
  const double bytes = static_cast<double>(std::filesystem::file_size(in));
  VerifyOptions proof;
  proof.path = in;
  row("verify", rate(bytes, [&] { std::ignore = verify(proof).ok(); }), "sha256", digest_limit);
  const double disk = durable_write(out, static_cast<uint64_t>(bytes / 2));
  const double slowest = std::min(digest_limit, disk * 2);
  for (const Scheme scheme : {Scheme::kInt8, Scheme::kInt8c, Scheme::kQ8, Scheme::kInt4c}) {
    QuantizeOptions options;
    options.input = in;
    options.output = out;
    options.scheme = scheme;
    options.report = false;
    const std::string name = "quant " + std::string(scheme_name(scheme)) + ", end to end";
    row(name.c_str(), rate(bytes, [&] { std::ignore = quantize(options).ok(); }), "slowest stage",
        slowest);
  }
  SliceOptions slice;
  slice.input = in;
  slice.output = out;
  slice.spec.tokens.end = mib * 4;
  row("slice of half the tokens", rate(bytes / 2, [&] { std::ignore = slice_file(slice).ok(); }),
      "durable write", disk);
  const auto file = KvFile::open(in);
  const auto plan = plan_slice((*file)->header(), slice.spec);
  std::vector<char> buffer(4 << 20);
  row("range read of a slice",
      rate(static_cast<double>(plan->size_bytes / buffer.size() * buffer.size()),
           [&] {
             for (uint64_t at = 0; at + buffer.size() <= plan->size_bytes; at += buffer.size()) {
               std::ignore = read_slice(
                   *plan,
                   [&](uint64_t offset, void* to, size_t n) {
                     return (*file)->read(offset, to, n);
                   },
                   at, buffer.data(), buffer.size());
             }
           }),
      "memcpy", copy_limit);
  row("pack F16", rate(bytes, [&] { std::ignore = pack_file(in, out).ok(); }), "memcpy",
      copy_limit);
  const std::string back = folder + "/c.kv";
  row("unpack F16", rate(bytes, [&] { std::ignore = unpack_file(out, back).ok(); }), "memcpy",
      copy_limit);
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  init_crypto();
  return run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 512);
}
