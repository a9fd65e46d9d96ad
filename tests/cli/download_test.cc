// Goal: a download ends with the right bytes whatever the server does about ranges, and says what
// it keeps when it ends early. Method: a server that answers what the test says, and a part file
// that an earlier run has left.
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <filesystem>

#include "base/crypto.h"
#include "cli/cli_desk.h"
#include "cli/wanted_artifact.h"

using namespace kvcs;
using kvcs::test::CliAnswer;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kBytes = std::string(300, 'a') + std::string(300, 'b');

struct DownloadDesk : CliDesk {
  DownloadDesk() { write(".back.kv.3f0c9d5e.part", kBytes.substr(0, 100)); }
  // The artifact, whose bytes are kBytes.
  CliAnswer artifact() const {
    return {dump_json(
        Json{{"artifact_id", kId},
             {"download_url", "http://127.0.0.1:" + std::to_string(server.port()) + "/blob"},
             {"sha256", sha256_hex(kBytes)},
             {"size_bytes", kBytes.size()}})};
  }
  int download() { return run({"download", kId, "-o", folder.file("back.kv")}); }
  bool has_part() const { return std::filesystem::exists(folder.file(".back.kv.3f0c9d5e.part")); }
};

const std::string kLook = "GET /api/v1/artifacts/" + kId + "?shape=single";

}  // namespace

TEST_CASE("download: it goes on behind what is there", "[unit][cli]") {
  DownloadDesk desk;
  desk.answer({desk.artifact(), {kBytes.substr(100), "206 Part"}});
  CHECK(desk.download() == 0);
  CHECK(desk.head().find("range: bytes=100-\r\n") != std::string::npos);
  CHECK(desk.read("back.kv") == kBytes);
  CHECK_FALSE(desk.has_part());
}

TEST_CASE("download: where ranges are refused it begins anew, once", "[unit][cli]") {
  DownloadDesk desk;
  desk.answer({desk.artifact(), {kBytes}});
  CHECK(desk.download() == 0);
  CHECK(desk.read("back.kv") == kBytes);
  std::filesystem::remove(desk.folder.file("back.kv"));
  desk.write(".back.kv.3f0c9d5e.part", "not its beginning");
  desk.answer({desk.artifact(), {"{}", "416 None"}, desk.artifact(), {kBytes}});
  CHECK(desk.download() == 0);
  CHECK(desk.requests() == Words{kLook, "GET /blob", kLook, "GET /blob"});
  CHECK(desk.head().find("range: ") == std::string::npos);
  CHECK(desk.read("back.kv") == kBytes);
}

TEST_CASE("download: each request is repeated while the server is in trouble", "[unit][cli]") {
  DownloadDesk desk;
  const CliAnswer busy{R"({"error":"Busy."})", "503 Busy"}, late{"{}", "408 Late"};
  desk.answer(
      {busy, desk.artifact(), late, busy, desk.artifact(), {kBytes.substr(100), "206 Part"}});
  CHECK(desk.download() == 0);
  CHECK(desk.requests() == Words{kLook, kLook, "GET /blob", kLook, kLook, "GET /blob"});
  CHECK(desk.error.find("The look-up failed (Busy.); trying again in 0.5 s.") != std::string::npos);
  CHECK(desk.read("back.kv") == kBytes);
}

TEST_CASE("download: what has come is kept and told, and what has not is no file", "[unit][cli]") {
  DownloadDesk desk;
  desk.answer({desk.artifact(), {R"({"error":"No."})", "403 No"}});
  CHECK(desk.download() == 1);
  CHECK(desk.error == "error: No. 100 B of 600 B are kept in " +
                          desk.folder.file(".back.kv.3f0c9d5e.part") +
                          "; the same command goes on there.\n");
  CHECK(desk.has_part());
  std::filesystem::remove(desk.folder.file(".back.kv.3f0c9d5e.part"));
  desk.answer({desk.artifact(), {R"({"error":"No."})", "403 No"}});
  CHECK(desk.download() == 1);
  CHECK(desk.error == "error: No.\n");
  CHECK_FALSE(desk.has_part());
}

TEST_CASE("download: without a place it has its own name, made safe", "[unit][cli]") {
  using cli::safe_file_name;
  CHECK(safe_file_name("demo") == "demo");
  CHECK(safe_file_name("日本語 report") == "日本語 report");
  CHECK(safe_file_name("../../etc/passwd") == "_.._etc_passwd");
  CHECK(safe_file_name("..") == "");
  CHECK(safe_file_name(".hidden\\x") == "hidden_x");
  CHECK(safe_file_name("-rf") == "_rf");
  CHECK(safe_file_name("a\nb\x7f") == "a_b_");
  CHECK(safe_file_name("a\xff") == "a_");
  CHECK(safe_file_name(std::string(199, 'a') + "é") == std::string(199, 'a'));
  DownloadDesk desk;
  const std::vector<std::pair<std::string, std::string>> names = {
      {"demo", "demo.kv"}, {"demo.kv", "demo.kv"}, {"../a/b", "_a_b.kv"}, {"..", kId + ".kv"}};
  for (const auto& [name, file] : names) {
    Json artifact = parse_json(desk.artifact().body).value();
    artifact["name"] = name;
    desk.answer({{dump_json(artifact)}, {kBytes}});
    CHECK(desk.run({"download", kId, "-o", desk.folder.path(), "-q"}) == 0);
    CHECK(desk.out == desk.folder.path() + "/" + file + "\n");
    CHECK(desk.read(file) == kBytes);
    std::filesystem::remove(desk.folder.file(file));
  }
}

TEST_CASE("download: only a file is ever replaced", "[unit][cli]") {
  DownloadDesk desk;
  const std::string pipe = desk.folder.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::filesystem::create_symlink("/dev/null", desk.folder.file("null"));
  for (const std::string& target : {pipe, std::string("/dev/null"), desk.folder.file("null")}) {
    desk.answer({desk.artifact()});
    CHECK(desk.run({"download", kId, "-o", target, "--force"}) == 1);
    CHECK(desk.error.find("is no file that could be replaced. `--output -`") != std::string::npos);
    CHECK(desk.requests() == Words{kLook});
  }
  CHECK(std::filesystem::is_fifo(pipe));
  // A link stays one, and what it leads to is replaced where it lies.
  std::filesystem::create_directory(desk.folder.file("there"));
  desk.write("there/real.kv", "before");
  std::filesystem::create_symlink("there/real.kv", desk.folder.file("link.kv"));
  desk.answer({desk.artifact()});
  CHECK(desk.run({"download", kId, "-o", desk.folder.file("link.kv")}) == 1);
  CHECK(desk.error.find("there/real.kv exists; --force replaces it.") != std::string::npos);
  desk.answer({desk.artifact(), {kBytes}});
  CHECK(desk.run({"download", kId, "-o", desk.folder.file("link.kv"), "--force"}) == 0);
  CHECK(std::filesystem::is_symlink(desk.folder.file("link.kv")));
  CHECK(desk.read("there/real.kv") == kBytes);
}

TEST_CASE("download: a server that is not there is told at once", "[unit][cli]") {
  DownloadDesk desk;
  CHECK(desk.run({"download", kId, "--server", "http://127.0.0.1:1"}) == 1);
  CHECK(desk.error == "error: http://127.0.0.1:1 cannot be reached: it refused the connection.\n");
}
