// Goal: each hostile file of tests/data/malicious/INDEX.tsv is answered as the table says, by a
// process that is given 64 MiB. Method: the real binary under a limit of the kernel.
#include <catch2/catch.hpp>

#include "kvfile/hostile.h"
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

}  // namespace

TEST_CASE("toolbox: every hostile file of the table is refused in 64 MiB",
          "[e2e][kvfile][toolbox]") {
  const TempDir dir;
  make_hostile_folder(dir.path());
  size_t states = 0;
  for (const HostileFile& row : hostile_files()) {
    const bool is_state = row.is_state();
    if (is_state) states++;
    const CommandRun run = run_line(
        dir.path(),
        is_state ? "import " + row.name + " --from llama --heads 2 --head-dim 64 --output o.kv"
                 : "verify " + row.name,
        {}, kMemoryBytes);
    INFO(row.name << ": " << run.code << " " << run.out << run.error);
    CHECK(std::filesystem::file_size(dir.file(row.name)) == row.size_bytes);
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
