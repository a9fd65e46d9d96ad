// Goal: who has signed in is asked for no key, the tokens are for that person's eyes and that
// server alone, and one that ends is renewed once, however many commands run. Method: the commands
// against a server on loopback that answers what the test says.
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <thread>

#include "cli/cli_desk.h"
#include "cli/credentials.h"

using namespace kvcs;
using namespace kvcs::cli;
using namespace kvcs::test;

namespace {

struct LoginDesk : CliDesk {
  Env no_key{"KVCS_API_KEY", std::nullopt}, no_admin{"KVCS_ADMIN_KEY", std::nullopt};
  Env no_other_key{"KVCDN_API_KEY", std::nullopt};
  Env no_screen{"DISPLAY", std::nullopt}, no_wayland{"WAYLAND_DISPLAY", std::nullopt};
  const std::string here = "http://127.0.0.1:" + std::to_string(server.port());

  Login login(int64_t left_s, const std::string& refresh = "refresh-1") const {
    Login made;
    made.server = made.issuer = here;
    made.account = "Ada";
    made.access_token = Secret("token-1");
    made.refresh_token = Secret(refresh);
    made.expires_at_s = std::time(nullptr) + left_s;
    made.client_id = "cli";
    return made;
  }
  CliAnswer offer(const std::string& more = {}) const {
    return {R"({"issuer":")" + here + R"(","token_endpoint":")" + here + R"(/token")" + more + "}"};
  }
  bool has_bearer(const std::string& token) {
    return head().find("authorization: Bearer " + token + "\r\n") != std::string::npos;
  }
  int mode() const {
    struct stat found {};
    REQUIRE(::stat(credentials_path().c_str(), &found) == 0);
    return found.st_mode & 0777;
  }
};

const CliAnswer kTokens{
    R"({"access_token":"token-2","refresh_token":"refresh-2","expires_in":600})"};
const CliAnswer kMe{R"({"kind":"person","person_id":"p1","name":"Ada","email":"ada@example.com"})"};
const CliAnswer kBadGrant{R"({"error":"invalid_grant"})", "400 Bad Request"};

}  // namespace

TEST_CASE("login: a person confirms a code elsewhere, and commands are let in from then on",
          "[contract][cli]") {
  LoginDesk desk;
  desk.answer(
      {{R"({"providers":[]})"},
       {R"({"device_code":"d1","user_code":"WDJB-MJHT","verification_uri":"http://h/#/device",)"
        R"("verification_uri_complete":"http://h/#/device?user_code=WDJB-MJHT",)"
        R"("expires_in":60,"interval":1})"},
       {R"({"error":"authorization_pending"})", "400 Bad Request"},
       {R"({"access_token":"ks_1","token_type":"Bearer","expires_in":600})"},
       kMe});
  REQUIRE(desk.run({"login", "--json"}) == 0);
  CHECK(desk.error.find("WDJB-MJHT") != std::string::npos);
  CHECK(desk.error.find("http://h/#/device?user_code=WDJB-MJHT") != std::string::npos);
  CHECK(parse_json(desk.out)->at("account") == "Ada <ada@example.com>");
  const Words asked = desk.requests();
  REQUIRE(asked.size() == 5);
  CHECK(asked[0] == "GET /auth/providers");
  CHECK(asked[1].starts_with("POST /auth/device client_id=kvcs-cli&device_name="));
  CHECK(asked[2] == asked[3]);
  CHECK(asked[3].find("device_code=d1&client_id=kvcs-cli") != std::string::npos);
  CHECK(desk.has_bearer("ks_1"));
  CHECK(desk.mode() == 0600);
  CHECK((desk.out + desk.error).find("ks_1") == std::string::npos);
  // The token is used, and its source told.
  desk.answer({kMe});
  REQUIRE(desk.run({"whoami", "--json"}) == 0);
  CHECK(parse_json(desk.out)->at("method") == "login");
  CHECK(desk.requests() == Words{"GET /api/v1/me"});
  CHECK(desk.has_bearer("ks_1"));
  desk.answer({{R"({"people":[],"cursor":null})"}});
  CHECK(desk.run({"admin", "people"}) == 0);
  CHECK(desk.has_bearer("ks_1"));
  {
    const Env key("KVCS_API_KEY", "kv_first");
    CHECK(desk.run({"quota", "--json"}) == 0);
    CHECK(desk.has_bearer("kv_first"));
  }
  desk.answer({kMe});
  CHECK(desk.run({"whoami"}) == 0);
  CHECK(desk.out.find("Signed in as   Ada <ada@example.com>\n") != std::string::npos);
  CHECK(desk.out.find("kvcs org use") != std::string::npos);
  CHECK(desk.run({"api-key", "verify"}) == 1);
  CHECK(desk.error.find("commands use a login") != std::string::npos);
  CHECK(desk.requests().empty());
  CHECK(desk.run({"logout"}) == 0);
  CHECK(desk.error == "Signed out at " + desk.here + ".\n");
  CHECK(desk.requests() == Words{"POST /auth/logout"});
  CHECK(read_logins()->empty());
  CHECK(desk.run({"list"}) == 1);
  CHECK(desk.error.find("kvcs login") != std::string::npos);
}

