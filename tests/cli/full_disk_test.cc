// Goal: a disk that is full costs no file that was there, is named, and what has come is kept for
// the same command. Method: the built binary on a tmpfs of half a megabyte, as the target, as the
// folder of the configuration and as that of copies; the daemon in this process, on another disk.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/crypto.h"
#include "base/file.h"
#include "cli/upload_desk.h"
#include "support/command.h"
#include "support/daemon.h"
#include "support/small_disk.h"
#include "support/test_app.h"

namespace kvcs {
namespace {

using test::CommandRun;
using test::TempDir;
using test::TestApp;

constexpr size_t kDiskBytes = 512 << 10;

// Some 300 KiB.
std::string large_artifact() {
  kvfile::Tensor keys{.name = "k_0", .shape = {1, 1, 64, 1200}};
  kvfile::Tensor values = keys;
  values.name = "v_0";
  const auto header = kvfile::make_header({keys, values}, {});
  REQUIRE(header.ok());
  return kvfile::dump_header(*header) + std::string(2 * 64 * 1200 * 2, '\1');
}

struct Desk {
  TempDir folder;
  TestApp app;
  const std::string bytes = large_artifact();
  std::string id;

  Desk() {
    ::signal(SIGPIPE, SIG_IGN);  // As `kvcs serve` does: a client with a full disk leaves.
    std::ofstream(folder.file("a.kv"), std::ios::binary) << bytes;
    const CommandRun sent = run("upload a.kv --json");
    INFO(sent.error);
    REQUIRE(sent.code == 0);
    id = parse_json(sent.out)->at("artifact_id").get<std::string>();
  }
  std::vector<std::string> environment() const {
    return {"KVCS_API_URL=http://127.0.0.1:" + std::to_string(app.port()),
            "KVCS_API_KEY=" + app.credential("api_key")};
  }
  CommandRun run(const std::string& line, const std::string& variable = "") const {
    std::vector<std::string> all = environment();
    if (!variable.empty()) all.push_back(variable);
    return test::run_line(folder.path(), line, {}, 0, all);
  }
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// All of the disk but so many bytes.
void fill_but(const std::string& disk, size_t bytes) {
  const std::string ballast = disk + "/ballast";
  std::filesystem::remove(ballast);
  test::fill_disk(ballast);
  const auto full = std::filesystem::file_size(ballast);
  REQUIRE(full >= bytes);
  std::filesystem::resize_file(ballast, full - bytes);
}

void without_mounts() {
  WARN("this system permits no mounts: not tried");
}

}  // namespace

TEST_CASE("full disk: a download keeps what has come, and goes on when there is room",
          "[e2e][fault][cli][transfer]") {
  const Desk desk;
  const bool mounted = test::with_small_disk(kDiskBytes, [&](const std::string& disk) {
    const std::string line = "download " + desk.id + " -o " + disk + "/x.kv";
    const std::string full = "The disk of " + disk + " is full; free space and try again.";
    fill_but(disk, 0);
    const CommandRun nothing = desk.run(line);
    CHECK(nothing.code == 1);
    CHECK(nothing.error == "error: " + full + "\n");
    CHECK(std::distance(std::filesystem::directory_iterator(disk), {}) == 1);
    fill_but(disk, 100 << 10);
    for (int i = 0; i < 2; i++) {
      const CommandRun part = desk.run(line + " --json");
      CHECK(part.code == 1);
      const Json failure = parse_json(part.error).value();
      CHECK(failure["code"] == "unavailable");
      const std::string words = failure["error"];
      CHECK(words.starts_with(full + " 100.00 KiB of "));
      CHECK(words.ends_with(".part; the same command goes on there."));
      CHECK_FALSE(std::filesystem::exists(disk + "/x.kv"));
    }
    std::filesystem::remove(disk + "/ballast");
    const CommandRun done = desk.run(line);
    INFO(done.error);
    CHECK(done.code == 0);
    CHECK(read(disk + "/x.kv") == desk.bytes);
    // With --force the old file stays until the new one is whole.
    std::ofstream(disk + "/x.kv", std::ios::trunc) << "mine";
    fill_but(disk, 100 << 10);
    CHECK(desk.run(line + " --force").code == 1);
    CHECK(read(disk + "/x.kv") == "mine");
  });
  if (!mounted) without_mounts();
}

TEST_CASE("full disk: a configuration stays what it was, and transfers need none",
          "[e2e][fault][cli][transfer]") {
  const Desk desk;
  const bool mounted = test::with_small_disk(kDiskBytes, [&](const std::string& disk) {
    const std::string config = "XDG_CONFIG_HOME=" + disk + "/config";
    const std::string path = disk + "/config/kvcs/config.json";
    REQUIRE(desk.run("api-key set kv_" + std::string(64, 'a'), config).code == 0);
    const std::string before = read(path);
    fill_but(disk, 0);
    for (const std::string& line :
         {"api-key set kv_" + std::string(64, 'b'),
          std::string("server add https://kvcs.example.com"), std::string("api-key clear")}) {
      const CommandRun refused = desk.run(line, config);
      INFO(line << ": " << refused.error);
      // What is removed needs no room on every file system.
      CHECK(refused.code == 1);
      CHECK(refused.error == "error: " + path + ": The disk is full; free space and try again.\n");
      CHECK(read(path) == before);
      CHECK_FALSE(std::filesystem::exists(path + ".new"));
    }
    CHECK(desk.run("list", config).code == 0);
    const CommandRun back = desk.run("download " + desk.id + " -o back.kv", config);
    INFO(back.error);
    CHECK(back.code == 0);
    CHECK(read(desk.folder.file("back.kv")) == desk.bytes);
    CHECK(desk.run("upload a.kv --name again", config).code == 0);
  });
  if (!mounted) without_mounts();
}

TEST_CASE("full disk: what comes through a pipe has no room for its copy, and that is said",
          "[e2e][fault][cli][transfer]") {
  const Desk desk;
  const bool mounted = test::with_small_disk(kDiskBytes, [&](const std::string& disk) {
    const auto pipe = [&](size_t room) {
      fill_but(disk, room);
      std::string line = "cd '" + desk.folder.path() + "' && TMPDIR='" + disk + "' HOME='" +
                         desk.folder.path() + "'";
      for (const std::string& variable : desk.environment()) line += " " + variable;
      line += " '" + std::filesystem::absolute(test::kvcs_binary()).string() +
              "' upload - --name piped < a.kv > out 2> error";
      return WEXITSTATUS(std::system(line.c_str()));
    };
    for (const size_t room : {size_t{0}, size_t{100} << 10}) {
      CHECK(pipe(room) == 1);
      CHECK(read(desk.folder.file("error")) ==
            "error: the copy of - in " + disk + ": The disk is full; free space and try again.\n");
      CHECK(std::distance(std::filesystem::directory_iterator(disk), {}) == 1);
    }
    CHECK(pipe(400 << 10) == 0);
    CHECK(std::distance(std::filesystem::directory_iterator(disk), {}) == 1);
  });
  if (!mounted) without_mounts();
}

}  // namespace kvcs
