// The real binary is killed in the middle of a stream: what was reserved is settled by the next
// start, flagged, once, and counters equal the ledger to the nano-dollar.
#include <catch2/catch.hpp>

#include <cmath>

#include "base/file.h"
#include "base/mutex.h"
#include "support/ai_house.h"
#include "support/daemon.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// A client of a daemon in another process.
struct Client {
  int port;
  std::string admin_key;

  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {}) const {
    return fetch(port, method, path, {{"Authorization", "Bearer " + admin_key}}, body);
  }
  RawResponse chat(const std::string& key) const {
    return fetch(port, "POST", "/v1/chat/completions", {{"api-key", key}}, kHello);
  }
};

std::string credential(const std::string& data_dir, const std::string& name) {
  const std::string text = read_small_file(initial_credentials_path(data_dir), 1 << 16).value();
  const std::string mark = "\"" + name + "\": \"";
  const size_t begin = text.find(mark) + mark.size();
  return text.substr(begin, text.find('"', begin) - begin);
}

std::string number_after(const std::string& text, const std::string& name, size_t from = 0) {
  const std::string mark = "\"" + name + "\":";
  const size_t at = text.find(mark, from);
  if (at == text.npos) return "";
  const size_t begin = at + mark.size();
  return text.substr(begin, text.find_first_of(",}", begin) - begin);
}

}  // namespace

TEST_CASE("ai: killed between reserve and settle, the charge is recovered once", "[e2e][ai]") {
  TempDir dir;
  const std::string data = dir.file("data");
  const std::vector<std::string> arguments = {"serve", "--data-dir", data, "--listen",
                                              "127.0.0.1:0"};
  FakeProvider provider;
  std::string user, key;
  {
    Daemon daemon(arguments, dir.file("log"));
    Client client{daemon.wait_until_ready(), ""};
    INFO(daemon.log());
    REQUIRE(client.port > 0);
    client.admin_key = credential(data, "admin_key");
    REQUIRE(client
                .admin("PUT", "/admin/ai/providers/openai",
                       "{\"kind\":\"openai\",\"base_url\":\"" + provider.url() +
                           "\",\"api_key\":\"sk-1\"}")
                .status == 200);
    user = json_text(client
                         .admin("POST", "/admin/users",
                                R"({"email":"a@x.org","monthly_limit_usd":5,"org_id":")" +
                                    credential(data, "organization_id") + "\"}")
                         .body,
                     "user_id");
    key = json_text(
        client.admin("POST", "/admin/users/" + user + "/api-keys", R"({"name":"k"})").body,
        "api_key");
    REQUIRE(client.chat(key).status == 200);  // 0.000045 USD

    // The first chunk arrives, and then nothing more.
    provider.set([](LoopbackPeer& peer) {
      FakeProvider::begin_stream(peer);
      peer.send_chunk(chunk("Hello"));
      return !peer.wait_closed();
    });
    RawClient stream(client.port);
    stream.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\napi-key: " + key +
                "\r\nContent-Length: " + std::to_string(kHelloStream.size()) + "\r\n\r\n" +
                kHelloStream);
    std::string got;
    while (!has(got, "Hello")) {
      const std::string more = stream.read_some();
      REQUIRE_FALSE(more.empty());
      got += more;
    }
    const std::string during = client.admin("GET", "/admin/users/" + user + "/usage").body;
    CHECK(number_after(during, "reserved_usd") != "0.00");
    daemon.signal(SIGKILL);
    CHECK(daemon.wait() == 128 + SIGKILL);
  }
  for (int restart = 0; restart < 2; restart++) {
    Daemon daemon(arguments, dir.file("log"));
    const Client client{daemon.wait_until_ready(), credential(data, "admin_key")};
    INFO(daemon.log());
    REQUIRE(client.port > 0);
    const std::string usage = client.admin("GET", "/admin/users/" + user + "/usage").body;
    INFO(usage);
    CHECK(number_after(usage, "reserved_usd") == "0.00");
    CHECK(number_after(usage, "request_count") == "2");
    const std::string rows = client.admin("GET", "/admin/usage/requests").body;
    INFO(rows);
    const size_t recovered = rows.find("\"recovered\":true");
    REQUIRE(recovered != std::string::npos);
    CHECK(rows.find("\"recovered\":true", recovered + 1) == std::string::npos);
    const size_t row = rows.rfind("{\"request_id\"", recovered);
    CHECK(number_after(rows, "model", row) == "\"gpt-4o-mini\"");
    CHECK(number_after(rows, "estimated", row) == "true");
    CHECK(number_after(rows, "output_tokens", row) == "5");  // The bytes of "Hello".
    // In nano-dollars: what the rows say is what the counter says.
    const auto nano = [](const std::string& usd) { return std::llround(std::stod(usd) * 1e9); };
    const int64_t charged = nano(number_after(rows, "cost_usd", row));
    CHECK(charged > 0);
    CHECK(nano(number_after(usage, "current_usage_usd")) == 45'000 + charged);
    const std::string report = client.admin("GET", "/admin/usage?group_by=user").body;
    CHECK(nano(number_after(report, "cost_usd")) == 45'000 + charged);
    daemon.signal(restart == 0 ? SIGKILL : SIGTERM);
    daemon.wait();
  }
}
