// Goal: an upload of which acknowledged bytes are gone is told to the operator everywhere, and to
// its client truly. Method: a whole daemon, and a file that is cut under it.
#include <filesystem>

#include "base/bytes.h"
#include "base/crypto.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("uploads: bytes that were acknowledged and are gone are told everywhere",
          "[fault][app]") {
  ManualClock clock{1'800'000'000'000};
  TestApp app{AppOptions{.clock = &clock, .kv_faults = {}}};
  const auto health = [&] {
    clock.advance_ms(6'000);  // A probe that writes is asked again.
    return app.call("GET", "/health").body;
  };
  const auto headers = [&](TestApp::Headers more) {
    more.push_back({"Authorization", "Bearer " + app.credential("api_key")});
    more.push_back({"Tus-Resumable", "1.0.0"});
    return more;
  };
  const std::string bytes(1000, 'b');
  const RawResponse made =
      app.call("POST", "/api/v1/uploads",
               headers({{"Upload-Length", "1000"},
                        {"Upload-Metadata",
                         "name " + to_base64("n") + ",dtype " + to_base64("F16") + ",visibility " +
                             to_base64("public") + ",sha256 " + to_base64(sha256_hex(bytes))}}));
  INFO(made.body);
  REQUIRE(made.status == 201);
  const std::string path(made.header("location"));
  const auto append = [&](size_t from, size_t count) {
    return app
        .call("PATCH", path,
              headers({{"Upload-Offset", std::to_string(from)},
                       {"Content-Type", "application/offset+octet-stream"}}),
              bytes.substr(from, count))
        .status;
  };
  const auto offset = [&] {
    return std::string(app.call("HEAD", path, headers({})).header("upload-offset"));
  };
  REQUIRE(append(0, 600) == 204);
  REQUIRE(offset() == "600");
  CHECK_FALSE(has(health(), "\"blobs\""));
  std::filesystem::resize_file(app.data_dir() + "/blobs/staged/" + path.substr(path.rfind('/') + 1),
                               100);
  CHECK(offset() == "100");
  CHECK(has(health(), "\"blobs\":\"degraded\""));
  CHECK(has(app.as_owner("GET", "/admin/health").body, "600 were acknowledged"));
  REQUIRE(app.as_owner("POST", "/admin/jobs/alert-delivery/run").status < 300);
  CHECK(
      comes_true([&] { return has(app.as_owner("GET", "/admin/alerts").body, "upload.damaged"); }));
  // It goes on from there to its end.
  CHECK(append(100, 900) == 204);
  CHECK(
      app.as(app.credential("api_key"), "GET", "/v1/artifacts/" + path.substr(path.rfind('/') + 1))
          .body == bytes);
}
