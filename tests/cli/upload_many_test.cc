// Goal: folders, patterns and pipes are uploaded as a whole, what is there already is not sent
// again, and one bad file stops no good one. Method: small artifacts in a folder, and a server that
// answers what the test says; files go one at a time, so that the order of requests is known.
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "base/crypto.h"
#include "cli/upload_desk.h"
#include "cli/upload_plan.h"
#include "support/no_threads.h"

using namespace kvcs;
using kvcs::test::artifact_bytes;
using kvcs::test::CliAnswer;
using kvcs::test::confirmed;
using kvcs::test::kBegin;
using kvcs::test::UploadDesk;
using kvcs::test::Words;

namespace {

struct FolderDesk : UploadDesk {
  FolderDesk() {
    std::filesystem::create_directories(folder.file("caches/law/.old"));
    first = write("caches/a.kv", artifact_bytes('\1'));
    second = write("caches/law/b.kv", artifact_bytes('\2'));
    write("caches/law/.old/c.kv", artifact_bytes('\3'));
    write("caches/.hidden.kv", artifact_bytes('\3'));
    write("caches/notes.txt", "no artifact");
    caches = folder.file("caches");
  }
  // The body of the request that came as the nth.
  Json body(size_t n) {
    const std::string request = requests().at(n);
    return parse_json(request.substr(request.find('{'))).value();
  }
  std::string caches, first, second;
};

const CliAnswer kNone{R"({"artifacts":[]})"};
CliAnswer known(const std::string& id) {
  return {R"({"artifacts":[{"artifact_id":")" + id + "\"}]}"};
}
std::string looked_for(char fill) {
  return "GET /api/v1/artifacts?shape=single&limit=1&sha256=" + sha256_hex(artifact_bytes(fill));
}

}  // namespace

TEST_CASE("upload: a folder stands for its .kv files, named by their paths", "[unit][cli]") {
  FolderDesk desk;
  desk.answer({desk.begun("a1"), {}, {}, desk.begun("a2"), {}, {}});
  CHECK(desk.run({"upload", desk.caches, "--parallel", "1", "--tag", "t"}) == 0);
  CHECK(desk.steps() ==
        Words{kBegin, "PUT /blobs/a1", confirmed("a1"), kBegin, "PUT /blobs/a2", confirmed("a2")});
  CHECK(desk.body(0)["name"] == "a");
  CHECK(desk.body(3)["name"] == "law/b");
  CHECK(desk.body(3)["tags"] == Json{"t"});
  CHECK(desk.out.find("a1           uploaded") != std::string::npos);
  CHECK(desk.out.ends_with("2 uploaded.\n"));
  CHECK(desk.error.find("2 files") != std::string::npos);
}

TEST_CASE("upload: a plan sends nothing and finds bad files", "[unit][cli]") {
  FolderDesk desk;
  desk.write("caches/bad.kv", "no artifact");
  CHECK(desk.run({"upload", desk.caches, "--dry-run", "--json"}) == 1);
  CHECK(desk.requests().empty());
  const Json list = parse_json(desk.out).value();
  REQUIRE(list.size() == 3);
  CHECK(list[0]["state"] == "to upload");
  CHECK(list[1]["name"] == "bad");
  CHECK(list[1]["state"] == "failed");
  CHECK(list[2]["state"] == "to upload");
  // Of one file by the name that it would have.
  CHECK(desk.run({"upload", desk.first, "--name", "demo", "--dry-run", "--json"}) == 0);
  CHECK(parse_json(desk.out).value()[0]["name"] == "demo");
  CHECK(desk.run({"upload", desk.folder.file("caches/law"), "--name", "demo", "--dry-run"}) == 2);
  CHECK(desk.error.find("--name: it is for one file") != std::string::npos);
  CHECK(desk.run({"upload", "-", "--name", "demo", "--dry-run"}) == 2);
  CHECK(desk.error.find("with --name and without --dry-run.") != std::string::npos);
  CHECK(desk.requests().empty());
}

TEST_CASE("upload: where the system has no thread left it goes on without", "[fault][cli]") {
  FolderDesk desk;
  const test::NoThreads limit;
  CHECK(desk.run({"upload", desk.caches, "--dry-run"}) == 0);
  CHECK(desk.out.ends_with("2 to upload.\n"));
}

TEST_CASE("upload: a bad file stops no other, a server that refuses all does", "[unit][cli]") {
  FolderDesk desk;
  desk.write("caches/0.kv", "no artifact");
  desk.answer({{R"({"error":"Forbidden"})", "403 Forbidden"}});
  CHECK(desk.run({"upload", desk.caches, "--parallel", "1", "--json"}) == 1);
  CHECK(desk.steps() == Words{kBegin});
  const Json list = parse_json(desk.out).value();
  CHECK(list[0]["state"] == "failed");
  CHECK(list[1]["state"] == "failed");
  CHECK(list[2]["state"] == "not tried");

  desk.answer({desk.begun("a1"), {}, {}, desk.begun("a2"), {}, {}});
  CHECK(desk.run({"upload", desk.caches, "--parallel", "1"}) == 1);
  CHECK(desk.out.ends_with("2 uploaded, 1 failed.\n"));
  CHECK(desk.error.find("0.kv") != std::string::npos);
  CHECK(desk.error.find("kvcs sync") != std::string::npos);
}