TEST_CASE("login: through the issuer that the server names for command lines", "[contract][cli]") {
  LoginDesk desk;
  desk.answer(
      {{R"({"providers":[{"name":"x","issuer":"https://x","cli_client_id":null},)"
        R"({"name":"y","issuer":")" +
        desk.here + R"(","cli_client_id":"cli"}]})"},
       desk.offer(R"(,"device_authorization_endpoint":")" + desk.here +
                  R"(/device","scopes_supported":["openid","offline_access"],)"
                  R"("grant_types_supported":)"
                  R"(["urn:ietf:params:oauth:grant-type:device_code"])"),
       {R"({"device_code":"d1","user_code":"C","verification_uri":"http://h","interval":1})"},
       kTokens,
       kMe});
  REQUIRE(desk.run({"login", "--no-browser"}) == 0);
  const Words asked = desk.requests();
  REQUIRE(asked.size() == 5);
  CHECK(
      asked[2] ==
      "POST /device client_id=cli&scope=openid%20profile%20email%20offline_access&prompt=consent");
  const std::vector<Login> kept = read_logins().value();
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].issuer == desk.here);
  CHECK(kept[0].refresh_token.reveal() == "refresh-2");
  // Its end is the issuer's.
  desk.answer({desk.offer(R"(,"revocation_endpoint":")" + desk.here + R"(/revoke")")});
  CHECK(desk.run({"logout"}) == 0);
  CHECK(desk.requests().back() == "POST /revoke client_id=cli&token=refresh-2");
}

TEST_CASE("login: a key that goes before it is named, with how to leave it out",
          "[contract][cli]") {
  LoginDesk desk;
  const CliAnswer refused{R"({"error":"This door needs somebody who has signed in."})",
                          "403 Forbidden"};
  const auto told = [&](const Words& words) {
    desk.answer({refused});
    CHECK(desk.run(words) == 1);
    INFO(desk.error);
    return [&desk](const std::string& part) { return desk.error.find(part) != std::string::npos; };
  };
  {
    const Env key("KVCS_API_KEY", "kv_key-1"), other("KVCDN_API_KEY", "kv_key-2");
    const auto says = told({"org", "list"});
    CHECK(says("Run `kvcs login`."));
    CHECK(says("`env -u KVCS_API_KEY -u KVCDN_API_KEY kvcs …`"));
    REQUIRE(keep_login(desk.login(600)).ok());
    CHECK_FALSE(told({"org", "list"})("Run `kvcs login`."));
    desk.answer({{R"({"error":"unknown"})", "401 Unauthorized"}});
    CHECK(desk.run({"list"}) == 1);
    CHECK(desk.error.find("env -u KVCS_API_KEY") != std::string::npos);
  }
  REQUIRE(desk.run({"api-key", "set", "kv_" + std::string(64, 'a')}) == 0);
  CHECK(told({"org", "list"})("`kvcs api-key clear` forgets it"));
}

