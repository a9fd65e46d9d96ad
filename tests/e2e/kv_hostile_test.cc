// Goal: each hostile file of tests/data/malicious/INDEX.tsv is answered as the table says, by a
// process that is given 64 MiB. Method: the real binary under a limit of the kernel; the files too
// large for the repository are made here as the table's author made them.
#include <catch2/catch.hpp>

#include <sstream>

#include "kvfile/support.h"
#include "support/command.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using namespace kvcs::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kMemoryBytes = 0;  // Their shadows alone are more.
#else
constexpr uint64_t kMemoryBytes = 64 << 20;
#endif

struct Row {
  std::string file, expected;
  uint64_t size_bytes = 0;
};

std::vector<Row> index_rows() {
  std::istringstream in(read_bytes(data_path("malicious/INDEX.tsv")));
  std::vector<Row> rows;
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    Row row;
    cells >> row.file >> row.size_bytes >> row.expected;
    rows.push_back(row);
  }
  return rows;
}

// A real state with four bytes changed, and a header of a million arrays.
void add_large_files(const TempDir& dir) {
  const std::string state = read_bytes(data_path("llamacpp/v10-f16-fa-512.session.bin"));
  const std::string lots = "\xff\xff\xff\xff";
  const auto patch = [&](const char* name, size_t at, const std::string& bytes) {
    write_bytes(dir.file(name), std::string(state).replace(at, bytes.size(), bytes));
  };
  patch("llama-ntok-max.bin", 8, lots);
  patch("llama-archlen.bin", 2060, "\xff\xff\xff\x7f");
  patch("llama-nseq-max.bin", 2081, lots);
  patch("llama-layers-max.bin", 8225, lots);
  const std::string header =
      "{\"k_0\":" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}";
  std::string deep(8, '\0');
  const uint64_t header_bytes = header.size();
  std::memcpy(deep.data(), &header_bytes, 8);
  write_bytes(dir.file("deep-array-1M.kv"), deep + header + std::string(256, '\0'));
  write_bytes(dir.file("side-deep.kv.json"),
              "{\"model_name\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}");
}

}  // namespace

TEST_CASE("toolbox: every hostile file of the table is refused in 64 MiB",
          "[e2e][kvfile][toolbox]") {
  const TempDir dir;
  std::filesystem::copy(data_path("malicious"), dir.path());
  add_large_files(dir);
  size_t states = 0;
  for (const Row& row : index_rows()) {
    const bool is_state = row.file.ends_with(".bin");
    if (is_state) states++;
    const CommandRun run = run_line(
        dir.path(),
        is_state ? "import " + row.file + " --from llama --heads 2 --head-dim 64 --output o.kv"
                 : "verify " + row.file,
        {}, kMemoryBytes);
    INFO(row.file << ": " << run.code << " " << run.out << run.error);
    CHECK(std::filesystem::file_size(dir.file(row.file)) == row.size_bytes);
    if (row.expected != "reject") CHECK(run.code == 0);
    if (row.expected == "reject") CHECK(run.code == (is_state ? 1 : 3));
    CHECK((run.out + run.error).find('\x1b') == std::string::npos);
    CHECK_FALSE(std::filesystem::exists(dir.file("o.kv")));
  }
  CHECK(states == 4);
  if (kMemoryBytes > 0) {  // The limit is one.
    CHECK(run_line(dir.path(), "verify ok-minimal.kv", {}, 64 << 10).code != 0);
  }
}
