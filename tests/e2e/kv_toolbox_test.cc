// Goal: nothing that goes wrong below the .kv commands leaves half a file, and inspect reads no
// data. Method: the real binary on files made here; system calls that fail by order of the kernel,
// memory that it does not give, signals.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <csignal>
#include <map>

#include "base/json.h"
#include "kvfile/support.h"
#include "kvfile/tools/verify.h"
#include "support/command.h"
#include "support/daemon.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using namespace kvcs::test;

namespace {

// A folder with a cache, its quantised and packed forms, token ids and a text.
class Desk {
 public:
  Desk() {
    REQUIRE(write_sample(at("a.kv"), Dtype::kF16, {2, 2, 300, 64}).ok());
    Sidecar sidecar = describe_header((*KvFile::open(at("a.kv")))->header());
    sidecar.prompt = "one\ntwo";
    sidecar.tokens.emplace();
    std::string ids = "[0";
    for (uint32_t id = 0; id < 300; id++) {
      sidecar.tokens->push_back(id % 97);
      if (id > 0) ids += "," + std::to_string(id % 97);
    }
    REQUIRE(write_sidecar(at("a.kv"), sidecar).ok());
    write_bytes(at("ids.json"), ids + "]");
    write_bytes(at("text.txt"), "one\ntwo");
    std::filesystem::copy(data_path("llamacpp/v10-f16-fa-512.session.bin"), at("state.bin"));
    must("quant a.kv --output q.kv");
    must("pack a.kv --output a.kvz");
    must("import state.bin --from llama --heads 2 --head-dim 64 --output i.kv");
  }
  std::string at(const std::string& name) const { return dir_.file(name); }
  const std::string& folder() const { return dir_.path(); }
  void must(const std::string& line) const {
    const CommandRun run = run_line(folder(), line);
    INFO(line << "\n" << run.out << run.error);
    REQUIRE(run.code == 0);
  }
  // Name and content of every file.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
      if (entry.is_regular_file()) all[entry.path().filename()] = read_bytes(entry.path());
    }
    return all;
  }

 private:
  TempDir dir_;
};

Json json_of(const CommandRun& run) {
  const Result<Json> json = parse_json(run.out);
  INFO(run.out << run.error);
  REQUIRE(json.ok());
  return *json;
}

// Every command that reads a file and makes another, with the file it reads.
struct Maker {
  std::string line, input;
};
const Maker kMakers[] = {
    {"quant a.kv --scheme int8c --output o.kv", "a.kv"},
    {"quant --input a.kv --target-dtype F16 --output o.kv", "a.kv"},
    {"quant a.kv --scheme int4c --output o.kv --verify", "a.kv"},
    {"dequant q.kv --dtype F16 --output o.kv", "q.kv"},
    {"pack a.kv --output o.kv", "a.kv"},
    {"unpack a.kvz --output o.kv", "a.kvz"},
    {"slice a.kv --tokens 0:256 --layers 0:1 --output o.kv", "a.kv"},
    {"import state.bin --from llama --heads 2 --head-dim 64 --output o.kv", "state.bin"},
    {"export i.kv --to llama --output o.kv", "i.kv"},
    {"export a.kv --to safetensors --output o.kv", "a.kv"},
};
// And those that only read.
const Maker kReaders[] = {
    {"verify a.kv", "a.kv"},
    {"compare a.kv q.kv", "a.kv"},
    {"inspect a.kv --stats", "a.kv"},
};

// A header that promises `geometry`, and a hole for all of its data.
void write_hole(const std::string& path, Geometry geometry) {
  auto header = make_header(layout_tensors(Scheme::kPlain, Dtype::kF16, geometry), {});
  REQUIRE(header.ok());
  write_bytes(path, dump_header(*header));
  std::filesystem::resize_file(path, header->file_bytes);
}

}  // namespace

TEST_CASE("toolbox: inspect reads the header alone", "[e2e][kvfile][toolbox]") {
  TempDir dir;
  // 512 GiB, of which only the first kilobyte lies on the disk.
  write_hole(dir.file("huge.kv"), {8, 8, kTokensMax, 128});
  const CommandRun run = run_line(dir.path(), "inspect huge.kv --json", {reads_fail()});
  INFO(run.error);
  CHECK(run.code == 0);
  CHECK(json_of(run)["tokens"] == kTokensMax);
  CHECK(run_line(dir.path(), "inspect huge.kv --stats", {reads_fail()}).code == 1);
}