TEST_CASE("login: where there is a desktop the address opens, with the code in it",
          "[contract][cli]") {
  LoginDesk desk;
  const std::string seen = desk.folder.file("seen");
  std::filesystem::create_directory(desk.folder.file("bin"));
  ::mkfifo(seen.c_str(), 0600);
  desk.write("bin/xdg-open", "#!/bin/sh\nprintf %s \"$1\" > '" + seen + "'\n");
  std::filesystem::permissions(desk.folder.file("bin/xdg-open"), std::filesystem::perms::owner_all);
  const Env screen("DISPLAY", ":9"), path("PATH", desk.folder.file("bin"));
  std::string opened;
  std::thread reader([&] {
    std::ifstream from(seen);  // Waits for the one who writes.
    std::getline(from, opened);
  });
  desk.answer({{R"({"providers":[]})"},
               {R"({"device_code":"d1","user_code":"WDJB-MJHT","verification_uri":"http://h/d",)"
                R"("verification_uri_complete":"http://h/d?user_code=WDJB-MJHT","interval":1})"},
               {R"({"access_token":"ks_1","token_type":"Bearer"})"},
               kMe});
  CHECK(desk.run({"login"}) == 0);
  reader.join();
  CHECK(opened == "http://h/d?user_code=WDJB-MJHT");
  CHECK(desk.error.find("It opens in your browser") != std::string::npos);
}

TEST_CASE("login: who is refused, late, or no server is told in words", "[contract][cli]") {
  LoginDesk desk;
  const CliAnswer none{R"({"providers":[]})"};
  const CliAnswer start{
      R"({"device_code":"d1","user_code":"C","verification_uri":"http://h","interval":1})"};
  const auto fails = [&](std::vector<CliAnswer> answers, const std::string& words) {
    desk.answer(std::move(answers));
    CHECK(desk.run({"login"}) == 1);
    INFO(desk.error);
    CHECK(desk.error.find(words) != std::string::npos);
    CHECK(read_logins()->empty());
  };
  fails({none, start, {R"({"error":"access_denied"})", "400 Bad Request"}}, "refused");
  fails({none, start, {R"({"error":"expired_token"})", "400 Bad Request"}}, "in time");
  fails({none, start, kBadGrant}, "invalid_grant");
  fails({none, start, kTokens, {R"({"error":"Nobody has invited you."})", "403 Forbidden"}},
        "Nobody has invited you.");
  fails({{"not found", "404 Not Found"}}, "as a kvcs server does");
  fails({none, {R"({"error":"x"})", "429 Too Many Requests"}}, "cannot begin");
  CHECK(desk.run({"login", "--server", "ftp://h"}) == 1);
  CHECK(desk.run({"login", "--issuer", "http://evil.example"}) == 1);
}

TEST_CASE("login: a token is renewed before it ends, and the new one kept", "[contract][cli]") {
  LoginDesk desk;
  REQUIRE(keep_login(desk.login(30)).ok());
  desk.answer({desk.offer(), kTokens, {R"({"artifacts":[]})"}});
  CHECK(desk.run({"list", "--json", "--all-projects"}) == 0);
  CHECK(desk.requests()[1] ==
        "POST /token grant_type=refresh_token&client_id=cli&refresh_token=refresh-1");
  CHECK(desk.has_bearer("token-2"));
  CHECK(read_logins()->at(0).refresh_token.reveal() == "refresh-2");
  CHECK(desk.mode() == 0600);
  desk.answer({{R"({"artifacts":[]})"}});
  CHECK(desk.run({"list", "--json", "--all-projects"}) == 0);
  CHECK(desk.requests().size() == 1);
  // While the issuer is away the token goes on until its end.
  REQUIRE(keep_login(desk.login(30)).ok());
  desk.answer({{"{}", "503 Service Unavailable"}, {R"({"artifacts":[]})"}});
  CHECK(desk.run({"list", "--json", "--all-projects"}) == 0);
  CHECK(desk.has_bearer("token-1"));
  REQUIRE(keep_login(desk.login(-1)).ok());
  desk.answer({desk.offer(), kBadGrant});
  CHECK(desk.run({"list"}) == 1);
  CHECK(desk.error.find("Run `kvcs login` again") != std::string::npos);
  REQUIRE(keep_login(desk.login(-1, "")).ok());
  CHECK(fresh_login(desk.here, {}).code() == Code::kUnauthenticated);
}

TEST_CASE("login: of many that run at once one renews, and all get the new token", "[fault][cli]") {
  LoginDesk desk;
  REQUIRE(keep_login(desk.login(-1)).ok());
  REQUIRE(desk.run({"server", "list", "--json"}) == 0);
  desk.answer({desk.offer(), kTokens});
  std::vector<std::string> tokens(6);
  std::vector<std::thread> threads;
  for (std::string& token : tokens) {
    threads.emplace_back([&desk, &token] {
      const auto login = fresh_login(desk.here, {});
      if (login.ok() && login->has_value()) token = (*login)->access_token.reveal();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::count(tokens.begin(), tokens.end(), "token-2") == 6);
  CHECK(desk.requests().size() == 2);
}

TEST_CASE("login: a file that others can read is refused, with what to do", "[contract][cli]") {
  LoginDesk desk;
  REQUIRE(keep_login(desk.login(600)).ok());
  REQUIRE(::chmod(credentials_path().c_str(), 0640) == 0);
  CHECK(desk.run({"list"}) == 1);
  CHECK(desk.error.find("chmod 600 '" + credentials_path() + "'") != std::string::npos);
  CHECK(desk.requests().empty());
  CHECK(desk.run({"server", "list"}) == 1);
  CHECK(keep_login(desk.login(600)).code() == Code::kForbidden);
  {
    const Env key("KVCS_API_KEY", "kv_key-1");
    desk.answer({{R"({"artifacts":[]})"}});
    CHECK(desk.run({"list", "--json"}) == 0);
  }
  REQUIRE(::chmod(credentials_path().c_str(), 0600) == 0);
  std::ofstream(credentials_path()) << "{";
  CHECK(desk.run({"list"}) == 1);
  CHECK(desk.error.find("is damaged") != std::string::npos);
}

TEST_CASE("login: a token goes to its own server, and a stored key too", "[contract][cli]") {
  LoginDesk desk;
  CliDesk other;
  const std::string there = "http://127.0.0.1:" + std::to_string(other.server.port());
  const Env config("XDG_CONFIG_HOME", desk.folder.file("config"));
  const Env no_key("KVCS_API_KEY", std::nullopt), no_url("KVCS_API_URL", std::nullopt);
  REQUIRE(desk.run({"server", "use", desk.here + "/"}) == 0);
  CHECK(desk.error == "Commands ask " + desk.here + " from now on.\n");
  REQUIRE(keep_login(desk.login(600)).ok());
  CHECK(desk.run({"server", "list", "--json"}) == 0);
  CHECK(parse_json(desk.out)->at(0).at("current") == true);
  REQUIRE(desk.run({"server", "use", there}) == 0);
  CHECK(desk.run({"list"}) == 1);
  CHECK(other.requests().empty());
  REQUIRE(desk.run({"api-key", "set", "kv_" + std::string(64, 'a')}) == 0);
  REQUIRE(desk.run({"server", "use", desk.here}) == 0);
  desk.answer({{R"({"artifacts":[]})"}});
  CHECK(desk.run({"list", "--json", "--all-projects"}) == 0);
  CHECK(desk.has_bearer("token-1"));
  CHECK(desk.run({"server", "use", "nowhere"}) == 1);
  REQUIRE(desk.run({"server", "remove", desk.here}) == 0);
  CHECK(read_logins()->empty());
}

TEST_CASE("server: one that is added is known, with the way to it, and removed whole",
          "[unit][cli]") {
  LoginDesk desk;
  const Env no_url("KVCS_API_URL", std::nullopt), no_bundle("CURL_CA_BUNDLE", std::nullopt),
      no_file("SSL_CERT_FILE", std::nullopt), no_folder("SSL_CERT_DIR", std::nullopt);
  const auto servers = [&] {
    REQUIRE(desk.run({"server", "list", "--json"}) == 0);
    std::string all;
    for (const Json& one : parse_json(desk.out).value()) {
      all += text_member(one, "server") + (one.at("current") == true ? "*" : "") + " ";
    }
    return all;
  };
  CHECK(servers() == "http://127.0.0.1:8080* ");
  const std::string ca = desk.write("ca.pem", "certificate");
  REQUIRE(desk.run({"server", "add", "https://office/", "--cacert", ca, "--proxy",
                    "http://ada:secret@proxy:3128"}) == 0);
  CHECK(desk.error == "Added https://office; `kvcs server use` chooses it.\n");
  CHECK(servers() == "http://127.0.0.1:8080* https://office ");
  // Once more, for another proxy: the authority stays.
  REQUIRE(desk.run({"server", "add", "https://office", "--proxy", "http://other:3128"}) == 0);
  REQUIRE(desk.run({"server", "add", "https://office"}) == 0);
  const Json kept = read_client_config().value().at("servers").at("https://office");
  CHECK(kept.at("ca_file") == ca);
  CHECK(kept.at("proxy") == "http://other:3128");
  REQUIRE(desk.run(
              {"server", "add", "https://office", "--proxy", "http://ada:secret@proxy:3128"}) == 0);
  REQUIRE(desk.run({"server", "use", "https://office"}) == 0);
  CHECK(servers() == "https://office* ");
  REQUIRE(desk.run({"whoami"}) == 0);
  CHECK(desk.out.find("https://office (configuration)\n") != std::string::npos);
  CHECK(desk.out.find(ca + " (configuration)\n") != std::string::npos);
  CHECK(desk.out.find("http://***@proxy:3128 (configuration)\n") != std::string::npos);
  REQUIRE(desk.run({"whoami", "--json", "--server", "https://play"}) == 0);
  CHECK(parse_json(desk.out)->at("api_url_source") == "--server");
  CHECK(parse_json(desk.out)->at("ca_file").is_null());
  CHECK(parse_json(desk.out)->at("proxy_source") == "none");
  REQUIRE(desk.run({"server", "remove", "https://office"}) == 0);
  CHECK(servers() == "http://127.0.0.1:8080* ");
  CHECK(read_client_config().value().at("servers").empty());
  const std::vector<std::pair<Words, std::string>> refused = {
      {{"work.example.com"}, "URL: 'work.example.com' does not begin with http:// or https://."},
      {{"https://ada:secret@work"}, "URL: 'https://***@work' has a user name"},
      {{"https://office", "--cacert", desk.folder.file("none")}, "--cacert: there is no file "},
      {{"https://office", "--proxy", "u:secret@h"}, "--proxy: '***@h' is no URL"},
  };
  for (const auto& [more, words] : refused) {
    Words line = {"server", "add"};
    line.insert(line.end(), more.begin(), more.end());
    CHECK(desk.run(line) == 1);
    CHECK(desk.error.find(words) != std::string::npos);
    CHECK(desk.error.find("secret") == std::string::npos);
  }
}
