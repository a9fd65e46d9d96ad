// Throughput of the .kv tools, each row beside the limit it stands against, measured in the same
// run: a STREAM triad and memcpy for memory, the library's digest for hashing, the scalar kernels
// for the vector ones, and openssl and numpy. `kvfile_bench BUILD_DIR [MIB]` (default 512), its
// files in $TMPDIR; prints a table.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/crypto.h"
#include "kvfile/format/layout.h"
#include "kvfile/kernels/kernels.h"
#include "kvfile/tools/pack.h"
#include "kvfile/tools/quantize.h"
#include "kvfile/tools/slice.h"
#include "kvfile/tools/verify.h"

using namespace kvcs;
using namespace kvcs::kvfile;

namespace {

constexpr int kRounds = 3;
constexpr double kRowSeconds = 3;  // After which no further round begins.
constexpr size_t kArrayBytes = 128 << 20;

void must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "kvfile_bench: %s\n", status.to_string().c_str());
  std::exit(1);
}
double seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The best of a few rounds, in GB/s. What one thread does in memory is timed by its own clock, so
// that others on the machine count little; what waits for a disk or a thread, by the wall's.
// `prepare` is not timed.
double rate(double bytes, const std::function<void()>& work, clockid_t clock = CLOCK_MONOTONIC,
            const std::function<void()>& prepare = {}) {
  double best = 1e9, all = 0;
  for (int i = 0; i < kRounds && all < kRowSeconds; i++) {
    if (prepare) prepare();
    const double start = seconds(clock);
    work();
    const double took = seconds(clock) - start;
    best = std::min(best, took);
    all += took;
  }
  return bytes / best / 1e9;
}
double thread_rate(double bytes, const std::function<void()>& work) {
  return rate(bytes, work, CLOCK_THREAD_CPUTIME_ID);
}

// `target`: the least share of the limit that is wanted, in percent; 0: none is set.
void row(const std::string& name, double gbps, const char* limit_name, double limit, int target) {
  std::printf("%-34s %8.2f GB/s   limit %6.2f (%s)   %4.0f %%", name.c_str(), gbps, limit,
              limit_name, 100 * gbps / limit);
  std::printf(target > 0 ? "   target %d %%\n" : "\n", target);
}

double triad() {
  std::vector<float> a(kArrayBytes / 4, 1.0F), b(a.size(), 2.0F), c(a.size(), 3.0F);
  return thread_rate(3.0 * kArrayBytes, [&] {
    for (size_t i = 0; i < a.size(); i++) a[i] = b[i] + 0.5F * c[i];
  });
}

double copy() {
  std::vector<char> a(kArrayBytes, 'a'), b(kArrayBytes, 'b');
  return thread_rate(kArrayBytes, [&] { std::memcpy(a.data(), b.data(), a.size()); });
}

double digest() {
  const std::string data(kArrayBytes, 'x');
  return thread_rate(kArrayBytes, [&] { sha256(data); });
}

