// Goal: whatever goes wrong on the way, there is one clear line and no part of an output. Method:
// a file size limit stands for a full disk; a thread that goes on setting the input's time stands
// for a program that writes it; a resize for one that cuts it.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <thread>

#include "kvfile/convert/export.h"
#include "kvfile/convert/import.h"
#include "kvfile/faults.h"
#include "kvfile/format/publish.h"
#include "kvfile/support.h"
#include "kvfile/tools/pack.h"
#include "kvfile/tools/quantize.h"
#include "kvfile/tools/slice.h"
#include "kvfile/tools/stats.h"
#include "kvfile/tools/verify.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using kvcs::test::FileSizeLimit;
using kvcs::test::TempDir;

namespace {

// Gives the file a new time again and again.
class Toucher {
 public:
  explicit Toucher(const std::string& path)
      : thread_([this, path] {
          for (long n = 1; !stop_; n++) {
            const struct timespec times[2] = {{n, 0}, {n, 0}};
            utimensat(AT_FDCWD, path.c_str(), times, 0);
            rounds_++;
          }
        }) {
    test::wait_until([this] { return rounds_ > 0; }, "the file was touched");
  }
  ~Toucher() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<long> rounds_{0};
  std::thread thread_;
};

struct Tool {
  std::string name;
  std::function<Status(const std::string& input, const std::string& output)> run;
  std::string input = {};  // When it is not the plain file.
};

Status import_sequence(const std::string& in, const std::string& out) {
  const ImportedLlama llama = KVCS_TRY(open_llama_cache(in, {.kv_heads = 2, .head_dim = 64}));
  ImportOptions options;
  options.output = out;
  return write_imported(*llama.cache, options).status();
}
std::vector<Tool> writing_tools() {
  return {{"quant int8",
           [](const std::string& in, const std::string& out) {
             return quantize({.input = in, .output = out, .scheme = Scheme::kInt8}).status();
           }},
          {"quant int8c",
           [](const std::string& in, const std::string& out) {
             return quantize({.input = in, .output = out}).status();
           }},
          {"dequant",
           [](const std::string& in, const std::string& out) {
             return dequantize({.input = in, .output = out}).status();
           }},
          {"slice",
           [](const std::string& in, const std::string& out) {
             return slice_file({in, out, {}}).status();
           }},
          {"pack", [](const std::string& in, const std::string& out) {
             return pack_file(in, out).status();
           }}};
}

}  // namespace

TEST_CASE("kv tools: an input that changes while it is read gives no output", "[fault][kvfile]") {
  TempDir dir;
  const std::string in = dir.file("a.kv"), out = dir.file("out.kv");
  REQUIRE(write_sample(in, Dtype::kF16, {4, 2, 1024, 64}).ok());
  REQUIRE(pack_file(in, dir.file("a.kvz")).ok());
  std::filesystem::copy(data_path("llamacpp/v10-f16-nofa-512.seq.bin"), dir.file("a.bin"));
  REQUIRE(import_sequence(dir.file("a.bin"), dir.file("i.kv")).ok());
  const size_t files = count_files(dir.path());
  std::vector<Tool> tools = writing_tools();
  tools.push_back({"unpack",
                   [](const std::string& path, const std::string& to) {
                     return unpack_file(path, to).status();
                   },
                   dir.file("a.kvz")});
  tools.push_back({"import", import_sequence, dir.file("a.bin")});
  for (const bool llama : {true, false}) {
    tools.push_back(
        {llama ? "export llama" : "export safetensors",
         [llama](const std::string& path, const std::string& to) {
           const ExportOptions options{.input = path, .output = to};
           return (llama ? export_llama(options) : export_safetensors(options)).status();
         },
         dir.file("i.kv")});
  }
  tools.push_back({"verify", [](const std::string& path, const std::string&) {
                     return verify({.path = path}).status();
                   }});
  tools.push_back({"compare", [](const std::string& path, const std::string&) {
                     const auto file = KvFile::open(path);
                     return compare(**file, **file).status();
                   }});
  tools.push_back({"inspect --stats", [](const std::string& path, const std::string&) {
                     return layer_stats(**KvFile::open(path)).status();
                   }});
  for (const Tool& tool : tools) {
    INFO(tool.name);
    const std::string input = tool.input.empty() ? in : tool.input;
    Status status;
    {
      Toucher toucher(input);
      // A short run may fall between two changes; then there is an output, and another run.
      for (int i = 0; i < 500 && status.ok(); i++) {
        for (const char* made : {"", ".json", ".quant-event.json"}) {
          std::filesystem::remove(out + made);
        }
        status = tool.run(input, out);
      }
    }
    INFO(status.message());
    CHECK(status.code() == Code::kConflict);
    CHECK(status.message().find("changed while it was read") != std::string::npos);
    CHECK(count_files(dir.path()) == files);
  }
}

TEST_CASE("kv tools: an input that is cut while it is read is said to have changed",
          "[fault][kvfile]") {
  TempDir dir;
  REQUIRE(write_sample(dir.file("a.kv"), Dtype::kF16, {1, 1, 64, 32}).ok());
  const auto file = KvFile::open(dir.file("a.kv"));
  std::filesystem::resize_file(dir.file("a.kv"), (*file)->size_bytes() - 1);
  char last = 0;
  const Status status = (*file)->read((*file)->size_bytes() - 1, &last, 1);
  CHECK(status.code() == Code::kConflict);
  CHECK(status.message().find("changed while it was read") != std::string::npos);
}

TEST_CASE("kv tools: no artifact appears when there is no room for its sidecar",
          "[fault][kvfile]") {
  TempDir dir;
  auto artifact = AtomicFile::create(dir.file("a.kv"));
  REQUIRE(artifact.ok());
  REQUIRE((*artifact)->write(0, "bytes", 5).ok());
  Status status;
  {
    FileSizeLimit limit(100);
    status = publish_together(**artifact, {{dir.file("a.kv.json"), std::string(200, ' ')}});
  }
  CHECK(status.message().find("a.kv.json") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir.file("a.kv")));
  CHECK(publish_together(**artifact, {{dir.file("a.kv.json"), "{}"}}).ok());
  CHECK(read_bytes(dir.file("a.kv")) == "bytes");
  CHECK(read_bytes(dir.file("a.kv.json")) == "{}");
}

TEST_CASE("kv tools: what described the file that is replaced goes with it", "[unit][kvfile]") {
  TempDir dir;
  const std::string in = dir.file("a.kv"), out = dir.file("out.kv");
  const std::string event = quant_event_path(out), sidecar = sidecar_path(out);
  REQUIRE(write_sample(in, Dtype::kF16, {1, 1, 64, 32}).ok());
  for (const Tool& tool : writing_tools()) {
    if (tool.name == "quant int8" || tool.name == "pack") continue;
    INFO(tool.name);
    REQUIRE(quantize({.input = in, .output = out, .scheme = Scheme::kInt8}).ok());
    REQUIRE(std::filesystem::exists(event));
    REQUIRE(tool.run(in, out).ok());
    CHECK_FALSE(std::filesystem::exists(event));
    CHECK(std::filesystem::exists(sidecar));
    CHECK(verify({.path = out})->verdict == Verdict::kVerified);
  }
}
