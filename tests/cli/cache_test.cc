// Goal: what interrupted transfers have left is found from anywhere, and goes away when asked, but
// for what another process is at work with. Method: a download that breaks off, and the record of
// an upload that was begun.
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>

#include <filesystem>

#include "base/crypto.h"
#include "cli/cli_desk.h"
#include "cli/kept_transfers.h"

using namespace kvcs;
using kvcs::test::CliAnswer;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kBytes(300, 'a');

struct CacheDesk : CliDesk {
  // The half of a download, left in the middle.
  void break_off() {
    const CliAnswer about{dump_json(
        Json{{"artifact_id", kId},
             {"download_url", "http://127.0.0.1:" + std::to_string(server.port()) + "/blob"},
             {"sha256", sha256_hex(kBytes)},
             {"size_bytes", kBytes.size()}})};
    answer({about, {kBytes.substr(0, 100)}, about, {R"({"error":"No."})", "403 No"}});
    CHECK(run({"download", kId, "-o", folder.file("back.kv")}) == 1);
  }
  void begin_upload(const std::string& server_url) const {
    std::filesystem::create_directories(cli::uploads_folder());
    write("config/kvcs/uploads/one.json",
          dump_json(Json{
              {"url", server_url},
              {"path", "/home/me/big.kv"},
              {"parts", {{{"id", "u1"}, {"size_bytes", 5}}, {{"id", "u2"}, {"size_bytes", 6}}}}}));
  }
  std::string part() const { return folder.file(".back.kv.3f0c9d5e.part"); }
};

}  // namespace

TEST_CASE("cache: a part is listed until its download has ended", "[unit][cli]") {
  CacheDesk desk;
  CHECK(desk.run({"cache", "list"}) == 0);
  CHECK(desk.out == "No transfer was left in the middle.\n");
  desk.break_off();
  CHECK(desk.run({"cache", "list", "--json"}) == 0);
  const Json list = parse_json(desk.out).value();
  REQUIRE(list.size() == 1);
  CHECK(list[0]["path"] == desk.part());
  CHECK(list[0]["have_bytes"] == 100);
  CHECK(list[0]["size_bytes"] == 300);

  std::filesystem::remove(desk.part());
  CHECK(desk.run({"cache", "list"}) == 0);
  CHECK(desk.out == "No transfer was left in the middle.\n");
}

TEST_CASE("cache: clean removes parts, but for those that are being written", "[unit][cli]") {
  CacheDesk desk;
  desk.break_off();
  const int busy = ::open(desk.part().c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(busy, LOCK_EX) == 0);
  CHECK(desk.run({"cache", "clean", "--yes"}) == 0);
  CHECK(std::filesystem::exists(desk.part()));
  CHECK(desk.error.find("is being written") != std::string::npos);
  ::close(busy);
  CHECK(desk.run({"cache", "clean", "--yes"}) == 0);
  CHECK(desk.out == "1 part file removed, 100 B freed; 0 uploads withdrawn.\n");
  CHECK_FALSE(std::filesystem::exists(desk.part()));
  CHECK(cli::list_kept_downloads().empty());
}

TEST_CASE("cache: clean withdraws uploads of the server that is asked", "[unit][cli]") {
  CacheDesk desk;
  desk.begin_upload("http://elsewhere.example");
  CHECK(desk.run({"cache", "clean", "--yes"}) == 0);
  CHECK(desk.requests().empty());
  CHECK(desk.error.find("--server http://elsewhere.example") != std::string::npos);

  desk.begin_upload("http://127.0.0.1:" + std::to_string(desk.server.port()));
  desk.answer({{R"({"error":"Busy."})", "503 Busy"}, {"{}", "204 None"}});
  CHECK(desk.run({"cache", "clean", "--yes"}) == 1);
  CHECK(cli::list_kept_uploads().size() == 1);
  desk.answer({{"", "204 None"}, {R"({"error":"Gone."})", "404 Gone"}});
  CHECK(desk.run({"cache", "clean", "--yes"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /api/v1/uploads/u1", "DELETE /api/v1/uploads/u2"});
  CHECK(cli::list_kept_uploads().empty());
}
