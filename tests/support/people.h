// A browser as tests use it: a cookie, the CSRF token that goes with it, and the origin of the
// daemon's pages. And people, made as a user makes them: by the setup link and by invitations.
#pragma once
#include <catch2/catch.hpp>

#include <string>

#include "support/test_app.h"

namespace kvcs::test {

inline constexpr const char* kGoodPassword = "correct horse battery staple";

class Browser final {
 public:
  explicit Browser(const TestApp& app) : app_(app) {}

  // With the cookie, and for what changes something with the token and the origin.
  RawResponse send(const std::string& method, const std::string& target,
                   const std::string& body = {}) {
    TestApp::Headers headers;
    if (!cookie.empty()) headers.emplace_back("Cookie", cookie);
    if (method != "GET") {
      headers.emplace_back("Origin", origin());
      headers.emplace_back("X-CSRF-Token", csrf);
    }
    RawResponse answer = app_.call(method, target, headers, body);
    take(answer);
    return answer;
  }
  std::string origin() const { return "http://127.0.0.1:" + std::to_string(app_.port()); }

  std::string cookie, csrf;

 private:
  void take(const RawResponse& answer) {
    const std::string set(answer.header("set-cookie"));
    if (set.empty()) return;
    cookie = set.substr(0, set.find(';'));
    csrf = json_text(answer.body, "csrf_token");
  }

  const TestApp& app_;
};

// The token in the setup link of initial-credentials.json.
inline std::string setup_token(const TestApp& app) {
  const std::string url = app.credential("setup_url");
  return url.substr(url.find("token=") + 6);
}

// A browser of the first person, who owns the daemon and organization `default`.
inline Browser set_up(const TestApp& app) {
  Browser browser(app);
  const RawResponse answer = browser.send(
      "POST", "/auth/setup",
      R"({"token":")" + setup_token(app) +
          R"(","email":"ada@example.com","name":"Ada","password":")" + kGoodPassword + "\"}");
  INFO(answer.body);
  REQUIRE(answer.status == 201);
  return browser;
}

// A browser of somebody who joined the active organization of `by` with this role.
inline Browser join(const TestApp& app, Browser& by, const std::string& email,
                    const std::string& role) {
  const RawResponse invited = by.send("POST", "/api/v1/invitations",
                                      R"({"email":")" + email + R"(","role":")" + role + "\"}");
  INFO(invited.body);
  REQUIRE(invited.status == 201);
  Browser browser(app);
  const RawResponse answer = browser.send("POST", "/auth/register",
                                          R"({"token":")" + json_text(invited.body, "token") +
                                              R"(","password":")" + kGoodPassword + "\"}");
  INFO(answer.body);
  REQUIRE(answer.status == 201);
  return browser;
}

}  // namespace kvcs::test
