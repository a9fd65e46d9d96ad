// Goal: nobody reaches a route that is not meant for them. tests/data/who_may.tsv says what a
// caller must hold at least; it and the route table must have the same rows. Method: every row of a
// running daemon is called as nobody, with an unknown key and with a key of each family and role,
// and a resource of a project, user or tenant with the same kind of key of another.
//
// The calls declare a body that is over every route's limit. The server looks at that right after
// the guard and before the handler, so 413 says that the guard let the caller through, and no call
// changes anything.
#include <algorithm>
#include <fstream>
#include <map>

#include "app/routes.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "http/static_files.h"
#include "support/ai_house.h"
#include "support/source_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int kLetThrough = 413;

struct Row {
  std::string method, path, who, whose;
};

std::vector<Row> read_table() {
  std::ifstream file(source_dir() + "/tests/data/who_may.tsv");
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    const std::vector<std::string_view> cells = split(line, '\t');
    INFO(line);
    REQUIRE(cells.size() == 4);
    rows.push_back({std::string(cells[0]), std::string(cells[1]), std::string(cells[2]),
                    std::string(cells[3])});
  }
  REQUIRE_FALSE(rows.empty());
  return rows;
}

// "{tenant}" becomes what `values` has for it, every other name a word that exists nowhere.
std::string concrete(const std::string& pattern,
                     const std::map<std::string, std::string>& values = {}) {
  std::string path;
  for (size_t i = 0; i < pattern.size(); i++) {
    if (pattern[i] != '{') {
      path += pattern[i];
      continue;
    }
    const size_t end = pattern.find('}', i);
    const auto value = values.find(pattern.substr(i + 1, end - i - 1));
    path += value == values.end() ? "x1" : value->second;
    i = end;
  }
  return path;
}

// A daemon with two organizations, each with a key of every family; admin keys of every role.
struct Doors : AiHouse {
  Doors()
      : AiHouse([](Config& config) {
          config.admin.failures_max = 1'000'000;
          config.gateway.signin_failures_per_minute = -1;
        }) {
    keys["project key"] = app.credential("api_key");
    keys["user key"] = key;
    keys["owner"] = app.credential("admin_key");
    for (const char* role : {"billing", "viewer", "admin"}) {
      keys[role] = made("/admin/admin-keys", R"({"name":"k","role":")" + std::string(role) + "\"}",
                        "admin_key");
    }
    put_tenant("ours");
    put_tenant("theirs");
    keys["tenant token"] = made("/admin/tenants/ours/tokens", "{}", "token");
    others["tenant token"] = made("/admin/tenants/theirs/tokens", "{}", "token");
    const std::string projects = "/admin/organizations/" +
                                 made("/admin/organizations", R"({"name":"Other"})", "org_id") +
                                 "/projects";
    others["project key"] =
        made(projects + "/" + made(projects, R"({"name":"Theirs"})", "project_id") + "/api-keys",
             R"({"name":"k"})", "api_key");
    const std::string bob =
        made("/admin/users", R"({"email":"bob@example.com","org_id":")" + org + "\"}", "user_id");
    others["user key"] = made("/admin/users/" + bob + "/api-keys", R"({"name":"k"})", "api_key");
  }
  void put_tenant(const std::string& name) {
    REQUIRE(admin("PUT", "/admin/tenants/" + name, R"({"name":")" + name + "\"}").status == 200);
  }
  // The member `name` of what a POST has made.
  std::string made(const std::string& path, const std::string& body, const std::string& name) {
    const RawResponse answer = admin("POST", path, body);
    INFO(path << " " << answer.status << " " << answer.body);
    REQUIRE(answer.status == 201);
    std::string value = json_text(answer.body, name);
    REQUIRE_FALSE(value.empty());
    return value;
  }
  // The status of a call that no handler sees.
  int knock(const std::string& method, const std::string& target, const std::string& bearer) const {
    RawClient client(app.port());
    std::string head = method + " " + target + " HTTP/1.1\r\nHost: x\r\n";
    if (!bearer.empty()) head += "Authorization: Bearer " + bearer + "\r\n";
    REQUIRE(client.send(head + "Content-Length: 1000000000000000000\r\n\r\n"));
    return client.read_response().status;
  }

  RawResponse as(const std::string& bearer, const std::string& method, const std::string& path,
                 const std::string& body = {}) const {
    return app.as(bearer, method, path, body);
  }
  // The signed URL to PUT the bytes to, and the id in it.
  std::string announce(std::string& id) const {
    const std::string digest = sha256_hex("bytes");
    const RawResponse answer =
        as(keys.at("project key"), "POST", "/api/v1/artifacts/upload-url",
           R"({"model_name":"m","name":"n","dtype":"F16","num_tokens":1,"size_bytes":5,)"
           R"("visibility":"private","checksum":")" +
               digest + R"(","metadata":{"name":"n","num_layers":1,"quantized":false,"sha256":")" +
               digest + "\"}}");
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    id = json_text(answer.body, "artifact_id");
    const std::string url = json_text(answer.body, "url");
    return url.substr(url.find("/blobs/"));
  }
  // An artifact of our organization whose bytes are there.
  std::string artifact() const {
    std::string id;
    REQUIRE(app.call("PUT", announce(id), {}, "bytes").status == 200);
    REQUIRE(
        as(keys.at("project key"), "POST", "/api/v1/artifacts/" + id + "/confirm-upload").status ==
        200);
    return id;
  }

  std::map<std::string, std::string> keys;    // By kind.
  std::map<std::string, std::string> others;  // Of another organization, user or tenant.
};

