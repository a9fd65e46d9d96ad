// Goal: an upload is repeated when that can help, begun anew when its URL has ended, and given up
// when the server says no. Method: a small artifact and a server that answers what the test says.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "cli/scratch_folder.h"
#include "cli/upload_desk.h"

using namespace kvcs;
using kvcs::test::artifact_bytes;
using kvcs::test::CliAnswer;
using kvcs::test::confirmed;
using kvcs::test::kBegin;
using kvcs::test::UploadDesk;
using kvcs::test::Words;

namespace {

struct FileDesk : UploadDesk {
  // The Idempotency-Key of each announcement.
  Words keys() {
    MutexLock lock(mutex);
    Words all;
    for (const std::string& head : heads) {
      const size_t at = head.find("idempotency-key: ");
      if (at != std::string::npos)
        all.push_back(head.substr(at + 17, head.find('\r', at) - at - 17));
    }
    return all;
  }
  const std::string path = write("context.kv", artifact_bytes('\1'));
};

const std::string kConfirm = confirmed("a1");
const std::string kLookUp = "GET /api/v1/artifacts/a1?shape=single";
const std::string kWithdrawn = "DELETE /api/v1/artifacts/a1";

}  // namespace

TEST_CASE("upload: announced, sent, confirmed and asked for", "[unit][cli]") {
  FileDesk desk;
  desk.answer({desk.begun("a1"), {}, {}, {R"({"public_url":"https://cdn/a1","project":"law"})"}});
  CHECK(desk.run({"upload", desk.path, "--name", "demo", "--visibility", "public"}) == 0);
  CHECK(desk.steps() == Words{kBegin, "PUT /blobs/a1", "POST /api/v1/artifacts/a1/confirm-upload",
                              "GET /api/v1/artifacts/a1?shape=single"});
  const std::string first = desk.requests().front();
  const Json body = parse_json(first.substr(first.find('{'))).value();
  CHECK(body["name"] == "demo");
  CHECK(body["visibility"] == "public");
  CHECK(body["size_bytes"] == desk.read("context.kv").size());
  CHECK(desk.requests()[1] == "PUT /blobs/a1 " + desk.read("context.kv"));
  CHECK(desk.out.ends_with("  id       a1\n  project  law\n  url      https://cdn/a1\n"));
}

TEST_CASE("upload: without a name it has the file's, and quiet prints the id alone",
          "[unit][cli]") {
  FileDesk desk;
  desk.answer({desk.begun("a1")});
  CHECK(desk.run({"upload", desk.path, "-q"}) == 0);
  CHECK(desk.out == "a1\n");
  CHECK(desk.error.empty());
  CHECK(desk.requests().front().find(R"("name":"context")") != std::string::npos);
  CHECK(desk.requests().front().find(R"("visibility":"private")") != std::string::npos);
  CHECK(desk.requests().front().find("project_id") == std::string::npos);
}

TEST_CASE("upload: the project is named by its id, its slug or its name", "[unit][cli]") {
  FileDesk desk;
  const std::string id = "0c9d5e3f-0a7e-4a62-9c1b-6c1d2e3f0a4f";
  // A key of the organization may not list projects, so that an id is not looked up.
  for (const char* const option : {"--project", "--project-id"}) {
    desk.answer({desk.begun("a1")});
    CHECK(desk.run({"upload", desk.path, option, id}) == 0);
    CHECK(desk.requests().front().find(R"("project_id":")" + id + '"') != std::string::npos);
  }
  for (const char* const called : {"law", "The Law"}) {
    desk.answer({{R"({"projects":[{"project_id":"p1","slug":"law","name":"The Law"}]})"},
                 desk.begun("a1")});
    CHECK(desk.run({"upload", desk.path, "--project", called}) == 0);
    CHECK(desk.requests()[1].find(R"("project_id":"p1")") != std::string::npos);
  }
}

TEST_CASE("upload: what the server's trouble broke is sent once more", "[unit][cli]") {
  FileDesk desk;
  desk.answer({desk.begun("a1"), {R"({"error":"Busy."})", "503 Busy"}});
  CHECK(desk.run({"upload", desk.path}) == 0);
  CHECK(desk.steps()[1] == "PUT /blobs/a1");
  CHECK(desk.steps()[2] == "PUT /blobs/a1");
  CHECK(desk.error.find("The transfer failed (Busy.); trying again in 0.5 s.") !=
        std::string::npos);
}

TEST_CASE("upload: a URL that has ended is asked for anew", "[unit][cli]") {
  FileDesk desk;
  // By the code, and where there is none by the words.
  const std::string said = GENERATE(R"({"error":"Too late.","code":"url_expired"})",
                                    R"({"error":"The signed URL expired at noon."})");
  desk.answer({desk.begun("a1"), {said, "403 Forbidden"}, {}, desk.begun("a2")});
  CHECK(desk.run({"upload", desk.path, "-q"}) == 0);
  CHECK(desk.out == "a2\n");
  // What was announced first holds no room any more.
  CHECK(desk.steps() == Words{kBegin, "PUT /blobs/a1", kWithdrawn, kBegin, "PUT /blobs/a2",
                              "POST /api/v1/artifacts/a2/confirm-upload",
                              "GET /api/v1/artifacts/a2?shape=single"});
}

TEST_CASE("upload: a refusal is not repeated", "[unit][cli]") {
  FileDesk desk;
  for (const char* status : {"400 Bad", "403 Forbidden", "404 Gone", "409 Conflict", "413 Large"}) {
    INFO(status);
    desk.answer({desk.begun("a1"), {R"({"error":"No."})", status}});
    CHECK(desk.run({"upload", desk.path}) == 1);
    CHECK(desk.steps() == Words{kBegin, "PUT /blobs/a1", kWithdrawn});
    CHECK(desk.error == "error: No.\n");
    desk.answer({desk.begun("a1"), {}, {R"({"error":"No."})", status}});
    CHECK(desk.run({"upload", desk.path}) == 1);
    CHECK(desk.steps() == Words{kBegin, "PUT /blobs/a1", kConfirm, kWithdrawn});
    desk.answer({{R"({"error":"No."})", status}});
    CHECK(desk.run({"upload", desk.path}) == 1);
    CHECK(desk.steps() == Words{kBegin});
  }
}

TEST_CASE("upload: each request is repeated while the server is in trouble", "[unit][cli]") {
  FileDesk desk;
  const CliAnswer busy{R"({"error":"Busy."})", "503 Busy"}, late{"{}", "408 Late"};
  desk.answer({busy, desk.begun("a1"), late, {}, {"{}", "502 Bad"}, {}, busy});
  CHECK(desk.run({"upload", desk.path, "-q"}) == 0);
  CHECK(desk.out == "a1\n");
  CHECK(desk.steps() == Words{kBegin, kBegin, "PUT /blobs/a1", "PUT /blobs/a1", kConfirm, kConfirm,
                              kLookUp, kLookUp});
  // The announcement is the same one for a server that keeps the first answer.
  CHECK(desk.keys()[0] == desk.keys()[1]);
  CHECK(desk.keys()[0].size() == 36);
}

TEST_CASE("upload: a last look that fails takes nothing back", "[unit][cli]") {
  FileDesk desk;
  desk.answer({desk.begun("a1"), {}, {}, {R"({"error":"Gone."})", "404 Gone"}});
  CHECK(desk.run({"upload", desk.path}) == 0);
  CHECK(desk.error.find("It is stored; its URL could not be asked for: Gone.") !=
        std::string::npos);
  CHECK(desk.steps().back() == kLookUp);
}

TEST_CASE("upload: a server that is not there is told at once", "[unit][cli]") {
  FileDesk desk;
  CHECK(desk.run({"upload", desk.path, "--server", "http://127.0.0.1:1"}) == 1);
  CHECK(desk.error == "error: http://127.0.0.1:1 cannot be reached: it refused the connection.\n");
  CHECK(desk.requests().empty());
}

TEST_CASE("upload: what else has expired is no reason to ask anew", "[unit][cli]") {
  FileDesk desk;
  desk.answer({desk.begun("a1"),
               {R"({"error":"Your plan expired.","code":"plan_ended"})", "403 Forbidden"}});
  CHECK(desk.run({"upload", desk.path}) == 1);
  CHECK(desk.steps() == Words{kBegin, "PUT /blobs/a1", kWithdrawn});
}

TEST_CASE("upload: an answer without an id or a URL is the server's failure", "[unit][cli]") {
  FileDesk desk;
  for (const char* odd : {"{}", R"({"artifact_id":"a1"})", R"({"artifact_id":1,"url":"x"})"}) {
    desk.answer({{odd}});
    CHECK(desk.run({"upload", desk.path}) == 1);
    CHECK(desk.error.find("names no artifact_id and url") != std::string::npos);
  }
}

TEST_CASE("scratch folder: it goes with its owner and all that is in it", "[unit][cli]") {
  const test::TempDir parent;
  std::string path;
  {
    const auto folder = cli::ScratchFolder::create(parent.path());
    REQUIRE(folder.ok());
    path = (*folder)->path();
    CHECK(path.starts_with(parent.path() + "/.kvcs-benchmark-"));
    std::filesystem::create_directories(path + "/deep");
    std::ofstream(path + "/deep/file") << "x";
  }
  CHECK(std::filesystem::is_empty(parent.path()));
  const auto none = cli::ScratchFolder::create(parent.file("absent"));
  CHECK(none.status().message().find("cannot create a scratch folder in") != std::string::npos);
}
