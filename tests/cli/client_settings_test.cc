// Goal: a key goes to the server that it is for and to no other, and a server is reached by the
// proxy and the certificates that were named first. Method: tables of what may be found on a
// machine, and what must come of it; no environment and no file is read.
#include "cli/client_settings.h"

#include <catch2/catch.hpp>

using namespace kvcs;
using namespace kvcs::cli;

namespace {

using Variables = std::map<std::string, std::string>;

struct Row {
  const char* says;
  Door door;
  Sources sources;
  std::string server;  // "URL source"
  std::string key;     // "key source"
};

Sources found(std::string named, Variables variables, StoredSettings stored = {},
              LocalDaemon local = {}, std::set<std::string> logins = {}) {
  return {std::move(named), "", std::move(variables), std::move(stored), std::move(logins),
          std::move(local)};
}

const LocalDaemon kEvil{"http://evil:1", "kv_evil", "ka_evil"};
const LocalDaemon kHere{"http://127.0.0.1:8080/", "kv_here", "ka_here"};
const StoredSettings kBound{"https://office", "kv_work", "https://office"};
const StoredSettings kOld{"https://office/", "kv_work", ""};  // Of before keys were bound.
const StoredSettings kOther{"https://play", "kv_work", "https://office"};
const StoredSettings kKeyAlone{"", "kv_alone", ""};
const std::string kDefault = "http://127.0.0.1:8080 default";

}  // namespace

