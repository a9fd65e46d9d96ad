// Goal: what was mistyped, or is not what a command takes, is said in one line that names it, and
// nothing is written. Method: the real binary on a table of command lines.
#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "kvfile/support.h"
#include "kvfile/tools/pack.h"
#include "support/command.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using namespace kvcs::test;

namespace {

struct Mistake {
  int code;
  std::string line, says;
};
const std::string kName250(250, 'n');
const Mistake kMistakes[] = {
    {1, "inspect none.kv", "no such file: none.kv"},
    {1, "verify folder", "not a regular file: folder"},
    {1, "verify fifo", "not a regular file: fifo"},
    {1, "inspect a.kvz", "it is packed: `kvcs unpack` it first"},
    {1, "inspect state.bin", "`kvcs import --from llama` takes it"},
    {2, "verify a.kv --sha256 zz", "--sha256: 'zz' is not 64 hex digits"},
    {2, "quant a.kv --min-snr nan --output o.kv", "--min-snr: 'nan' is not a number"},
    {2, "quant a.kv --max-attn-err -1 --output o.kv", "--max-attn-err: no error is below 0"},
    {2, "quant a.kv --target-dtype U8 --output o.kv", "is not one of F16, F32, BF16, FP8, I8"},
    {1, "quant a.kv --output none/o.kv", "cannot create none/o.kv: there is no folder none"},
    {1, "quant a.kv --output a.kv/o.kv", "cannot create a.kv/o.kv: Not a directory"},
    {1, "quant a.kv --output " + kName250 + "more-than-a-name-has", "File name too long"},
    {2, "import state.bin --from llama --heads 2 --head-dim 64 --output o.kv --rope-base x",
     "--rope-base: 'x' is not a number"},
    {2, "import state.bin --from llama --heads 2 --head-dim 64 --output o.kv --rope-base 0",
     "--rope-base: '0' is not above zero"},
    {2, "import a.safetensors --from hf --rope neox --output o.kv", "--rope is for --from llama"},
    {1, "import a.safetensors --from hf --heads 5 --output o.kv", "--heads 5: a.safetensors has 2"},
    {1, "benchmark a.kv --server http://127.0.0.1:1 --output o.csv", "no key"},
};

}  // namespace

TEST_CASE("toolbox: a mistake is named and nothing is written", "[e2e][cli][kvfile][toolbox]") {
  const TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 2, 64, 64}).ok());
  REQUIRE(pack_file(dir.file("a.kv"), dir.file("a.kvz")).ok());
  std::filesystem::create_directory(dir.file("folder"));
  REQUIRE(::mkfifo(dir.file("fifo").c_str(), 0600) == 0);
  std::filesystem::copy(data_path("llamacpp/v10-f16-fa-512.session.bin"), dir.file("state.bin"));
  REQUIRE(run_line(dir.path(), "export a.kv --to safetensors --output a.safetensors").code == 0);
  const size_t files = count_files(dir.path());
  for (const Mistake& mistake : kMistakes) {
    const CommandRun run = run_line(dir.path(), mistake.line);
    INFO(mistake.line << ": " << run.out << run.error);
    CHECK(run.code == mistake.code);
    CHECK(run.error.find(mistake.says) != std::string::npos);
    CHECK(run.out.empty());
    CHECK(count_files(dir.path()) == files);
  }
}

TEST_CASE("toolbox: the longest name that has a sidecar can be written",
          "[e2e][cli][kvfile][toolbox]") {
  const TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 1, 64, 32}).ok());
  const CommandRun run = run_line(dir.path(), "quant a.kv --output " + kName250);
  INFO(run.error);
  CHECK(run.code == 0);
  CHECK(std::filesystem::exists(dir.file(kName250 + ".json")));
}

TEST_CASE("toolbox: a digest may be written in capitals", "[e2e][cli][kvfile][toolbox]") {
  const TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 1, 64, 32}).ok());
  const auto packed = pack_file(dir.file("a.kv"), dir.file("a.kvz"));
  REQUIRE(packed.ok());
  std::string capitals = packed->sha256;
  for (char& c : capitals) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  CHECK(run_line(dir.path(), "verify a.kv --sha256 " + capitals).code == 0);
}
