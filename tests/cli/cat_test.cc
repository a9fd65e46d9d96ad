// Goal: a pipe gets an artifact's bytes and nothing else, and the exit code says whether they are
// the artifact's. Method: a server that answers what the test says.
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliAnswer;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kBytes = std::string(300, 'a') + std::string("\0\x1b", 2) + std::string(298, 'b');
const std::string kLook = "GET /api/v1/artifacts/" + kId + "?shape=single";

struct CatDesk : CliDesk {
  CliAnswer artifact(const std::string& digest = sha256_hex(kBytes)) const {
    return {dump_json(
        Json{{"artifact_id", kId},
             {"name", "demo"},
             {"download_url", "http://127.0.0.1:" + std::to_string(server.port()) + "/blob"},
             {"sha256", digest},
             {"size_bytes", kBytes.size()}})};
  }
  // The head of the whole body, whose second half never comes.
  CliAnswer half() const { return {kBytes.substr(0, 100), "200 OK"}; }
};

}  // namespace

TEST_CASE("cat: the bytes and nothing else, by both commands", "[unit][cli]") {
  for (const Words& line : {Words{"cat", kId}, Words{"download", kId, "-o", "-"}}) {
    CatDesk desk;
    desk.answer({desk.artifact(), {kBytes}});
    CHECK(desk.run(line) == 0);
    CHECK(desk.out == kBytes);
    CHECK(desk.error.empty());
    CHECK(desk.requests() == Words{kLook, "GET /blob"});
    // Bytes of the same length that are others.
    desk.answer({desk.artifact(std::string(64, 'a')), {kBytes}});
    CHECK(desk.run(line) == 1);
    CHECK(desk.error.find("The bytes printed are not the artifact's") != std::string::npos);
  }
}

TEST_CASE("cat: it goes on behind what has gone, and only there", "[unit][cli]") {
  CatDesk desk;
  desk.answer({desk.artifact(), desk.half(), desk.artifact(), {kBytes.substr(100), "206 Part"}});
  CHECK(desk.run({"cat", kId}) == 0);
  CHECK(desk.out == kBytes);
  CHECK(desk.head().find("range: bytes=100-\r\n") != std::string::npos);
  CHECK(desk.requests() == Words{kLook, "GET /blob", kLook, "GET /blob"});
  desk.answer({desk.artifact(), desk.half(), desk.artifact(), {kBytes}});
  CHECK(desk.run({"cat", kId}) == 1);
  CHECK(desk.out == kBytes.substr(0, 100));
  CHECK(desk.error.find("does not resume downloads of this artifact. Only 100 of 600 bytes were "
                        "printed.") != std::string::npos);
}

TEST_CASE("cat: a slice goes into a file, and a password is a link's", "[unit][cli]") {
  CatDesk desk;
  CHECK(desk.run({"download", kId, "-o", "-", "--tokens", "0:1"}) == 1);
  CHECK(desk.error.find("a slice is checked as a file") != std::string::npos);
  CHECK(desk.run({"cat", kId, "--password-file", desk.write("p", "x")}) == 1);
  CHECK(desk.error.find("only a link has a password") != std::string::npos);
  CHECK(desk.requests().empty());
}
