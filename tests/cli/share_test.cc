// Goal: links are made, listed and withdrawn from the command line, and uploads described, with
// what was asked for and nothing else. Method: a server that keeps what it was asked.
#include <nlohmann/json.hpp>

#include "cli/cli_desk.h"
#include "kvfile/kvfile.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kShare = "0c9d5e3f-0a7e-4a62-9c1b-6c1d2e3f0a4f";
const std::string kSearch = "GET /api/v1/artifacts?shape=single&status=all&limit=100&";
const std::string kShares = "/api/v1/artifacts/" + kId + "/shares";

}  // namespace

TEST_CASE("share: create asks for what was said, and prints the link", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"share_id":"s","url":"http://kvcs/share/abc"})"}});
  CHECK(desk.run({"share", "create", kId, "-q"}) == 0);
  CHECK(desk.out == "http://kvcs/share/abc\n");
  CHECK(desk.requests() == Words{"POST " + kShares + " {}"});
  desk.answer({{R"({"share_id":"s","url":"http://kvcs/share/abc"})"}});
  const std::string file = desk.write("password", "secret words\nsecond line\n");
  CHECK(desk.run({"share", "create", kId, "--hours", "2", "--downloads-max", "3", "--password-file",
                  file}) == 0);
  const std::string asked = desk.requests().front();
  CHECK(parse_json(asked.substr(asked.find('{'))).value() ==
        Json{{"expires_in_s", 7200}, {"downloads_max", 3}, {"password", "secret words"}});
  CHECK(desk.out.find("http://kvcs/share/abc") != std::string::npos);
  CHECK(desk.run({"share", "create", kId, "--password-file", desk.write("none", "\n")}) == 1);
  CHECK(desk.requests().empty());
  desk.answer({{R"({"artifacts":[]})"}});
  CHECK(desk.run({"share", "create", "../x"}) == 1);
  CHECK(desk.requests() == Words{kSearch + "exact_name=..%2Fx"});
  CHECK(desk.run({"share", "create", kId, "--hours", "0"}) == 2);
}

TEST_CASE("share: list and delete", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"shares":[{"share_id":"s\u001b[31m","downloads":4,"downloads_max":null},)"
                R"({"share_id":"t","state":"used_up"},{"share_id":"u","state":"ended"}]})"}});
  CHECK(desk.run({"share", "list", kId}) == 0);
  CHECK(desk.out.find(" used up ") != std::string::npos);
  CHECK(desk.out.find(" ended ") != std::string::npos);
  CHECK(desk.requests() == Words{"GET " + kShares});
  CHECK(desk.out.find("DOWNLOADS") != std::string::npos);
  CHECK(desk.out.find('\x1b') == std::string::npos);
  CHECK(desk.run({"share", "delete", kId, kShare}) == 0);
  CHECK(desk.requests() == Words{"DELETE " + kShares + "/" + kShare});
  CHECK(desk.run({"share", "delete", kId, "x/../y"}) == 1);
  CHECK(desk.requests().empty());
}

TEST_CASE("upload and list: description, tags and words", "[unit][cli]") {
  CliDesk desk;
  kvfile::Tensor k, v;
  k.name = "k_0";
  v.name = "v_0";
  k.shape = v.shape = {1, 1, 4, 8};
  const auto header = kvfile::make_header({k, v}, {});
  REQUIRE(header.ok());
  const std::string path =
      desk.write("context.kv", kvfile::dump_header(*header) + std::string(128, '\1'));
  desk.run({"upload", path, "--description", "What it is.", "--tag", "a", "--tag", "b c"});
  const std::string asked = desk.requests().front();
  const Json body = parse_json(asked.substr(asked.find('{'))).value();
  CHECK(body["description"] == "What it is.");
  CHECK(body["tags"] == Json{"a", "b c"});
  desk.answer({{R"({"artifacts":[{"artifact_id":"a","status":"pending"}]})"}});
  CHECK(desk.run({"list", "--status", "all"}) == 0);
  CHECK(desk.out.find("STATUS") != std::string::npos);
  CHECK(desk.out.find("pending") != std::string::npos);
  desk.answer({{R"({"artifacts":[{"artifact_id":"a","status":"pending"}]})"}});
  CHECK(desk.run({"list", "--status", "all", "--json"}) == 0);
  CHECK(parse_json(desk.out)->at(0).at("status") == "pending");
  desk.answer({{R"({"artifacts":[]})"}});
  CHECK(desk.run({"list", "--find", "two words"}) == 0);
  CHECK(desk.requests().front() == "GET /api/v1/artifacts?shape=single&q=two%20words");
}
