// Goal: a command finds the server that it is meant to ask, with the key that is meant for it.
// Method: every source of a setting in turn, in folders of the test's own.
#include "cli/api_settings.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "cli/api_client.h"
#include "cli/client_settings.h"
#include "cli/state_paths.h"
#include "support/env.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::cli;
using kvcs::test::Env;
using kvcs::test::TempDir;

namespace {

// While it lives, the process works in another folder.
class WorkingIn final {
 public:
  explicit WorkingIn(const std::filesystem::path& folder) { std::filesystem::current_path(folder); }
  ~WorkingIn() { std::filesystem::current_path(before_); }
  WorkingIn(const WorkingIn&) = delete;
  WorkingIn& operator=(const WorkingIn&) = delete;

 private:
  const std::filesystem::path before_ = std::filesystem::current_path();
};

// Nothing is configured, nor is there a data directory where the process works: a developer's
// `make run` leaves one in the checkout.
struct Bare {
  TempDir folder;
  WorkingIn here{folder.path()};
  Env url{"KVCS_API_URL", std::nullopt}, other_url{"KVCDN_API_URL", std::nullopt};
  Env key{"KVCS_API_KEY", std::nullopt}, other_key{"KVCDN_API_KEY", std::nullopt};
  Env admin{"KVCS_ADMIN_KEY", std::nullopt};
  Env config{"XDG_CONFIG_HOME", folder.file("config")};
  Env data{"KVCS_DATA_DIR", folder.file("data")};

  void leave_credentials(const Json& json) const {
    std::filesystem::create_directories(folder.file("data"));
    const std::string path = folder.file("data/initial-credentials.json");
    std::ofstream(path) << dump_json(json);
    std::filesystem::permissions(path, std::filesystem::perms(0600));
  }
};

}  // namespace

TEST_CASE("api settings: the server is the first that is named", "[unit][cli]") {
  const Bare bare;
  const auto found = [](const ServerFlags& flags = {}) {
    const ApiSettings settings = find_api_settings(flags);
    return settings.url + " " + settings.url_source;
  };
  CHECK(found() == "http://127.0.0.1:8080 default");
  bare.leave_credentials({{"url", "http://local:1/"}, {"api_key", "kv_local"}});
  CHECK(found() == "http://local:1 local daemon");
  REQUIRE(write_client_config({{"api_url", "http://config:2/"}}).ok());
  CHECK(found() == "http://config:2 configuration");
  CHECK(find_admin_settings(ServerFlags{}).url == "http://config:2");
  const Env second("KVCDN_API_URL", "http://kvcdn:3//");
  CHECK(found() == "http://kvcdn:3 KVCDN_API_URL");
  const Env first("KVCS_API_URL", "http://kvcs:4");
  CHECK(found() == "http://kvcs:4 KVCS_API_URL");
  CHECK(found({"http://named:5/", ""}) == "http://named:5 --server");
}

TEST_CASE("api settings: what lies in the working directory gets no other key", "[unit][cli]") {
  const Bare bare;
  bare.leave_credentials(
      {{"url", "http://evil:1"}, {"api_key", "kv_evil"}, {"admin_key", "ka_evil"}});
  const auto is_safe = [](const ApiSettings& settings) {
    return settings.url == kDefaultUrl || settings.key.reveal() == "kv_evil" ||
           settings.key.reveal() == "ka_evil";
  };
  CHECK(find_api_settings(ServerFlags{}).url == "http://evil:1");
  {
    const Env key("KVCS_API_KEY", "kv_mine");
    const Env admin("KVCS_ADMIN_KEY", "ka_mine");
    const Env token("KVCS_GATEWAY_TOKEN", "kt_mine");
    CHECK(find_api_settings(ServerFlags{}).url == kDefaultUrl);
    CHECK(find_api_settings(ServerFlags{}).key.reveal() == "kv_mine");
    CHECK(find_admin_settings(ServerFlags{}).url == kDefaultUrl);
    CHECK(find_settings_of(ServerFlags{}, "KVCS_GATEWAY_TOKEN").url == kDefaultUrl);
    CHECK(find_settings_of(ServerFlags{}, "KVCS_GATEWAY_TOKEN").key.reveal() == "kt_mine");
    // The way to the daemon that is left out is told.
    CHECK(find_api_settings(ServerFlags{}).key_advice.find("answers at http://evil:1") !=
          std::string::npos);
  }
  REQUIRE(write_client_config({{"api_key", "kv_stored"}}).ok());
  CHECK(find_api_settings(ServerFlags{}).key.reveal() == "kv_stored");
  CHECK(is_safe(find_api_settings(ServerFlags{})));
  CHECK(is_safe(find_admin_settings(ServerFlags{})));
  CHECK(find_named_server(ServerFlags{}).value().url == kDefaultUrl);
}