TEST_CASE("upload: several files by words and patterns, each once", "[unit][cli]") {
  FolderDesk desk;
  desk.answer({desk.begun("a1"), {}, {}, desk.begun("a2"), {}, {}});
  CHECK(desk.run({"upload", desk.caches + "/*.kv", desk.first, desk.second, "--parallel", "1",
                  "--quiet"}) == 0);
  CHECK(desk.out == "a1\na2\n");

  CHECK(desk.run({"upload", desk.first, desk.second, "--name", "both"}) == 2);
  CHECK(desk.error.find("--name") != std::string::npos);
  CHECK(desk.run({"upload", desk.caches + "/*.none"}) == 1);
  CHECK(desk.error.find("no such file") != std::string::npos);
  std::filesystem::create_directories(desk.folder.file("empty"));
  CHECK(desk.run({"upload", desk.folder.file("empty")}) == 1);
  CHECK(desk.error.find("There is no .kv file in") != std::string::npos);
}

TEST_CASE("upload: a pipe is read to its end and needs a name", "[unit][cli]") {
  FolderDesk desk;
  const std::string pipe = desk.folder.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(desk.run({"upload", pipe}) == 1);
  CHECK(desk.error.find("give one by --name") != std::string::npos);

  desk.answer({desk.begun("a1"), {}, {}, {R"({})"}});
  std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << artifact_bytes('\7'); });
  CHECK(desk.run({"upload", pipe, "--name", "piped", "--json"}) == 0);
  writer.join();
  CHECK(desk.requests().at(1) == "PUT /blobs/a1 " + artifact_bytes('\7'));
  CHECK(parse_json(desk.out).value()["sha256"] == sha256_hex(artifact_bytes('\7')));

  std::thread liar([&] { std::ofstream(pipe, std::ios::binary) << "no artifact"; });
  CHECK(desk.run({"upload", pipe, "--name", "piped"}) == 1);
  liar.join();
  CHECK(desk.requests().empty());
  CHECK(desk.error.find("is no .kv file") != std::string::npos);
}

TEST_CASE("sync: what the project has is not sent again", "[unit][cli]") {
  FolderDesk desk;
  desk.answer({known("a1"), kNone, desk.begun("a2"), {}, {}});
  CHECK(desk.run({"sync", desk.caches, "--parallel", "1"}) == 0);
  CHECK(desk.steps() ==
        Words{looked_for('\1'), looked_for('\2'), kBegin, "PUT /blobs/a2", confirmed("a2")});
  CHECK(desk.out.ends_with("1 uploaded, 1 there.\n"));

  desk.answer({known("a1"), kNone});
  CHECK(desk.run({"sync", desk.caches, "--parallel", "1", "--dry-run"}) == 0);
  CHECK(desk.steps() == Words{looked_for('\1'), looked_for('\2')});
  CHECK(desk.out.ends_with("1 to upload, 1 there.\n"));
}

TEST_CASE("sync: the same bytes twice are one artifact, and fail together", "[unit][cli]") {
  FolderDesk desk;
  desk.write("caches/law/twin.kv", artifact_bytes('\1'));
  desk.answer({kNone, desk.begun("a1"), {}, {}, known("a2")});
  CHECK(desk.run({"sync", desk.caches, "--parallel", "1", "--json"}) == 0);
  const Json list = parse_json(desk.out).value();
  CHECK(list[2]["state"] == "there");
  CHECK(list[2]["artifact_id"] == "a1");

  desk.answer({kNone, {R"({"error":"Bad"})", "400 Bad Request"}, known("a2")});
  CHECK(desk.run({"sync", desk.caches, "--parallel", "1", "--json"}) == 1);
  const Json failed = parse_json(desk.out).value();
  CHECK(failed[0]["state"] == "failed");
  CHECK(failed[1]["state"] == "there");
  CHECK(failed[2]["state"] == "failed");
}

TEST_CASE("upload plan: links to files are followed, links to folders are not", "[unit][cli]") {
  FolderDesk desk;
  std::filesystem::create_directory_symlink(desk.caches, desk.caches + "/again");
  std::filesystem::create_symlink(desk.second, desk.caches + "/link.kv");
  std::filesystem::create_symlink("nowhere", desk.caches + "/dangling.kv");
  const auto plan = cli::plan_files({desk.caches});
  REQUIRE(plan.ok());
  Words names;
  for (const cli::PlannedFile& file : *plan) names.push_back(file.name);
  CHECK(names == Words{"a", "law/b", "link"});
}