// Tiles of 256 tokens of 128 channels, as the commands work on them. Counted as the triad counts:
// each byte of the input that is read once and of the output that is written, here 2 + 1 a value.
void kernel_rows(const Kernels& set, double limit) {
  constexpr size_t kRows = 256, kColumns = 128, kTile = kRows * kColumns;
  const size_t tiles = kArrayBytes / 2 / kTile;
  const double bytes = 3.0 * kTile * static_cast<double>(tiles);
  std::vector<uint16_t> halves(tiles * kTile, 0x3c01);
  std::vector<int8_t> codes(tiles * kTile);
  std::vector<float> scale(kRows, 0.5F), inverse(kRows, 2.0F);
  const auto measure = [&](const char* name, const auto& work) {
    const double gbps = thread_rate(bytes, [&] {
      for (size_t t = 0; t < tiles; t++) work(halves.data() + t * kTile, codes.data() + t * kTile);
    });
    const int target = &set == &kernels() ? 60 : 0;
    row(std::string(name) + ", " + set.name, gbps, "triad", limit, target);
  };
  measure("F16 to int8c keys", [&](const uint16_t* in, int8_t* out) {
    set.column_absolute_max(Dtype::kF16, in, kRows, kColumns, scale.data());
    set.quantize_columns(Dtype::kF16, in, kRows, kColumns, inverse.data(), out);
  });
  measure("F16 to int8c values", [&](const uint16_t* in, int8_t* out) {
    set.row_absolute_max(Dtype::kF16, in, kRows, kColumns, scale.data());
    set.quantize_rows(Dtype::kF16, in, kRows, kColumns, inverse.data(), out);
  });
  measure("int8c keys to F16", [&](uint16_t* out, const int8_t* in) {
    set.dequantize_columns(in, kRows, kColumns, inverse.data(), Dtype::kF16, out);
  });
  measure("int8c values to F16", [&](uint16_t* out, const int8_t* in) {
    set.dequantize_rows(in, kRows, kColumns, inverse.data(), Dtype::kF16, out);
  });
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

// Read, work, write and sync, each alone: the slowest is what the whole is held against. Here and
// there a new file is written: what the removal of an old one costs is no part of it.
double durable_write(const std::string& path, uint64_t bytes) {
  const std::string block(4 << 20, 'w');
  std::unique_ptr<AtomicFile> file;
  const auto write = [&] {
    file = AtomicFile::create(path).value();
    for (uint64_t at = 0; at < bytes; at += block.size()) {
      if (!file->write(at, block.data(), block.size()).ok()) std::exit(1);
    }
    if (!file->sync().ok()) std::exit(1);
  };
  return rate(static_cast<double>(bytes), write, CLOCK_MONOTONIC, [&] { file.reset(); });
}

// The first number that a command prints after `key`; 0 without it.
double number_of(const std::string& command, const std::string& key) {
  std::string text;
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return 0;
  for (char part[4096]; std::fgets(part, sizeof part, pipe) != nullptr;) text += part;
  ::pclose(pipe);
  const size_t at = text.rfind(key);
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + key.size(), nullptr);
}

// Returns openssl's rate, or ours where there is no openssl.
double baseline_rows(double digest_limit) {
  const double peer = 1e-6 * number_of(
                                 "openssl speed -evp sha256 -bytes 1048576 -seconds 1 "
                                 "2>/dev/null",
                                 "sha256 ");
  if (peer > 0) row("SHA-256, one thread", digest_limit, "openssl speed", peer, 90);
  // Debian's python3 is the one that python3-numpy belongs to.
  const double numpy =
      number_of("/usr/bin/python3 \"${KVCS_SOURCE_DIR:-.}/tests/bench/int8_numpy.py\"", "GB/s ");
  if (numpy > 0) std::printf("%-34s %8.2f GB/s   (F16 read)\n", "numpy, F16 to int8", numpy);
  return peer > 0 ? peer : digest_limit;
}

// Each stage of a quantisation alone, in seconds.
struct Stage {
  const char* name;
  double seconds;
};
Stage slowest_stage(const std::string& in, const std::string& out, double bytes) {
  std::vector<char> buffer(4 << 20);
  const int fd = ::open(in.c_str(), O_RDONLY | O_CLOEXEC);
  const double read = rate(bytes, [&] {
    for (off_t at = 0; ::pread(fd, buffer.data(), buffer.size(), at) > 0;) {
      at += static_cast<off_t>(buffer.size());
    }
  });
  ::close(fd);
  const double write = durable_write(out, static_cast<uint64_t>(bytes / 2));
  const double hash = rate(kArrayBytes, [data = std::string(kArrayBytes, 'x')] { sha256(data); });
  const Stage stages[] = {{"read", bytes / read / 1e9},
                          {"sha256", bytes / hash / 1e9},
                          {"write, fsync", bytes / 2 / write / 1e9}};
  return *std::max_element(std::begin(stages), std::end(stages),
                           [](const Stage& a, const Stage& b) { return a.seconds < b.seconds; });
}