TEST_CASE("api settings: the key is the first that is there, and its source is told",
          "[unit][cli]") {
  const Bare bare;
  const auto found = [] {
    const ApiSettings settings = find_api_settings(ServerFlags{});
    return settings.key.reveal() + " " + settings.key_source;
  };
  CHECK(found() == " none");
  bare.leave_credentials({{"url", "http://127.0.0.1:8080"}, {"api_key", "kv_local"}});
  CHECK(found() == "kv_local local daemon");
  REQUIRE(write_client_config({{"api_key", "kv_config"}}).ok());
  CHECK(found() == "kv_config configuration");
  const Env second("KVCDN_API_KEY", "kv_kvcdn");
  CHECK(found() == "kv_kvcdn environment");
  const Env first("KVCS_API_KEY", "kv_kvcs");
  CHECK(found() == "kv_kvcs environment");
}

TEST_CASE("api settings: an administrator's key is no other key", "[unit][cli]") {
  const Bare bare;
  const Env key("KVCS_API_KEY", "kv_kvcs");
  REQUIRE(write_client_config({{"api_key", "kv_config"}, {"admin_key", "ka_config"}}).ok());
  CHECK(find_admin_settings(ServerFlags{}).key.empty());
  bare.leave_credentials({{"url", "http://127.0.0.1:8080"}, {"admin_key", "ka_local"}});
  CHECK(find_admin_settings(ServerFlags{}).key.reveal() == "ka_local");
  const Env admin("KVCS_ADMIN_KEY", "ka_env");
  CHECK(find_admin_settings(ServerFlags{}).key.reveal() == "ka_env");
}

TEST_CASE("api settings: a local daemon's keys are sent to no other server", "[unit][cli]") {
  const Bare bare;
  bare.leave_credentials(
      {{"url", "http://127.0.0.1:1"}, {"api_key", "kv_local"}, {"admin_key", "ka_local"}});
  CHECK(find_api_settings(ServerFlags{}).key.reveal() == "kv_local");
  CHECK(find_api_settings(ServerFlags{"http://127.0.0.1:1/", ""}).key.reveal() == "kv_local");
  CHECK(find_api_settings(ServerFlags{"http://127.0.0.1:2", ""}).key.empty());
  // One that others may read or write is anybody's.
  const std::string path = bare.folder.file("data/initial-credentials.json");
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  CHECK(find_api_settings(ServerFlags{}).key.empty());
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  const Env other("KVCS_API_URL", "http://127.0.0.1:2");
  CHECK(find_api_settings(ServerFlags{}).key.empty());
  CHECK(find_admin_settings(ServerFlags{}).key.empty());
}

TEST_CASE("api settings: a configuration that is damaged is told, and nothing is asked",
          "[unit][cli]") {
  const Bare bare;
  bare.leave_credentials(Json::array());
  CHECK(find_api_settings(ServerFlags{}).url == "http://127.0.0.1:8080");
  std::filesystem::create_directories(bare.folder.file("config/kvcs"));
  std::ofstream(client_config_path()) << "[]";
  const Env key("KVCS_API_KEY", "kv_mine");
  const ApiSettings settings = find_api_settings(ServerFlags{});
  CHECK(settings.fault.message() ==
        client_config_path() + " is not a JSON object; correct or remove it.");
  CHECK(ApiClient(settings).call("GET", "/x").status().message() == settings.fault.message());
  CHECK(find_admin_settings(ServerFlags{}).fault.code() == Code::kInvalid);
  CHECK(find_named_server(ServerFlags{}).code() == Code::kInvalid);
}

TEST_CASE("client config: where it is, and that only its owner may read it", "[unit][cli]") {
  const Bare bare;
  CHECK(client_config_path() == bare.folder.file("config/kvcs/config.json"));
  CHECK(read_client_config().value() == Json::object());
  std::filesystem::create_directories(bare.folder.file("config/kvcs"));
  std::ofstream(client_config_path()) << "{}";
  ::chmod(client_config_path().c_str(), 0644);
  REQUIRE(write_client_config({{"api_key", "kv_1"}}).ok());
  CHECK(read_client_config().value() == Json{{"api_key", "kv_1"}});
  struct stat status {};
  REQUIRE(::stat(client_config_path().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  {
    const Env no_folder("XDG_CONFIG_HOME", std::nullopt);
    const Env home("HOME", "/home/ada");
    CHECK(client_config_path() == "/home/ada/.config/kvcs/config.json");
  }
  {
    // The specification ignores paths that are not whole.
    const Env relative("XDG_CONFIG_HOME", "config");
    const Env home("HOME", "/home/ada");
    CHECK(client_config_path() == "/home/ada/.config/kvcs/config.json");
    const Env no_home("HOME", std::nullopt);
    CHECK(client_config_path().starts_with("/"));
    CHECK(client_config_path().ends_with("/.config/kvcs/config.json"));
  }
  CHECK(base_folder("/x", "/home/ada", "/.config") == "/x/kvcs");
  CHECK(base_folder("x", "/home/ada", "/.config") == "/home/ada/.config/kvcs");
  CHECK(base_folder("", "home", "/.config").empty());
}
