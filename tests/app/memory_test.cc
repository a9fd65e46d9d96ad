// Goal: what a client makes the daemon hold in memory stays near the bytes that it sent or asked
// for: bodies of tiny values, uploads that pause, slices that nobody reads. Method: the built
// binary; the kernel says what it takes, and with how many threads.
#include <catch2/catch.hpp>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "kvfile/support.h"
#include "support/daemon.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Of /proc/<pid>/status, in KiB: VmRSS is now, VmHWM the most that it was. And Threads, a number.
long figure(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::atol(line.c_str() + name.size() + 1);
  }
  return 0;
}

std::string repeated(const std::string& begin, const std::string& item, size_t bytes,
                     const std::string& end) {
  std::string text = begin + item;
  while (text.size() + item.size() + 1 + end.size() < bytes) text += "," + item;
  return text + end;
}

struct House {
  TempDir dir;
  Daemon daemon{{"serve", "--data-dir", dir.file("data"), "--listen", "127.0.0.1:0"},
                dir.file("log")};
  int port = daemon.wait_until_ready();

  std::string credential(const std::string& name) const {
    const std::string text =
        read_small_file(dir.file("data/initial-credentials.json"), 1 << 16).value();
    const std::string mark = "\"" + name + "\": \"";
    const size_t begin = text.find(mark) + mark.size();
    return text.substr(begin, text.find('"', begin) - begin);
  }
  // `key` is one of the first start's, or "user": that of a user of the AI door.
  RawResponse send(const char* method, const std::string& path, const std::string& key,
                   const std::string& body) {
    const std::string bearer = key == "user" ? user_key() : credential(key);
    return fetch(port, method, path,
                 {{"Authorization", "Bearer " + bearer}, {"Content-Type", "application/json"}},
                 body);
  }
  std::string user_key() {
    if (!user_key_.empty()) return user_key_;
    const std::string ask =
        R"({"email":"ada@example.com","org_id":")" + credential("organization_id") + "\"}";
    const std::string user =
        json_text(send("POST", "/admin/users", "admin_key", ask).body, "user_id");
    const std::string made =
        send("POST", "/admin/users/" + user + "/api-keys", "admin_key", R"({"name":"k"})").body;
    return user_key_ = json_text(made, "api_key");
  }
  std::string user_key_;
  // Where the bytes of a new artifact go to.
  struct Place {
    std::string id, path;
  };
  Place announce(size_t size_bytes) {
    const std::string ask = R"({"name":"x","dtype":"F16","visibility":"public","size_bytes":)" +
                            std::to_string(size_bytes) + "}";
    const std::string made = send("POST", "/api/v1/artifacts/upload-url", "api_key", ask).body;
    const std::string url = json_text(made, "url");
    return {json_text(made, "artifact_id"), url.substr(url.find("/blobs/"))};
  }
  uint64_t temp_bytes() const {
    uint64_t sum = 0;
    std::error_code gone;
    for (const auto& file : std::filesystem::directory_iterator(dir.file("data/blobs/tmp"), gone)) {
      const uint64_t size_bytes = file.file_size(gone);
      if (!gone) sum += size_bytes;
    }
    return sum;
  }
  size_t hash_threads() const {
    size_t n = 0;
    const std::string tasks = "/proc/" + std::to_string(daemon.pid()) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      std::ifstream file(task.path() / "comm");
      std::string name;
      n += std::getline(file, name) && name == "hash" ? 1 : 0;
    }
    return n;
  }
};

}  // namespace

