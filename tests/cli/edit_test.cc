// Goal: an artifact's words, visibility and project are changed by one command, and what is not
// named stays. Method: the command through its parser; what reaches the server, to the letter.
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliAnswer;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kPath = "/api/v1/artifacts/" + kId;
const std::string kShow = "GET " + kPath + "?shape=single";
const CliAnswer kDone{"", "204 No Content"};
const CliAnswer kArtifact{R"({"artifact_id":")" + kId +
                          R"(","name":"new","tags":["a","b"],"download_url":"http://h/x"})"};

}  // namespace

TEST_CASE("edit: asks for what was said and nothing else", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{"{}"}, kArtifact});
  REQUIRE(desk.run({"edit", kId, "--name", "new", "--tag", "a", "--tag", "b"}) == 0);
  CHECK(desk.requests() == Words{"PATCH " + kPath + R"( {"name":"new","tags":["a","b"]})", kShow});
  CHECK(desk.out.find("a, b") != std::string::npos);
  CHECK(desk.out.find("download_url") == std::string::npos);
  desk.answer({{"{}"}, kArtifact});
  REQUIRE(desk.run({"edit", kId, "--description", "", "--no-tags", "--json"}) == 0);
  CHECK(desk.requests().front() == "PATCH " + kPath + R"( {"description":"","tags":[]})");
  desk.answer({kDone, kArtifact});
  REQUIRE(desk.run({"edit", kId, "--visibility", "public"}) == 0);
  CHECK(desk.requests() ==
        Words{"POST " + kPath + R"(/visibility {"visibility":"public"})", kShow});
  desk.answer({{R"({"projects":[{"project_id":"p1","slug":"law"}]})"}, {"{}"}, kArtifact});
  REQUIRE(desk.run({"edit", kId, "--project", "law"}) == 0);
  CHECK(desk.requests() ==
        Words{"GET /api/v1/projects", "POST " + kPath + R"(/move {"project_id":"p1"})", kShow});
  // A key of the organization may not list projects, and names one by its id.
  desk.answer({{"{}"}, kArtifact});
  REQUIRE(desk.run({"edit", kId, "--project", kId}) == 0);
  CHECK(desk.requests().front() == "POST " + kPath + R"(/move {"project_id":")" + kId + "\"}");
}

TEST_CASE("edit: what cannot be is refused before anything is changed", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"edit", kId}) == 1);
  CHECK(desk.error.find("--visibility") != std::string::npos);
  CHECK(desk.run({"edit", kId, "--tag", "a", "--no-tags"}) == 1);
  CHECK(desk.run({"edit", kId, "--name", ""}) == 2);
  CHECK(desk.requests().empty());
  desk.answer({{R"({"artifacts":[]})"}});
  CHECK(desk.run({"edit", "../x", "--name", "n"}) == 1);
  CHECK(desk.requests().size() == 1);
  desk.answer({{R"({"projects":[]})"}});
  CHECK(desk.run({"edit", kId, "--name", "n", "--project", "law"}) == 1);
  CHECK(desk.requests() == Words{"GET /api/v1/projects", "GET /api/v1/me"});
  // One that comes later is named: what came before it stands.
  desk.answer({{"{}"}, {R"({"error":"no"})", "403 Forbidden"}});
  CHECK(desk.run({"edit", kId, "--name", "n", "--visibility", "public"}) == 1);
  CHECK(desk.error.find("visibility: no") != std::string::npos);
}

TEST_CASE("edit: rename, describe and visibility each change one thing", "[unit][cli]") {
  struct Row {
    Words words;
    std::string request;
  };
  const Row rows[] = {
      {{"rename", kId, "Annual report"}, "PATCH " + kPath + R"( {"name":"Annual report"})"},
      {{"describe", kId, "Of 2030."}, "PATCH " + kPath + R"( {"description":"Of 2030."})"},
      {{"visibility", kId, "public"}, "POST " + kPath + R"(/visibility {"visibility":"public"})"},
  };
  CliDesk desk;
  for (const Row& row : rows) {
    INFO(row.request);
    desk.answer({kDone, kArtifact});
    CHECK(desk.run(row.words) == 0);
    CHECK(desk.requests() == Words{row.request, kShow});
    CHECK(desk.out.find("artifact_id") != std::string::npos);
  }
  CHECK(desk.run({"visibility", kId, "hidden"}) == 2);
  CHECK(desk.run({"rename", kId, ""}) == 2);
  CHECK(desk.requests().empty());
}

TEST_CASE("tag: words with a plus are added, those with a dash taken away", "[unit][cli]") {
  const auto patched = [](const Words& tags) {
    CliDesk desk;
    desk.answer({{R"({"artifact_id":"a","tags":["Law","de"]})"}, {"{}"}, kArtifact});
    Words words = {"tag", kId};
    words.insert(words.end(), tags.begin(), tags.end());
    CHECK(desk.run(words) == 0);
    CHECK(desk.requests().front() == kShow);
    const std::string request = desk.requests().size() > 1 ? desk.requests()[1] : "";
    CHECK(request.starts_with("PATCH " + kPath + " "));
    return request.substr(request.find('{'));
  };
  CHECK(patched({"+new", "-de"}) == R"({"tags":["Law","new"]})");
  CHECK(patched({"new"}) == R"({"tags":["Law","de","new"]})");
  // Tags are compared without the case of their letters, as the server does.
  CHECK(patched({"-law", "--json"}) == R"({"tags":["de"]})");
  CHECK(patched({"+LAW", "-none", "-q"}) == R"({"tags":["Law","de"]})");
  CHECK(patched({"--", "-de"}) == R"({"tags":["Law"]})");
  CliDesk desk;
  desk.answer({{R"({"artifact_id":"a","tags":[]})"}});
  CHECK(desk.run({"tag", kId, "-"}) == 1);
  CHECK(desk.requests() == Words{kShow});
  CHECK(desk.run({"tag", kId}) == 2);
}