const std::vector<std::string> kRoles = {"billing", "viewer", "admin", "owner"};

size_t rank(const std::string& role) {
  return static_cast<size_t>(std::find(kRoles.begin(), kRoles.end(), role) - kRoles.begin());
}

bool is_role(const std::string& who) {
  return rank(who) < kRoles.size();
}

// Whether a caller with a key of kind `has` may call a route that is for `least`.
bool may(const std::string& has, const std::string& least) {
  if (least == "public") return true;
  if (is_role(has) && is_role(least)) return rank(has) >= rank(least);
  return has == least;
}

// The gateway says the same whatever is wrong, so that nobody learns which tenants exist.
int wrong_family_status(const Row& row) {
  return row.who == "tenant token" ? 401 : 403;
}

// What Route::who says for the least that the table names.
std::string words_of(const std::string& who) {
  if (who == "billing") return "admin key";
  return is_role(who) ? "admin key, role " + who : who;
}

}  // namespace

TEST_CASE("who may: the table and the routes have the same rows, with the same words",
          "[unit][app][routes]") {
  TestApp app;
  std::map<std::string, std::string> table, routes;
  for (const Row& row : read_table()) {
    INFO(row.method << " " << row.path);
    CHECK(table.emplace(row.method + " " + row.path, words_of(row.who)).second);
  }
  // Pages have rows by what web/ was built of; they are files that everybody may read.
  for (const http::Route& page : http::static_routes("")) {
    CHECK(page.who == "public");
    table.emplace("GET " + page.pattern, "public");
  }
  for (const http::Route& route : app.parts().router->routes()) {
    routes[std::string(http::method_name(route.method)) + " " + route.pattern] = route.who;
  }
  for (const auto& [row, who] : table) {
    INFO(row << " is in tests/data/who_may.tsv; the route table has no such row");
    CHECK(routes.contains(row));
  }
  for (const auto& [row, who] : routes) {
    INFO(row << " is a route; tests/data/who_may.tsv does not say who may call it");
    const auto said = table.find(row);
    REQUIRE(said != table.end());
    CHECK(who == said->second);
  }
}

TEST_CASE("who may: each route lets its callers through and refuses everybody below",
          "[unit][app][routes]") {
  Doors doors;
  const std::string unknown = "ka_" + std::string(64, '0');
  for (const Row& row : read_table()) {
    const std::string path = concrete(row.path, {{"tenant", "ours"}});
    const bool open = row.who == "public";
    // A signature stands in the URL; whoever holds no URL is forbidden, with or without a key.
    const int refused = open ? kLetThrough : row.who == "presigned" ? 403 : 401;
    INFO(row.method << " " << path << " for " << row.who);
    CHECK(doors.knock(row.method, path, "") == refused);
    CHECK(doors.knock(row.method, path, unknown) == refused);
    for (const auto& [has, bearer] : doors.keys) {
      INFO("with a key of kind " << has);
      CHECK(doors.knock(row.method, path, bearer) ==
            (may(has, row.who) ? kLetThrough : wrong_family_status(row)));
    }
  }
}

