// Goal: whatever goes wrong on the way, there is one clear line and no part of an output. Method:
// a file size limit stands for a full disk; a thread that goes on setting the input's time stands
// for a program that writes it; a resize for one that cuts it.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <thread>

#include "kvfile/faults.h"
#include "kvfile/pack.h"
#include "kvfile/publish.h"
#include "kvfile/quantize.h"
#include "kvfile/slice.h"
#include "kvfile/stats.h"
#include "kvfile/support.h"
#include "kvfile/verify.h"
#include "support/temp_dir.h"

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
    while (rounds_ == 0) std::this_thread::yield();
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
};
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
  std::vector<Tool> tools = writing_tools();
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
    Status status;
    {
      Toucher toucher(in);
      // A short run may fall between two changes; then there is an output, and another run.
      for (int i = 0; i < 500 && status.ok(); i++) {
        for (const char* made : {"", ".json", ".quant-event.json"}) {
          std::filesystem::remove(out + made);
        }
        status = tool.run(in, out);
      }
    }
    INFO(status.message());
    CHECK(status.code() == Code::kConflict);
    CHECK(status.message().find("changed while it was read") != std::string::npos);
    CHECK(count_files(dir.path()) == 1);
  }
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