TEST_CASE("memory: tiny values take no memory beyond a few times their text", "[e2e][app]") {
  House house;
  REQUIRE(house.port > 0);
  struct Row {
    const char *method, *path, *key;
    std::string small, large;
    int status;
    const char* says;
  };
  const std::string expired = R"({"key":"a","value":"","expiration":1,"metadata":[[],[],[],[]]})";
  const Row rows[] = {
      {"POST", "/api/v1/artifacts/search", "api_key", R"({"tokens":[1]})",
       repeated(R"({"tokens":[)", "[0]", 4 << 20, "]}"), 400, "'[0]' is not a token id"},
      {"POST", "/api/v1/artifacts/search", "api_key", R"({"tokens":[1]})",
       repeated(R"({"tokens":[1],"model":[)", "[]", 4 << 20, "]}"), 413, "more than 100000 values"},
      {"POST", "/v1/chat/completions", "user", R"({"model":"x"})",
       repeated(R"({"model":"x","messages":[)", "0", 16 << 20, "]}"), 413, "1000000 are the most"},
      {"PUT", "/admin/kv/bulk", "admin_key", "[" + expired + "]",
       repeated("[", expired, 16 << 20, "]"), 200, "\"imported\":0"},
  };
  for (const Row& row : rows) {
    INFO(row.method << " " << row.path << " " << row.says);
    CHECK(house.send(row.method, row.path, row.key, row.small).status != 0);
    const long before = figure(house.daemon.pid(), "VmRSS");
    const RawResponse answer = house.send(row.method, row.path, row.key, row.large);
    INFO(answer.body);
    CHECK(answer.status == row.status);
    CHECK(answer.body.find(row.says) != std::string::npos);
    const long text_kib = static_cast<long>(row.large.size() >> 10);
    CHECK(figure(house.daemon.pid(), "VmHWM") - before < 3 * text_kib + 16 * 1024);
  }
}

TEST_CASE("memory: an upload that pauses holds no thread and little memory", "[e2e][app]") {
  House house;
  REQUIRE(house.port > 0);
  constexpr size_t kClients = 60, kSent = 6 << 20, kSize = 50 << 20;
  const std::string bytes(kSent, 'x');
  std::vector<RawClient> clients;
  // The first one warms what is kept in any case: buffers of workers, rooms of the allocator.
  long before = 0;
  for (size_t i = 0; i <= kClients; i++) {
    clients.emplace_back(house.port);
    // Each has an address of its own, which takes one body at a time.
    const std::string head = "PUT " + house.announce(kSize).path +
                             " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(kSize) +
                             "\r\n\r\n";
    REQUIRE(clients.back().send(head + bytes));
    wait_until([&] { return house.temp_bytes() == (i + 1) * kSent; }, "the bytes are on disk");
    if (i == 0) before = figure(house.daemon.pid(), "VmRSS");
  }
  wait_until([&] { return house.hash_threads() == 0; }, "no thread hashes");
  // The allocator gives pages back a little later.
  const auto grown = [&] { return figure(house.daemon.pid(), "VmRSS") - before; };
  wait_until([&] { return grown() < static_cast<long>(kClients) * 300; }, "the memory is given up");
  CHECK(figure(house.daemon.pid(), "Threads") < 60);
}

TEST_CASE("memory: slices that nobody reads share their plan", "[e2e][app]") {
  House house;
  REQUIRE(house.port > 0);
  const std::string path = house.dir.file("a.kv");
  REQUIRE(kvfile::write_sample(path, kvfile::Dtype::kF16, {2000, 1, 512, 4}, 5).ok());
  const std::string file = kvfile::read_bytes(path);
  const House::Place place = house.announce(file.size());
  CHECK(fetch(house.port, "PUT", place.path, {}, file).status == 200);
  CHECK(house.send("POST", "/api/v1/artifacts/" + place.id + "/confirm-upload", "api_key", "{}")
            .status == 200);
  const std::string target = "/v1/artifacts/" + place.id + "?tokens=0:500";
  CHECK(fetch(house.port, "GET", target).status == 200);
  const long before = figure(house.daemon.pid(), "VmRSS");
  constexpr size_t kClients = 60;
  std::vector<RawClient> clients;
  for (size_t i = 0; i < kClients; i++) {
    clients.emplace_back(house.port);
    const int small = 4096;
    ::setsockopt(clients.back().socket(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    REQUIRE(clients.back().send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    CHECK(clients.back().read_some().starts_with("HTTP/1.1 200"));
  }
  const long grown = figure(house.daemon.pid(), "VmRSS") - before;
  INFO(grown << " KiB");
  CHECK(grown < static_cast<long>(kClients) * 150);
}