TEST_CASE("client settings: each source of server and key, and what comes of it", "[unit][cli]") {
  const Door api = api_door(), admin = admin_door(), call = variable_door("KVCS_GATEWAY_TOKEN");
  const std::vector<Row> rows = {
      {"nothing", api, found("", {}), kDefault, " none"},
      {"nothing, as administrator", admin, found("", {}), kDefault, " none"},
      {"a key alone", api, found("", {{"KVCS_API_KEY", "kv_1"}}), kDefault, "kv_1 environment"},
      {"the other name", api, found("", {{"KVCDN_API_KEY", "kv_2"}}), kDefault, "kv_2 environment"},
      {"a session before a key", api, found("", {{"KVCS_API_KEY", "kv_1"}, {"KVCS_TOKEN", "ks_1"}}),
       kDefault, "ks_1 environment"},
      {"a key and a URL", api, found("", {{"KVCS_API_KEY", "kv_1"}, {"KVCS_API_URL", "http://a/"}}),
       "http://a KVCS_API_URL", "kv_1 environment"},
      {"the first URL", api,
       found("", {{"KVCDN_API_URL", "http://b"}, {"KVCS_API_URL", "http://a"}}),
       "http://a KVCS_API_URL", " none"},
      {"the second URL", api, found("", {{"KVCDN_API_URL", "http://b//"}}),
       "http://b KVCDN_API_URL", " none"},
      {"the command line before all", api,
       found("http://c/x/", {{"KVCS_API_KEY", "kv_1"}, {"KVCS_API_URL", "http://a"}}, kBound),
       "http://c/x --server", "kv_1 environment"},
      // A file in the working directory.
      {"a local daemon alone", api, found("", {}, {}, kHere), "http://127.0.0.1:8080 local daemon",
       "kv_here local daemon"},
      {"a local daemon, as administrator", admin, found("", {}, {}, kHere),
       "http://127.0.0.1:8080 local daemon", "ka_here local daemon"},
      {"a strange one alone", api, found("", {}, {}, kEvil), "http://evil:1 local daemon",
       "kv_evil local daemon"},
      {"a strange one and a key", api, found("", {{"KVCS_API_KEY", "kv_1"}}, {}, kEvil), kDefault,
       "kv_1 environment"},
      {"a strange one and a session", api, found("", {{"KVCS_TOKEN", "ks_1"}}, {}, kEvil), kDefault,
       "ks_1 environment"},
      {"a strange one and the administrator's key", admin,
       found("", {{"KVCS_ADMIN_KEY", "ka_1"}}, {}, kEvil), kDefault, "ka_1 environment"},
      {"a strange one and a tenant's token", call,
       found("", {{"KVCS_GATEWAY_TOKEN", "kt_1"}}, {}, kEvil), kDefault, "kt_1 environment"},
      {"a strange one and a stored key", api, found("", {}, kKeyAlone, kEvil), kDefault,
       "kv_alone configuration"},
      {"a strange one and a stored key of a server", api, found("", {}, kBound, kEvil),
       "https://office configuration", "kv_work configuration"},
      {"an everyday key is none of the administrator's", admin,
       found("", {{"KVCS_API_KEY", "kv_1"}}, {}, kHere), "http://127.0.0.1:8080 local daemon",
       "ka_here local daemon"},
      {"a strange one that names the server of a login", api,
       found("", {}, {}, {"https://office", "kv_evil", ""}, {"https://office"}),
       "https://office local daemon", "kv_evil local daemon"},
      {"the same, as administrator", admin,
       found("", {}, {}, {"https://office", "", "ka_evil"}, {"https://office"}),
       "https://office local daemon", "ka_evil local daemon"},
      {"one without a key", api, found("", {}, {}, {"http://evil:1", "", "ka_evil"}), kDefault,
       " none"},
      {"one without a URL", api, found("", {}, {}, {"", "kv_evil", ""}), kDefault, " none"},
      {"its key at its own URL, named", api, found("http://evil:1", {}, {}, kEvil),
       "http://evil:1 --server", "kv_evil local daemon"},
      {"its key at another URL, named", api, found("http://a", {}, {}, kEvil), "http://a --server",
       " none"},
      {"its key at the default", api, found("", {}, {"http://127.0.0.1:8080", "", ""}, kHere),
       "http://127.0.0.1:8080 configuration", "kv_here local daemon"},
      // The configuration.
      {"a stored key at its server", api, found("", {}, kBound), "https://office configuration",
       "kv_work configuration"},
      {"a stored key of before", api, found("", {}, kOld), "https://office configuration",
       "kv_work configuration"},
      {"a stored key of before, elsewhere", api, found("http://a", {}, kOld), "http://a --server",
       " none"},
      {"a stored key elsewhere", api, found("", {{"KVCS_API_URL", "http://a"}}, kBound),
       "http://a KVCS_API_URL", " none"},
      {"another server is used", api, found("", {}, kOther), "https://play configuration", " none"},
      {"a stored key that is named again", api, found("https://office/", {}, kOther),
       "https://office --server", "kv_work configuration"},
      {"a stored key of before without a server", api, found("", {}, kKeyAlone), kDefault,
       "kv_alone configuration"},
      {"the same elsewhere", api, found("http://a", {}, kKeyAlone), "http://a --server", " none"},
      {"a stored key names its server", api, found("", {}, {"", "kv_work", "https://office"}),
       "https://office configuration", "kv_work configuration"},
      {"no administrator by a stored key", admin, found("", {}, kBound),
       "https://office configuration", " none"},
      {"a key of the environment goes to the configured server", api,
       found("", {{"KVCS_API_KEY", "kv_1"}}, kBound), "https://office configuration",
       "kv_1 environment"},
      // Logins.
      {"a login at the server", api,
       found("", {}, {"https://office", "", ""}, {}, {"https://office", "https://play"}),
       "https://office configuration", " login"},
      {"a login elsewhere", api, found("", {}, {"https://office", "", ""}, {}, {"https://play"}),
       "https://office configuration", " none"},
      {"a stored key before a login", api, found("", {}, kBound, {}, {"https://office"}),
       "https://office configuration", "kv_work configuration"},
      {"a login before a local daemon's key", api,
       found("", {}, {"http://127.0.0.1:8080", "", ""}, kHere, {"http://127.0.0.1:8080"}),
       "http://127.0.0.1:8080 configuration", " login"},
      {"the administrator's local key before a login", admin,
       found("", {}, {"http://127.0.0.1:8080", "", ""}, kHere, {"http://127.0.0.1:8080"}),
       "http://127.0.0.1:8080 configuration", "ka_here local daemon"},
      {"a tenant's token and nothing else", call, found("", {}, kBound, kHere, {"https://office"}),
       "https://office configuration", " none"},
  };
  for (const Row& row : rows) {
    INFO(row.says);
    const Result<ServerChoice> server = choose_server(row.sources, row.door);
    REQUIRE(server.ok());
    CHECK(server->url + " " + server->source == row.server);
    const KeyChoice key = choose_key(row.sources, row.door, *server);
    CHECK(key.key.reveal() + " " + key.source == row.key);
  }
}