void quantize_rows(const std::string& in, const std::string& out, double bytes) {
  for (const Scheme scheme : {Scheme::kInt8, Scheme::kInt8c, Scheme::kQ8, Scheme::kInt4c}) {
    const Stage stage = slowest_stage(in, out, bytes);  // Beside it: disks change their mind.
    QuantizeOptions options;
    options.input = in;
    options.output = out;
    options.scheme = scheme;
    options.report = false;
    const auto work = [&] { must(quantize(options).status()); };
    const double took =
        bytes / 1e9 / rate(bytes, work, CLOCK_MONOTONIC, [&] { std::filesystem::remove(out); });
    std::printf("%-34s %8.2f s      slowest stage %.2f s (%s)   %.2f times",
                ("quant " + std::string(scheme_name(scheme)) + ", end to end").c_str(), took,
                stage.seconds, stage.name, took / stage.seconds);
    std::printf(scheme == Scheme::kInt8c ? "   target 1.60\n" : "\n");
  }
}

void slice_rows(const std::string& in, const std::string& out, uint64_t tokens, double copy_limit) {
  SliceOptions slice;
  slice.input = in;
  slice.output = out;
  slice.spec.tokens.end = tokens / 2;
  const double bytes = static_cast<double>(std::filesystem::file_size(in)) / 2;
  const double disk = durable_write(out, static_cast<uint64_t>(bytes));
  row("slice of half the tokens",
      rate(
          bytes, [&] { must(slice_file(slice).status()); }, CLOCK_MONOTONIC,
          [&] { std::filesystem::remove(out); }),
      "write, fsync", disk, 80);
  const auto file = KvFile::open(in);
  must(file.status());
  const auto plan = plan_slice((*file)->header(), slice.spec);
  must(plan.status());
  std::vector<char> buffer(4 << 20);
  const uint64_t whole = plan->size_bytes / buffer.size() * buffer.size();
  const auto read = [&](uint64_t offset, void* to, size_t n) {
    return (*file)->read(offset, to, n);
  };
  row("range read of a slice",
      thread_rate(static_cast<double>(whole),
                  [&] {
                    for (uint64_t at = 0; at < whole; at += buffer.size()) {
                      must(read_slice(*plan, read, at, buffer.data(), buffer.size()));
                    }
                  }),
      "memcpy", copy_limit, 80);
}

int run(uint64_t mib) {
  std::string folder = std::filesystem::temp_directory_path() / "kvcs-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  const std::string in = folder + "/a.kv", out = folder + "/b.kv", back = folder + "/c.kv";
  const double triad_limit = triad(), copy_limit = copy(), digest_limit = digest();
  for (const Kernels* set : available_kernels()) kernel_rows(*set, triad_limit);
  const double openssl = baseline_rows(digest_limit);
  must(make_file(in, mib));
  const double bytes = static_cast<double>(std::filesystem::file_size(in));
  VerifyOptions proof;
  proof.path = in;
  row("verify", rate(bytes, [&] { must(verify(proof).status()); }), "openssl speed", openssl, 90);
  quantize_rows(in, out, bytes);
  slice_rows(in, out, mib * 8, copy_limit);
  row("pack F16", rate(bytes, [&] { must(pack_file(in, out).status()); }), "memcpy", copy_limit, 0);
  row("unpack F16", rate(bytes, [&] { must(unpack_file(out, back).status()); }), "memcpy",
      copy_limit, 0);
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace

// The first argument is the build directory, as for every benchmark.
int main(int argc, char** argv) {
  init_crypto();
  return run(argc > 2 ? std::max(32ULL, std::strtoull(argv[2], nullptr, 10)) : 512);
}
