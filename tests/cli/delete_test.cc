// Goal: a deletion says whether and until when it can be taken back, and the commands of the way
// back ask for what was said and nothing else. Method: a server that keeps what it was asked.
#include <nlohmann/json.hpp>

#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kOne = "/api/v1/artifacts/" + kId;
const std::string kUntil = "X-Kvcs-Restorable-Until: 2026-12-01T10:00:00.000Z\r\n";

}  // namespace

TEST_CASE("delete: what the server keeps, and what is gone for good", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{"", "204 No Content", kUntil}});
  CHECK(desk.run({"delete", kId, "-y"}) == 0);
  CHECK(desk.requests() == Words{"DELETE " + kOne});
  CHECK(desk.error.find("Until 2026-12-01T10:00:00.000Z `kvcs restore " + kId) !=
        std::string::npos);
  desk.answer({{"", "204 No Content", kUntil}});
  CHECK(desk.run({"delete", kId, "-y", "--json"}) == 0);
  CHECK(parse_json(desk.out).value()["restorable_until"] == "2026-12-01T10:00:00.000Z");
  CHECK(desk.requests().size() == 1);
  desk.answer({{"", "204 No Content"}});
  CHECK(desk.run({"delete", kId, "--permanent", "-y"}) == 0);
  CHECK(desk.requests() == Words{"DELETE " + kOne + "?permanent=true"});
  CHECK(desk.error.find("for good") != std::string::npos);
  desk.answer({{R"({"error":"Artifact not found"})", "404 Not Found"}});
  CHECK(desk.run({"delete", kId, "-y"}) == 1);
  CHECK(desk.error.find("Artifact not found") != std::string::npos);
  CHECK(desk.requests().size() == 1);
  // What is no id is looked for by its name.
  desk.answer({{R"({"artifacts":[],"total":0})"}});
  CHECK(desk.run({"delete", "../x", "-y"}) == 1);
  CHECK(desk.requests() ==
        Words{"GET /api/v1/artifacts?shape=single&status=all&limit=100&exact_name=..%2Fx"});
}

TEST_CASE("restore and deleted: the way back", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"artifact_id":"a","name":"demo","visibility":"private"})"}});
  CHECK(desk.run({"restore", kId}) == 0);
  CHECK(desk.requests() == Words{"POST " + kOne + "/restore"});
  CHECK(desk.out.find("private") != std::string::npos);
  CHECK(desk.run({"restore", "../x"}) == 1);
  CHECK(desk.requests().empty());
  desk.answer({{R"({"deleted":[{"artifact_id":"a","name":"de\u001b[31mmo","size_bytes":5,)"
                R"("deleted_at":"2026-11-30T10:00:00.000Z","ends_at":"2026-12-01T10:00:00.000Z"}],)"
                R"("cursor":null,"lifetime_s":86400})"}});
  CHECK(desk.run({"deleted", "--limit", "7"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/artifacts/deleted?limit=7"});
  CHECK(desk.out.find("2026-12-01T10:00:00.000Z") != std::string::npos);
  CHECK(desk.out.find('\x1b') == std::string::npos);
  desk.answer({{R"({"deleted":[],"cursor":null,"lifetime_s":86400})"}});
  CHECK(desk.run({"deleted"}) == 0);
  CHECK(desk.out.empty());
  CHECK(desk.error.find("No deleted artifact can be restored.") != std::string::npos);
  CHECK(desk.requests() == Words{"GET /api/v1/artifacts/deleted?limit=100"});
  desk.answer({{"[]"}});
  CHECK(desk.run({"deleted"}) == 1);
}
