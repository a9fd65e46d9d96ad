// Goal: of an upload in several requests an offset that was answered is there after the power went,
// and the upload goes on from it to the right bytes, whenever the cut comes. Method: as
// tests/app/power_cut_test.cc: a whole App on a disk that forgets what was not synced, and second
// lives on what each cut leaves.
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/mutex.h"
#include "support/cut_folder.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::function<void(Config&)> on(const std::string& data_dir) {
  return [data_dir](Config& config) {
    config.data_dir = data_dir;
    CutFolder::never_sync_by_timer(config);
  };
}

TestApp::Headers headers(const TestApp& app, TestApp::Headers more = {}) {
  more.push_back({"Authorization", "Bearer " + app.credential("api_key")});
  more.push_back({"Tus-Resumable", "1.0.0"});
  return more;
}

std::string begin(const TestApp& app, const std::string& bytes) {
  const RawResponse made = app.call(
      "POST", "/api/v1/uploads",
      headers(app, {{"Upload-Length", std::to_string(bytes.size())},
                    {"Upload-Metadata", "name " + to_base64("n") + ",dtype " + to_base64("F16") +
                                            ",visibility " + to_base64("public") + ",sha256 " +
                                            to_base64(sha256_hex(bytes))}}));
  INFO(made.body);
  REQUIRE(made.status == 201);
  return made.header("location");
}

RawResponse append(const TestApp& app, const std::string& path, size_t offset,
                   const std::string& bytes) {
  return app.call("PATCH", path,
                  headers(app, {{"Upload-Offset", std::to_string(offset)},
                                {"Content-Type", "application/offset+octet-stream"}}),
                  bytes);
}

size_t offset_of(const TestApp& app, const std::string& path) {
  const RawResponse told = app.call("HEAD", path, headers(app));
  REQUIRE(told.status == 200);
  return std::stoul(told.header("upload-offset"));
}

// What is missing is sent, and the artifact has all bytes.
void complete(const TestApp& app, const std::string& path, const std::string& bytes) {
  const size_t from = offset_of(app, path);
  if (from < bytes.size()) CHECK(append(app, path, from, bytes.substr(from)).status == 204);
  CHECK(app.call("GET", "/v1/artifacts/" + path.substr(path.rfind('/') + 1)).body == bytes);
}

std::string some_bytes(size_t size) {
  std::string bytes(size, 'u');
  for (size_t at = 0; at + 8 < size; at += 512)
    bytes.replace(at, 7, std::to_string(1'000'000 + at));
  return bytes;
}

constexpr size_t kHalf = 300'000;

}  // namespace

TEST_CASE("power cut: an offset that was answered is there, and what was not is not taken for it",
          "[fault][power][artifacts][tus]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()));
  const std::string bytes = some_bytes(2 * kHalf), path = begin(app, bytes);
  REQUIRE(append(app, path, 0, bytes.substr(0, kHalf)).status == 204);
  // More is under way, and nobody was told of it.
  RawClient client(app.port());
  REQUIRE(client.send("PATCH " + path + " HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\n" +
                      "Authorization: Bearer " + app.credential("api_key") +
                      "\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: " +
                      std::to_string(kHalf) + "\r\nContent-Length: " + std::to_string(kHalf) +
                      "\r\n\r\n" + bytes.substr(kHalf, 100'000)));
  const std::string staged =
      folder.data_dir() + "/blobs/staged/" + path.substr(path.rfind('/') + 1);
  REQUIRE(comes_true([&] { return std::filesystem::file_size(staged) == kHalf + 100'000; }));
  const std::vector<std::string> copies = folder.cut_each_way();
  client.reset();
  for (const std::string& copy : copies) {
    INFO(copy);
    const TestApp life(on(copy + "/data"));
    CHECK(offset_of(life, path) == kHalf);
    complete(life, path, bytes);
  }
}

TEST_CASE("power cut: at each sync of an upload's end it can be gone on with",
          "[fault][power][artifacts][tus]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()));
  const std::string bytes = some_bytes(2 * kHalf), path = begin(app, bytes);
  REQUIRE(append(app, path, 0, bytes.substr(0, kHalf)).status == 204);
  std::vector<std::string> copies;
  Mutex mutex;  // More than one thread syncs.
  folder.disk().on_sync([&](uint64_t number) {
    MutexLock lock(mutex);
    copies.push_back(folder.cut(cut_fates()[number % cut_fates().size()]));
  });
  CHECK(append(app, path, kHalf, bytes.substr(kHalf)).status == 204);
  folder.disk().on_sync(nullptr);
  copies.push_back(folder.cut(cut_fates()[0]));
  CHECK(copies.size() > 3);
  for (const std::string& copy : copies) {
    INFO(copy);
    const TestApp life(on(copy + "/data"));
    CHECK(offset_of(life, path) >= kHalf);
    complete(life, path, bytes);
  }
}
