// Goal: callers that wait for the fetch of another one hold no thread, get their answer, and end at
// their deadline, with their client, and with the server. Method: the whole daemon; a provider on
// loopback that answers when the test says so; the process's threads as the kernel counts them.
#include <atomic>
#include <filesystem>
#include <vector>

#include "gateway/call/response_cache.h"
#include "gateway/gateway_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr const char* kPath = "/api/v1/kahuna/local";

// A provider that holds each answer until open().
class LateProvider final {
 public:
  LateProvider() : server_([this](LoopbackPeer& peer) { behave(peer); }) {}
  ~LateProvider() { open(); }
  LoopbackServer& server() { return server_; }
  int asked() const { return asked_; }
  void open(std::string status = "200 OK") {
    const MutexLock lock(mutex_);
    status_ = std::move(status);
    opened_.notify_all();
  }

 private:
  void behave(LoopbackPeer& peer) {
    while (peer.read_request()) {
      asked_++;
      std::string status;
      {
        const MutexLock lock(mutex_);
        while (status_.empty()) opened_.wait(mutex_);
        status = status_;
      }
      const std::string body = R"({"late":true})";
      if (!peer.send("HTTP/1.1 " + status +
                     "\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body)) {
        return;
      }
    }
  }

  std::atomic<int> asked_ = 0;
  Mutex mutex_;
  CondVar opened_;
  std::string status_ KVCS_GUARDED_BY(mutex_);
  LoopbackServer server_;  // Last: its threads use the others.
};

struct FlightApp : GatewayApp {
  explicit FlightApp(LateProvider& provider) : GatewayApp(provider.server()) {
    const std::string url = provider.server().url("");
    CHECK(admin("PUT", "/admin/providers/local",
                R"({"base_url":")" + url.substr(0, url.find_last_not_of('/') + 1) +
                    R"(","auth_type":"bearer","allow_private_addresses":true,)"
                    R"("allowed_path_prefixes":["/v1/"],"cache":{"ttl_s":60}})")
              .status == 200);
  }
  RawClient ask(const std::string& body = R"({"path":"/v1/x"})") const {
    RawClient client(app.port());
    REQUIRE(client.send("POST " + std::string(kPath) + " HTTP/1.1\r\nHost: h\r\n" +
                        "Content-Type: application/json\r\nAuthorization: Bearer " + token +
                        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body));
    return client;
  }
  void wait_for_waiting(size_t count) {
    wait_until([&] { return app.parts().gateway.cache->waiting() == count; },
               std::to_string(count) + " callers wait for the flight");
  }
};

int thread_count() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/task")) {
    count++;
  }
  return count;
}

}  // namespace

TEST_CASE("gateway over HTTP: three hundred callers of one missing answer hold no thread",
          "[e2e][gateway]") {
  constexpr size_t kCallers = 300;
  // What a pool keeps ready on a machine that is busy with other work.
  constexpr int kPoolThreads = 16;
  LateProvider provider;
  FlightApp gateway(provider);
  const int before = thread_count();
  std::vector<RawClient> clients;
  for (size_t i = 0; i < kCallers; i++) clients.push_back(gateway.ask());
  gateway.wait_for_waiting(kCallers - 1);
  CHECK(thread_count() <= before + kPoolThreads);
  provider.open();
  size_t hits = 0;
  for (auto& client : clients) {
    const RawResponse response = client.read_response();
    CHECK(response.status == 200);
    if (response.body.find(R"("cache":"HIT")") != std::string::npos) hits++;
  }
  CHECK(hits == kCallers - 1);
  CHECK(provider.asked() == 1);
}

TEST_CASE("gateway over HTTP: a caller that waits for another's answer keeps its own deadline",
          "[e2e][gateway]") {
  LateProvider provider;
  FlightApp gateway(provider);
  RawClient first = gateway.ask();
  wait_until([&] { return provider.asked() == 1; }, "the provider is asked");
  RawClient hurried = gateway.ask(R"({"path":"/v1/x","timeout_ms":50})");
  const RawResponse late = hurried.read_response();
  CHECK(late.status == 504);
  CHECK(late.body.find("TIMEOUT") != std::string::npos);
  RawClient second = gateway.ask(), leaves = gateway.ask();
  gateway.wait_for_waiting(2);
  { const RawClient gone(std::move(leaves)); }
  gateway.wait_for_waiting(1);
  provider.open();
  CHECK(first.read_response().status == 200);
  CHECK(second.read_response().body.find(R"("cache":"HIT")") != std::string::npos);
  CHECK(provider.asked() == 1);
}

TEST_CASE("gateway over HTTP: when the shared fetch fails its callers ask on their own",
          "[e2e][gateway]") {
  LateProvider provider;
  FlightApp gateway(provider);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; i++) clients.push_back(gateway.ask());
  gateway.wait_for_waiting(2);
  provider.open("500 Internal Server Error");
  for (auto& client : clients) CHECK(client.read_response().status == 500);
  CHECK(provider.asked() == 3);
  provider.open();
  CHECK(gateway.ask().read_response().status == 200);
  CHECK(provider.asked() == 4);
}

TEST_CASE("gateway over HTTP: a server that stops ends the waits for a shared fetch",
          "[e2e][gateway]") {
  LateProvider provider;
  FlightApp gateway(provider);
  std::vector<RawClient> clients;
  for (int i = 0; i < 4; i++) clients.push_back(gateway.ask());
  gateway.wait_for_waiting(3);
  gateway.app.stop();  // Its grace is a second.
  for (auto& client : clients) CHECK(client.read_response().status != 200);
}
