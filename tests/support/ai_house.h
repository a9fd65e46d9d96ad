// The AI door of a whole daemon with a provider on loopback that answers from a script, a user and
// a key; and the events of which streams are made.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "support/loopback_server.h"
#include "support/test_app.h"

namespace kvcs::test {

inline const std::string kUsage =
    "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":50,\"total_tokens\":150}";
inline const std::string kHello =
    R"({"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}],"max_tokens":100})";
inline const std::string kHelloStream =
    R"({"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Hello"}]})";
inline constexpr const char* kDone = "data: [DONE]\n\n";

inline std::string chunk(const std::string& text) {
  return "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text +
         "\"},\"finish_reason\":null}]}\n\n";
}
inline std::string finish() {
  return "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}"
         "\n\n";
}
inline std::string usage_chunk() {
  return "data: {\"id\":\"c\",\"choices\":[]," + kUsage + "}\n\n";
}

// A provider on loopback that does what its script says, request by request.
class FakeProvider final {
 public:
  using Script = std::function<bool(LoopbackPeer&)>;  // False: hang up.
  FakeProvider() : server_([this](LoopbackPeer& peer) { serve(peer); }) {
    answer_json(
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]," +
        kUsage + "}");
  }
  void set(Script script) {
    MutexLock lock(mutex_);
    script_ = std::move(script);
  }
  void answer_json(const std::string& body, const std::string& status = "200 OK") {
    set([=](LoopbackPeer& peer) { return peer.answer(body, status); });
  }
  // A stream that says "Hello" and goes on until its reader leaves.
  void say_hello_for_good() {
    set([](LoopbackPeer& peer) {
      begin_stream(peer);
      peer.send_chunk(chunk("Hello"));
      return !peer.wait_closed();
    });
  }
  // The events, then the clean end, or the connection's.
  void answer_stream(std::vector<std::string> events, bool clean = true) {
    set([=](LoopbackPeer& peer) {
      begin_stream(peer);
      for (const std::string& event : events) peer.send_chunk(event);
      if (clean) return peer.send("0\r\n\r\n");
      peer.reset();
      return false;
    });
  }
  static void begin_stream(LoopbackPeer& peer) {
    peer.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  std::vector<std::string> bodies() const {
    MutexLock lock(mutex_);
    return bodies_;
  }
  std::vector<std::string> heads() const {
    MutexLock lock(mutex_);
    return heads_;
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  LoopbackServer& server() { return server_; }

 private:
  void serve(LoopbackPeer& peer) {
    while (auto request = peer.read_request()) {
      Script script;
      {
        MutexLock lock(mutex_);
        heads_.push_back(request->head);
        bodies_.push_back(request->body);
        script = script_;
      }
      if (!script(peer)) return;
    }
  }

  mutable Mutex mutex_;
  Script script_ KVCS_GUARDED_BY(mutex_);
  std::vector<std::string> heads_ KVCS_GUARDED_BY(mutex_);
  std::vector<std::string> bodies_ KVCS_GUARDED_BY(mutex_);
  LoopbackServer server_;
};

struct AiHouse {
  explicit AiHouse(
      const std::function<void(Config&)>& edit = [](Config&) {}, AppOptions options = {})
      : app(edit, std::move(options)) {
    org = app.credential("organization_id");
    put_provider("openai", "openai", provider.url());
    put_provider("anthropic", "anthropic", provider.url());
    user = json_text(
        admin("POST", "/admin/users",
              R"({"email":"ada@example.com","monthly_limit_usd":5,"org_id":")" + org + "\"}")
            .body,
        "user_id");
    const RawResponse made = admin("POST", "/admin/users/" + user + "/api-keys", R"({"name":"k"})");
    key = json_text(made.body, "api_key");
    key_id = json_text(made.body, "key_id");
    REQUIRE_FALSE(key.empty());
  }
  void put_provider(const std::string& name, const std::string& kind, const std::string& url,
                    const std::string& more = "") {
    const RawResponse put = admin("PUT", "/admin/ai/providers/" + name,
                                  "{\"kind\":\"" + kind + "\",\"base_url\":\"" + url +
                                      "\",\"api_key\":\"sk-secret\"" + more + "}");
    INFO(put.body);
    REQUIRE(put.status == 200);
  }
  // Sends kHelloStream, reads the answer as far as its "Hello", and leaves.
  void leave_stream(const std::function<void()>& before_leaving = [] {}) const {
    RawClient client(app.port());
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key +
                "\r\nContent-Length: " + std::to_string(kHelloStream.size()) + "\r\n\r\n" +
                kHelloStream);
    std::string got;
    while (got.find("Hello") == got.npos) {
      const std::string more = client.read_some();
      REQUIRE_FALSE(more.empty());
      got += more;
    }
    before_leaving();
  }
  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {}) const {
    return app.as_owner(method, path, body);
  }
  RawResponse chat(const std::string& body = kHello) const {
    return app.as(key, "POST", "/v1/chat/completions", body);
  }
  RawResponse message(const std::string& body) const {
    return app.call("POST", "/v1/messages", {{"x-api-key", key}}, body);
  }
  void change_user(const std::string& body) const {
    REQUIRE(admin("PATCH", "/admin/users/" + user, body).status == 200);
  }
  void change_org(const std::string& body) const {
    REQUIRE(admin("PATCH", "/admin/organizations/" + org, body).status == 200);
  }
  std::string usage() const { return admin("GET", "/admin/users/" + user + "/usage").body; }

  FakeProvider provider;
  TestApp app;  // Ends first.
  std::string org, user, key, key_id;
};

// Retry-After of a 503: `seconds`, and up to half as much again.
inline bool is_spread(const std::string& retry_after, int seconds) {
  const int found = std::atoi(retry_after.c_str());
  return found >= seconds && found <= seconds + seconds / 2;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline void check_refused(const AiHouse& house, const std::string& body, int status,
                          const std::string& word) {
  const RawResponse refused = house.chat(body);
  INFO(body.substr(0, 200) << " -> " << refused.status << " " << refused.body);
  CHECK(refused.status == status);
  CHECK(has(refused.body, word));
  CHECK(refused.body.starts_with("{\"error\":{"));
}

}  // namespace kvcs::test