namespace {

using Check = void (*)(Doors&, const Row&);

// Nobody learns that another organization's artifact exists.
void check_organization(Doors& doors, const Row& row) {
  const std::string path = concrete(row.path, {{"id", doors.artifact()}});
  const std::string body = row.method == "POST" ? R"({"visibility":"public"})" : "";
  CHECK(doors.as(doors.others["project key"], row.method, path, body).status == 404);
  CHECK(doors.as(doors.keys["project key"], row.method, path, body).status / 100 == 2);
}

void check_user(Doors& doors, const Row& row) {
  const std::string request = doors.chat().header("x-request-id");
  const std::string path = concrete(row.path, {{"request_id", request}});
  CHECK(doors.as(doors.others["user key"], row.method, path).status == 404);
  CHECK(doors.as(doors.keys["user key"], row.method, path).status == 200);
}

void check_tenant(Doors& doors, const Row& row) {
  const std::string path = concrete(row.path, {{"tenant", "ours"}});
  CHECK(doors.knock(row.method, path, doors.others["tenant token"]) == 401);
  CHECK(doors.knock(row.method, path, doors.keys["tenant token"]) == kLetThrough);
}

// A signature is good for one method and one artifact.
void check_signature(Doors& doors, const Row& row) {
  std::string id;
  const std::string put = doors.announce(id);
  const std::string link = doors
                               .as(doors.keys["project key"], "POST",
                                   "/api/v1/artifacts/" + doors.artifact() + "/download-url")
                               .body;
  const std::string url = json_text(link, "download_url"), get = url.substr(url.find("/blobs/"));
  const std::string& right = row.method == "PUT" ? put : get;
  const std::string& wrong = row.method == "PUT" ? get : put;
  const std::string other = "/blobs/" + doors.artifact() + right.substr(right.find('?'));
  std::string forged = right;
  char& letter = forged[forged.find("signature=") + 10];
  letter = letter == 'A' ? 'B' : 'A';
  CHECK(doors.knock(row.method, right, "") == kLetThrough);
  CHECK(doors.knock(row.method, wrong, "") == 403);
  CHECK(doors.knock(row.method, other, "") == 403);
  CHECK(doors.knock(row.method, forged, "") == 403);
}

}  // namespace

TEST_CASE("who may: what is another's is refused to the same kind of key", "[unit][app][routes]") {
  const std::map<std::string, Check> checks = {{"organization", check_organization},
                                               {"user", check_user},
                                               {"tenant", check_tenant},
                                               {"signature", check_signature}};
  Doors doors;
  for (const Row& row : read_table()) {
    INFO(row.method << " " << row.path << " of the " << row.whose);
    // An administrator's door is the daemon's: its things are nobody's own, and neither are models.
    const bool owned = row.path.find('{') != row.path.npos && row.who != "public" &&
                       !is_role(row.who) && !row.path.starts_with("/v1/models/");
    CHECK((row.whose != "-") == owned);
    if (row.whose == "-") continue;
    REQUIRE(checks.contains(row.whose));
    checks.at(row.whose)(doors, row);
  }
}

TEST_CASE("who may: the bytes of a private artifact are not the public's", "[unit][app][routes]") {
  Doors doors;
  const std::string id = doors.artifact();
  CHECK(doors.app.call("GET", "/v1/artifacts/" + id).status == 403);
  CHECK(doors
            .as(doors.keys["project key"], "POST", "/api/v1/artifacts/" + id + "/visibility",
                R"({"visibility":"public"})")
            .status == 204);
  CHECK(doors.app.call("GET", "/v1/artifacts/" + id).body == "bytes");
}