TEST_CASE("toolbox: memory stays bounded for a file larger than it", "[e2e][kvfile][toolbox]") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr uint64_t kMemoryBytes = 0;  // Their shadows alone are more.
#else
  // Half of what is promised; the limit is one of address space, and the allocator keeps some of
  // what was freed.
  constexpr uint64_t kMemoryBytes = 128 << 20;
#endif
  TempDir dir;
  write_hole(dir.file("a.kv"), {16, 8, 4096, 128});
  const uint64_t size = std::filesystem::file_size(dir.file("a.kv"));
  REQUIRE(size > 2 * (128 << 20));
  Sidecar sidecar = describe_header((*KvFile::open(dir.file("a.kv")))->header());
  sidecar.tokens.emplace(4096, 7);
  REQUIRE(write_sidecar(dir.file("a.kv"), sidecar).ok());
  for (const char* line :
       {"verify a.kv", "inspect a.kv --stats", "quant a.kv --output q.kv", "verify q.kv",
        "compare a.kv q.kv", "dequant q.kv --output b.kv",
        "slice a.kv --tokens 1:4095 --output b.kv", "pack a.kv --output b.kvz",
        "unpack b.kvz --output b.kv", "export a.kv --to safetensors --output b.safetensors",
        "import b.safetensors --from hf --output b.kv",
        "export a.kv --to llama --rope norm --output b.bin",
        "import b.bin --from llama --heads 8 --head-dim 128 --rope norm --output b.kv"}) {
    const CommandRun run = run_line(dir.path(), line, {}, kMemoryBytes);
    INFO(line << ": " << run.code << " " << run.out << run.error);
    CHECK(run.code == 0);
  }
  CHECK(std::filesystem::file_size(dir.file("b.kv")) > size - 4096);
}

TEST_CASE("toolbox: a read error is named and leaves no output", "[e2e][fault][kvfile][toolbox]") {
  const Desk desk;
  const auto before = desk.files();
  const auto fails = [&](const Maker& maker) {
    INFO(maker.line);
    const CommandRun run = run_line(desk.folder(), maker.line, {reads_fail()});
    INFO(run.error);
    CHECK(run.code == 1);
    // The sidecar may be the first of its files that is read.
    CHECK(run.error.find("cannot read " + maker.input) != std::string::npos);
    CHECK(run.error.find("Input/output error") != std::string::npos);
    CHECK(desk.files() == before);
  };
  for (const Maker& maker : kMakers) fails(maker);
  for (const Maker& reader : kReaders) fails(reader);
}

TEST_CASE("toolbox: a full disk is named and leaves the old output",
          "[e2e][fault][kvfile][toolbox]") {
  const Desk desk;
  write_bytes(desk.at("o.kv"), "old");
  write_bytes(desk.at("o.kv.json"), "old");
  const auto before = desk.files();
  for (const SyscallFault& fault : {reserving_fails(), writes_fail(), syncs_fail()}) {
    for (const Maker& maker : kMakers) {
      INFO(maker.line << ", system call " << fault.number);
      const CommandRun run = run_line(desk.folder(), maker.line, {fault});
      // Not every command reserves.
      if (run.code == 0 && fault.number == reserving_fails().number) {
        write_bytes(desk.at("o.kv"), "old");
        write_bytes(desk.at("o.kv.json"), "old");
        std::filesystem::remove(desk.at("o.kv.quant-event.json"));
        continue;
      }
      INFO(run.error);
      CHECK(run.code == 1);
      CHECK(run.error.find("o.kv") != std::string::npos);
      CHECK(run.error.find(fault.error == ENOSPC
                               ? "o.kv: The disk is full; free space and try again"
                               : "Input/output error") != std::string::npos);
      CHECK(desk.files() == before);
    }
  }
}

