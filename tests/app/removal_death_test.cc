// Goal: a deletion that is killed between an artifact's row and its bytes leaves the bytes to the
// next start, which removes them before it is ready. Method: the built binary, which hangs where it
// removes a blob, until it is killed there.
#include <filesystem>

#include "base/crypto.h"
#include "base/thread.h"
#include "support/fault_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct Stored {
  std::string id, blob;
};

Stored store(FaultHouse& house, const std::string& bytes) {
  const RawResponse made =
      house.project("POST", "/api/v1/artifacts/upload-url",
                    R"({"name":"demo","dtype":"F16","size_bytes":)" + std::to_string(bytes.size()) +
                        R"(,"sha256":")" + sha256_hex(bytes) + "\"}");
  INFO(made.body);
  Stored stored{json_text(made.body, "artifact_id"), ""};
  const std::string url = json_text(made.body, "url");
  REQUIRE(url.find("/blobs/") != std::string::npos);
  REQUIRE(fetch(house.port(), "PUT", url.substr(url.find("/blobs/")), {}, bytes).status == 200);
  const std::string confirm = "/api/v1/artifacts/" + stored.id + "/confirm-upload";
  REQUIRE(house.project("POST", confirm, "{}").status == 200);
  const std::string digest = sha256_hex(bytes);
  stored.blob =
      house.data_dir() + "/blobs/" + digest.substr(0, 2) + "/" + digest.substr(2, 2) + "/" + digest;
  REQUIRE(std::filesystem::exists(stored.blob));
  return stored;
}

}  // namespace

TEST_CASE("removals: a deletion that is killed between row and bytes is ended by the next start",
          "[e2e][app][artifacts]") {
  FaultHouse house("/blobs/");
  const bool is_whole_project = GENERATE(false, true);
  const Stored stored = store(house, "bytes that are to go");
  const Stored other = store(house, "bytes that stay");
  const std::string projects = "/admin/organizations/" + house.organization() + "/projects";
  const std::string project = json_text(house.admin("GET", projects).body, "project_id");
  REQUIRE_FALSE(project.empty());
  const std::string path = "/api/v1/artifacts/" + stored.id;
  const auto remove = [&] {
    if (is_whole_project) {
      (void)house.admin("DELETE", projects + "/" + project + "?force=true");
    } else {
      (void)house.project("DELETE", path + "?permanent=true");
    }
  };
  {
    house.fault().begin(FAULT_UNLINK, FAULT_HANG);
    const Thread deletion("deletion", remove);
    wait_until([&] { return house.fault().failed() > 0; }, "the blob is about to be removed");
    CHECK(house.project("GET", path).status != 200);
    house.kill();
  }
  house.fault().end();
  CHECK(std::filesystem::exists(stored.blob));
  house.start();
  // Not by a job: none has run, and the sweep would have moved them to the trash.
  CHECK_FALSE(std::filesystem::exists(stored.blob));
  CHECK(house.daemon().log().find("artifacts.removals_finished") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(house.data_dir() + "/blobs/trash/" +
                                      sha256_hex("bytes that are to go")));
  if (!is_whole_project) CHECK(std::filesystem::exists(other.blob));
  CHECK(house.stop() == 0);
  house.start();
  CHECK(house.daemon().log().find("artifacts.removals_finished") == std::string::npos);
}