TEST_CASE("client settings: a URL that is none is refused, and no password is shown",
          "[unit][cli]") {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"127.0.0.1:8080", "X: '127.0.0.1:8080' does not begin with http:// or https://."},
      {"ftp://h", "X: 'ftp://h' does not begin with http:// or https://."},
      {"http://h?x=1", "X: 'http://h?x=1' has a '?' or a '#'; a server's URL ends with its path."},
      {"http://h#f", "X: 'http://h#f' has a '?' or a '#'; a server's URL ends with its path."},
      {"http://", "X: 'http://' is no URL of a server."},
      {"http://h:0", "X: 'http://h:0' is no URL of a server."},
      {"http://h h", "X: 'http://h h' is no URL of a server."},
      {"https://ada:secret@h",
       "X: 'https://***@h' has a user name or a password in it; a key belongs in KVCS_API_KEY."},
      {"ada:secret@h", "X: '***@h' does not begin with http:// or https://."},
  };
  for (const auto& [url, words] : rows) {
    CHECK(read_server_url("X", url).status().message() == words);
  }
  CHECK(read_server_url("X", "HTTPS://Host_1:8443/kvcs//").value() == "HTTPS://Host_1:8443/kvcs");
  CHECK(read_server_url("X", "http://[::1]:8080/").value() == "http://[::1]:8080");
  const Sources typed{"h:1", "", {}, {}, {}, {}};
  CHECK(choose_server(typed, api_door()).status().message().starts_with("--server: 'h:1' "));
  const Sources set{"", "", {{"KVCDN_API_URL", "h:1"}}, {}, {}, {}};
  CHECK(choose_server(set, api_door()).status().message().starts_with("KVCDN_API_URL: 'h:1' "));
}

TEST_CASE("client settings: whose certificates, and which proxy", "[unit][cli]") {
  StoredSettings stored;
  stored.servers["https://office"] = {"work.pem", "http://office-proxy:1"};
  const auto way = [&](Variables variables, const std::string& server = "https://office",
                       const std::string& named_ca = "") {
    return choose_way({"", named_ca, std::move(variables), stored, {}, {}}, server);
  };
  const auto trust = [&](Variables variables, const std::string& server = "https://office",
                         const std::string& named_ca = "") {
    const WayChoice choice = way(std::move(variables), server, named_ca);
    return choice.way.ca_file + " " + choice.way.ca_folder + " " + choice.ca_source;
  };
  CHECK(trust({}, "https://elsewhere") == "  system");
  CHECK(trust({}) == "work.pem  configuration");
  CHECK(trust({{"CURL_CA_BUNDLE", "c.pem"}}) == "c.pem  CURL_CA_BUNDLE");
  CHECK(trust({{"CURL_CA_BUNDLE", "c.pem"}, {"SSL_CERT_DIR", "/d"}}) == " /d SSL_CERT_DIR");
  CHECK(trust({{"CURL_CA_BUNDLE", "c.pem"}, {"SSL_CERT_FILE", "s.pem"}, {"SSL_CERT_DIR", "/d"}}) ==
        "s.pem /d SSL_CERT_FILE");
  CHECK(trust({{"SSL_CERT_FILE", "s.pem"}}, "https://office", "n.pem") == "n.pem  --cacert");

  const auto proxies = [&](Variables variables, const std::string& server = "https://office") {
    const WayChoice choice = way(std::move(variables), server);
    return choice.way.http_proxy + " " + choice.way.https_proxy + " " + choice.proxy_source;
  };
  CHECK(proxies({}, "https://elsewhere") == "  none");
  CHECK(proxies({}) == "http://office-proxy:1 http://office-proxy:1 configuration");
  CHECK(proxies({{"https_proxy", "a"}, {"HTTPS_PROXY", "b"}, {"ALL_PROXY", "c"}}) ==
        "c a https_proxy");
  CHECK(proxies({{"HTTPS_PROXY", "b"}}) == "http://office-proxy:1 b HTTPS_PROXY");
  CHECK(proxies({{"all_proxy", "d"}, {"ALL_PROXY", "c"}}, "http://x") == "d d all_proxy");
  // A request could bring this one to a CGI script.
  CHECK(proxies({{"HTTP_PROXY", "e"}}, "http://x") == "  none");
  CHECK(proxies({{"http_proxy", "e"}}, "http://127.0.0.1:1") == "e  none");
  CHECK(way({{"no_proxy", "x"}, {"NO_PROXY", "y"}}).way.no_proxy == "x");
  CHECK(way({{"NO_PROXY", "y"}}).way.no_proxy == "y");

  const http::FetchPolicy policy = fetch_policy({"", "", {}, stored, {}, {}});
  CHECK(policy.way.ca_file.empty());
  CHECK(policy.ways_of.at("https://office").ca_file == "work.pem");
}