TEST_CASE("toolbox: memory that runs out is named and leaves no output",
          "[e2e][fault][kvfile][toolbox]") {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // Theirs is not ours to limit.
  constexpr uint64_t kStepBytes = 512 << 10, kEnoughBytes = 512 << 20;
  const Desk desk;
  const auto before = desk.files();
  // Libraries take some before main().
  uint64_t least = 1 << 20;
  while (run_line(desk.folder(), "inspect a.kv", {}, least).code != 0) {
    REQUIRE(least < kEnoughBytes);
    least += kStepBytes;
  }
  std::vector<Maker> all(std::begin(kMakers), std::end(kMakers));
  all.insert(all.end(), std::begin(kReaders), std::end(kReaders));
  for (const Maker& maker : all) {
    for (uint64_t bytes = least + 2 * kStepBytes; bytes < kEnoughBytes; bytes += kStepBytes) {
      const CommandRun run = run_line(desk.folder(), maker.line, {}, bytes);
      if (run.code == 0) break;
      INFO(maker.line << " in " << bytes << " bytes: " << run.error);
      CHECK(run.code == 1);
      CHECK(run.error.find("not enough memory") != std::string::npos);
      CHECK(desk.files() == before);
    }
    for (const char* made : {"o.kv", "o.kv.json", "o.kv.quant-event.json"}) {
      std::filesystem::remove(desk.at(made));
    }
  }
  // One that needs tens of megabytes, so that some of them are surely not there.
  TempDir large;
  write_hole(large.file("a.kv"), {4, 8, 2048, 128});
  size_t refused = 0;
  for (uint64_t bytes = least + 2 * kStepBytes; bytes < kEnoughBytes; bytes += 4 * kStepBytes) {
    const CommandRun run = run_line(large.path(), "pack a.kv --output o.kvz", {}, bytes);
    if (run.code == 0) break;
    INFO(bytes << " bytes: " << run.error);
    CHECK(run.code == 1);
    CHECK(run.error.find("not enough memory") != std::string::npos);
    CHECK(count_files(large.path()) == 1);
    refused++;
  }
  CHECK(refused > 0);
#endif
}

TEST_CASE("toolbox: a result that nobody gets is a failure", "[e2e][fault][cli][toolbox]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 1, 64, 32}).ok());
  const std::string kvcs = "'" + std::filesystem::absolute(kvcs_binary()).string() + "' ";
  for (const char* const closed : {" > /dev/full", " >&-"}) {
    INFO(closed);
    const std::string error = dir.file("error");
    const std::string line =
        "cd '" + dir.path() + "' && " + kvcs + "quant a.kv --output o.kv 2> error" + closed;
    CHECK(WEXITSTATUS(std::system(line.c_str())) == 1);
    CHECK(read_bytes(error).find("standard output") != std::string::npos);
    CHECK(verify({.path = dir.file("o.kv")})->verdict == Verdict::kVerified);
  }
}

TEST_CASE("toolbox: a command that is killed leaves nothing", "[e2e][fault][kvfile][toolbox]") {
  TempDir dir;
  write_hole(dir.file("a.kv"), {32, 8, 4096, 128});
  const size_t files = count_files(dir.path());
  const auto open_outputs = [](pid_t pid) {
    size_t count = 0;
    std::error_code ignored;
    const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& fd : std::filesystem::directory_iterator(folder, ignored)) {
      const std::string to = std::filesystem::read_symlink(fd, ignored).string();
      if (to.find("(deleted)") != std::string::npos) count++;
    }
    return count;
  };
  const int unnamed = ::open(dir.path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (unnamed >= 0) {  // The file system has such.
    ::close(unnamed);
    const pid_t pid = start_line(dir.path(), "quant a.kv --output o.kv");
    CHECK(comes_true([&] { return open_outputs(pid) > 0 || !is_running(pid); }));
    CHECK(end_line(pid, SIGKILL) == 128 + SIGKILL);
    CHECK(count_files(dir.path()) == files);
  }
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const pid_t pid = start_line(dir.path(), "benchmark a.kv --no-server");
    CHECK(comes_true([&] { return count_files(dir.path()) != files || !is_running(pid); }));
    INFO(number);
    CHECK(end_line(pid, number) == 128 + number);
    CHECK(count_files(dir.path()) == files);
  }
}
