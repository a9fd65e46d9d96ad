// Goal: one artifact is shown so that people can read it, and its page is found in the dashboard.
// Method: a server that answers what the test says; a browser that writes down what it is to open.
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <filesystem>
#include <regex>
#include <set>
#include <thread>

#include "cli/cli_desk.h"
#include "cli/dashboard_pages.h"
#include "support/source_file.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Env;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kFound = R"({"artifacts":[{"artifact_id":")" + kId + R"(","name":"demo"}]})";

struct PageDesk : CliDesk {
  // Programs write their argument where a test waits for it.
  std::string opened_by(const std::string& program, const Words& line) {
    const std::string seen = folder.file("seen");
    std::filesystem::create_directory(folder.file("bin"));
    ::mkfifo(seen.c_str(), 0600);
    write("bin/" + program, "#!/bin/sh\nprintf %s \"$1\" > '" + seen + "'\n");
    std::filesystem::permissions(folder.file("bin/" + program), std::filesystem::perms::owner_all);
    std::string opened;
    std::thread reader([&] {
      std::ifstream from(seen);  // Waits for the one who writes.
      std::getline(from, opened);
    });
    const int code = run(line);
    if (code != 0) std::ofstream{seen};  // Or it would wait for ever.
    reader.join();
    CHECK(code == 0);
    return opened;
  }
  std::string base() const { return "http://127.0.0.1:" + std::to_string(server.port()); }

  Env no_browser{"BROWSER", std::nullopt}, no_screen{"DISPLAY", std::nullopt},
      no_wayland{"WAYLAND_DISPLAY", std::nullopt};
};

}  // namespace

TEST_CASE("show: names and values in words, and all of it for scripts", "[unit][cli]") {
  CliDesk desk;
  const std::string whole =
      R"({"artifact_id":")" + kId +
      R"(","name":"demo","model":"tiny","dtype":"F16","storage_dtype":null,"num_tokens":4,)"
      R"("quantized":false,"visibility":"private","status":"ready","size_bytes":4194304,)"
      R"("sha256":"ab","project":"default","description":"","tags":["law","de\u001b"],)"
      R"("downloads":0,"created_at":"2026-11-25T10:00:00.000Z","public_url":null,)"
      R"("metadata":{"sidecar":{"prompt":"x"}}})";
  desk.answer({{kFound}, {whole}});
  REQUIRE(desk.run({"show", "demo"}) == 0);
  CHECK(desk.requests().back() == "GET /api/v1/artifacts/" + kId + "?shape=single");
  CHECK(desk.out ==
        "Name         demo\n"
        "Tags         law, de\\x1b\n"
        "Artifact ID  " +
            kId +
            "\n"
            "Project      default\n"
            "Status       ready\n"
            "Visibility   private\n"
            "Size         4.00 MiB (4194304 bytes)\n"
            "SHA-256      ab\n"
            "Model        tiny\n"
            "Dtype        F16\n"
            "Quantized    false\n"
            "Tokens       4\n"
            "Created      2026-11-25T10:00:00.000Z\n"
            "Downloads    0\n"
            "Sidecar      yes; it comes with the download\n");
  desk.answer({{whole}});
  REQUIRE(desk.run({"show", kId, "--json"}) == 0);
  CHECK(parse_json(desk.out).value() == parse_json(whole).value());
  desk.answer({{"[]"}});
  CHECK(desk.run({"show", kId}) == 1);
  desk.answer({{R"({"error":"Artifact not found"})", "404 Not Found"}});
  CHECK(desk.run({"show", kId}) == 1);
  CHECK(desk.error == "error: Artifact not found\n");
}

TEST_CASE("open: the address is printed, and opened where somebody would see it", "[unit][cli]") {
  PageDesk desk;
  REQUIRE(desk.run({"open"}) == 0);
  CHECK(desk.out == desk.base() + "/\n");
  CHECK(desk.error.empty());
  CHECK(desk.requests().empty());
  desk.answer({{kFound}});
  REQUIRE(desk.run({"open", "demo", "--json"}) == 0);
  CHECK(parse_json(desk.out)->at("url") == desk.base() + "/#/artifacts/" + kId);
  CHECK(parse_json(desk.out)->at("opened") == false);
  const Env path("PATH", desk.folder.file("bin"));
  const std::string page = desk.base() + "/#/artifacts/" + kId;
  {
    const Env screen("DISPLAY", ":9");
    CHECK(desk.opened_by("xdg-open", {"open", kId}) == page);
    CHECK(desk.error == "It opens in your browser.\n");
    REQUIRE(desk.run({"open", kId, "--no-browser"}) == 0);
    CHECK(desk.error.empty());
  }
  const Env browser("BROWSER", "fox:other");
  CHECK(desk.opened_by("fox", {"open", kId}) == page);
  const Env nothing("BROWSER", desk.folder.file("none"));
  REQUIRE(desk.run({"open", kId, "--json"}) == 0);
  CHECK(parse_json(desk.out)->at("opened") == false);
}

TEST_CASE("open: a page by its name", "[unit][cli]") {
  PageDesk desk;
  const auto url_of = [&](const std::string& word) {
    REQUIRE(desk.run({"open", word, "--no-browser"}) == 0);
    CHECK(desk.requests().empty());
    return desk.out.substr(desk.base().size());
  };
  CHECK(url_of("users") == "/#/ai/users\n");
  CHECK(url_of("ops/audit") == "/#/ops/audit\n");
  CHECK(url_of("overview") == "/#/\n");
  desk.answer({{R"({"artifacts":[]})"}});
  CHECK(desk.run({"open", "nothing"}) == 1);
  CHECK(desk.error.find("Pages are: overview, artifacts,") != std::string::npos);
}

TEST_CASE("open: every page that the dashboard's navigation names has a word, and is there",
          "[unit][cli]") {
  const std::regex path("path: '([^']+)'");
  std::set<std::string> routes, words;
  for (const char* const area : {"overview", "artifacts", "ai", "gateway", "portal", "ops"}) {
    const std::string folder = std::string("web/src/pages/") + area;
    for (const char* const file : {"/nav.ts", "/index.ts"}) {
      for (const std::string& line : test::read_source(folder + file).lines) {
        std::smatch match;
        if (!std::regex_search(line, match, path)) continue;
        const std::string found = match[1];
        routes.insert(found);
        INFO(found);
        const bool is_named = file == std::string("/nav.ts");
        if (is_named && found != "/") CHECK(cli::find_dashboard_page(found.substr(1)) == found);
      }
    }
  }
  for (const auto& [word, page] : cli::dashboard_pages()) {
    INFO(word);
    CHECK(routes.contains(std::string(page)));
    CHECK(words.insert(std::string(word)).second);
  }
}
