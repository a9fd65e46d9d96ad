// Makes the callers of the table of access, and calls routes as them.
#include "support/access_house.h"

#include <map>

#include "base/bytes.h"
#include "base/crypto.h"
#include "identity/members.h"
#include "identity/people.h"
#include "identity/sessions.h"
#include "support/tiny_kv.h"

namespace kvcs::test {
namespace {

const char* const kExpired = R"("expires_at":"2020-01-01T00:00:00Z")";

// A body of a new key; `more` are further members.
std::string new_key(const std::string& more = "") {
  return R"({"name":"k")" + (more.empty() ? "" : "," + more) + "}";
}

// A .kv file, as some rows look inside.
std::string bytes_of_artifact() {
  return tiny_kv({0x3c00});
}

constexpr std::string_view kOwnKey = "/api/v1/api-keys/{key_id}";

}  // namespace

AccessHouse::AccessHouse()
    : AiHouse([](Config& config) {
        config.admin.failures_max = 1'000'000;
        config.gateway.signin_failures_per_minute = -1;
        config.artifacts.requests_per_minute = -1;
        // Billing is on, so that its rows show whom they are for; no handler runs.
        config.auth.billing.secret_key = Secret("sk_test_none");
        config.auth.billing.webhook_secret = Secret("whsec_none");
      }) {
  project = app.credential("project_id");
  const std::string ours = "/admin/organizations/" + org;
  add("none", "");
  add("garbage", "ka_" + std::string(64, '0'));
  add_artifact_keys("project", ours + "/projects/" + project + "/api-keys");
  add_artifact_keys("org", ours + "/api-keys");
  const std::string sibling = made(ours + "/projects", R"({"name":"Sibling"})", "project_id");
  add("other_project", made(ours + "/projects/" + sibling + "/api-keys",
                            new_key(R"("scopes":["admin"])"), "api_key"));
  const std::string other = made("/admin/organizations", R"({"name":"Other"})", "org_id");
  const std::string foreign = "/admin/organizations/" + other;
  add("other_orgs_project",
      made(foreign + "/projects/" + made(foreign + "/projects", R"({"name":"P"})", "project_id") +
               "/api-keys",
           new_key(R"("scopes":["admin"])"), "api_key"));
  add("other_org", made(foreign + "/api-keys", new_key(R"("scopes":["admin"])"), "api_key"));
  add("user", key);
  const std::string bob =
      made("/admin/users", R"({"email":"bob@example.com","org_id":")" + org + "\"}", "user_id");
  add("other_user", made("/admin/users/" + bob + "/api-keys", new_key(), "api_key"));
  add_refused("user", "/admin/users/" + user + "/api-keys", "api_key");
  for (const char* tenant : {"ours", "theirs"}) {
    REQUIRE(admin("PUT", "/admin/tenants/" + std::string(tenant),
                  R"({"name":")" + std::string(tenant) + "\"}")
                .status == 200);
  }
  add("tenant", made("/admin/tenants/ours/tokens", "{}", "token"));
  add("other_tenant", made("/admin/tenants/theirs/tokens", "{}", "token"));
  add_refused("tenant", "/admin/tenants/ours/tokens", "token");
  for (const char* role : {"billing", "viewer", "admin"}) {
    add(role,
        made("/admin/admin-keys", new_key(R"("role":")" + std::string(role) + "\""), "admin_key"));
  }
  add("owner", app.credential("admin_key"));
  add_refused("owner", "/admin/admin-keys", "admin_key", R"("role":"owner")");
  add_suspended();
  add_people(other);
  artifact_ = artifact(bearer("project_write"));
  upload_ = upload(bearer("project_write"));
  request_ = chat().header("x-request-id");
  make_key_of_project();
}

void AccessHouse::make_key_of_project() {
  key_of_project_ = made("/admin/organizations/" + org + "/projects/" + project + "/api-keys",
                         new_key(), "key_id");
}

void AccessHouse::add_artifact_keys(const std::string& name, const std::string& keys) {
  for (const std::string scope : {"read", "write", "admin"}) {
    add(name + "_" + scope, made(keys, new_key("\"scopes\":[\"" + scope + "\"]"), "api_key"));
  }
  add_refused(name, keys, "api_key");
}

void AccessHouse::add_refused(const std::string& name, const std::string& keys,
                              const std::string& member, const std::string& more) {
  const std::string expired = more.empty() ? kExpired : more + "," + kExpired;
  add("expired_" + name, made(keys, new_key(expired), member));
  const RawResponse revoked = admin("POST", keys, new_key(more));
  const std::string id = json_text(revoked.body, member == "token" ? "token_id" : "key_id");
  REQUIRE(admin("DELETE", keys + "/" + id).status / 100 == 2);
  add("revoked_" + name, json_text(revoked.body, member));
}

// An organization that is suspended with all its keys, and a suspended user of ours.
void AccessHouse::add_suspended() {
  const std::string id = made("/admin/organizations", R"({"name":"Suspended"})", "org_id");
  const std::string theirs = "/admin/organizations/" + id;
  add("suspended_orgs_project",
      made(theirs + "/projects/" + made(theirs + "/projects", R"({"name":"P"})", "project_id") +
               "/api-keys",
           new_key(), "api_key"));
  add("suspended_org", made(theirs + "/api-keys", new_key(), "api_key"));
  const auto user_of = [&](const std::string& email, const std::string& organization) {
    return made("/admin/users", R"({"email":")" + email + R"(","org_id":")" + organization + "\"}",
                "user_id");
  };
  add("suspended_orgs_user",
      made("/admin/users/" + user_of("eve@example.com", id) + "/api-keys", new_key(), "api_key"));
  add("suspended_orgs_tenant", made(theirs + "/tokens", new_key(), "token"));
  const std::string carol = user_of("carol@example.com", org);
  add("suspended_user", made("/admin/users/" + carol + "/api-keys", new_key(), "api_key"));
  REQUIRE(admin("POST", theirs + "/suspend").status == 200);
  REQUIRE(admin("PATCH", "/admin/users/" + carol, R"({"status":"suspended"})").status == 200);
}

std::string AccessHouse::session_of(const std::string& name, const std::string& organization,
                                    const std::string& role, AdminRole operator_role) {
  const AuditContext who{"test", "test", ""};
  Parts& parts = app.parts();
  Person wanted;
  wanted.name = name;
  wanted.role = operator_role;
  const Person person = parts.people->create(wanted, {"https://issuer", name}, "", who).value();
  if (!organization.empty()) {
    REQUIRE(parts.members->add(organization, person.id, parse_org_role(role).value(), who).ok());
  }
  NewSession session;
  session.person_id = person.id;
  session.organization_id = organization;
  session.project_id = organization == org ? project : "";
  const auto started = parts.sessions->start(session, who);
  REQUIRE(started.ok());
  if (name.starts_with("revoked_")) {
    REQUIRE(parts.sessions->end_all(person.id, "", who).ok());
  }
  if (name.starts_with("suspended_")) {
    const auto suspend = [](Person& edited) -> Status {
      edited.active = false;
      return ok();
    };
    REQUIRE(parts.people->update(person.id, suspend, who).ok());
  }
  return started->token.reveal();
}

void AccessHouse::add_people(const std::string& foreign) {
  for (const char* role : {"viewer", "member", "admin", "owner"}) {
    add(std::string("person_") + role, session_of(std::string("person_") + role, org, role));
  }
  add("person_operator", session_of("person_operator", "", "", AdminRole::kAdmin));
  add("person_alone", session_of("person_alone", "", ""));
  add("other_person", session_of("other_person", foreign, "owner"));
  add("revoked_person", session_of("revoked_person", org, "owner"));
  add("suspended_person", session_of("suspended_person", org, "owner"));
}

std::string AccessHouse::bearer(const std::string& name) const {
  for (const Caller& caller : callers) {
    if (caller.name == name) return caller.bearer;
  }
  FAIL("no caller " << name);
  return {};
}

std::string AccessHouse::made(const std::string& path, const std::string& body,
                              const std::string& name) const {
  const RawResponse answer = admin("POST", path, body);
  INFO(path << " " << answer.status << " " << answer.body);
  REQUIRE(answer.status == 201);
  std::string value = json_text(answer.body, name);
  REQUIRE_FALSE(value.empty());
  return value;
}

// "{tenant}" becomes our tenant, of people that of their organization, and so on; every other name
// a word that exists nowhere.
std::string AccessHouse::concrete(const std::string& pattern, bool is_session) const {
  const bool own_key = pattern.starts_with(kOwnKey);
  const bool is_upload = pattern.starts_with("/api/v1/uploads/");
  const std::map<std::string, std::string> values = {{"tenant", is_session ? "default" : "ours"},
                                                     {"user_id", user},
                                                     {"id", is_upload ? upload_ : artifact_},
                                                     {"artifact_id", artifact_},
                                                     {"org", "default"},
                                                     {"project", "default"},
                                                     {"org_id", org},
                                                     {"request_id", request_},
                                                     {"key_id", own_key ? key_of_project_ : "x1"}};
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
  return own_key ? path + "?project_id=" + project : path;
}

int AccessHouse::knock(const http::Row& row, const Caller& caller) const {
  return knock(std::string(http::method_name(row.method)),
               concrete(row.pattern, caller.bearer.starts_with("ks_")), caller.bearer);
}

int AccessHouse::knock(const std::string& method, const std::string& target,
                       const std::string& bearer) const {
  RawClient client(app.port());
  std::string head = method + " " + target + " HTTP/1.1\r\nHost: x\r\n";
  if (!bearer.empty()) head += "Authorization: Bearer " + bearer + "\r\n";
  if (bearer.starts_with("ks_")) head += "X-Kvcs-User: " + user + "\r\n";
  REQUIRE(client.send(head + "Content-Length: 1000000000000000000\r\n\r\n"));
  return client.read_response().status;
}

int AccessHouse::use_object(const http::Row& row, const Caller& caller) {
  const std::string method(http::method_name(row.method));
  const std::string body = row.pattern.ends_with("/visibility") ? R"({"visibility":"private"})"
                           : row.pattern.ends_with("/move") ? R"({"project_id":")" + project + "\"}"
                           : method == "PATCH" && row.pattern == "/api/v1/artifacts/{id}"
                               ? R"({"description":"x"})"
                               : "";
  TestApp::Headers headers;
  const bool is_upload = row.pattern.starts_with("/api/v1/uploads/");
  if (is_upload) {
    headers = {{"Tus-Resumable", "1.0.0"},
               {"Upload-Offset", "0"},
               {"X-HTTP-Method-Override", "HEAD"},
               {"Content-Type", "application/offset+octet-stream"}};
  }
  if (!caller.bearer.empty()) headers.emplace_back("Authorization", "Bearer " + caller.bearer);
  const bool is_session = caller.bearer.starts_with("ks_");
  if (is_session) headers.emplace_back("X-Kvcs-User", user);
  const int status = app.call(method, concrete(row.pattern, is_session), headers, body).status;
  const bool is_gone = method == "DELETE" && row.pattern.ends_with("/{id}") && status == 204;
  if (is_gone && is_upload) upload_ = upload(bearer("project_write"));
  if (is_gone && !is_upload) artifact_ = artifact(bearer("project_write"));
  if (method == "DELETE" && row.pattern == kOwnKey && status == 204) make_key_of_project();
  return status;
}

std::string AccessHouse::announce(const std::string& key, std::string& id,
                                  const std::string& more) const {
  const std::string digest = sha256_hex(bytes_of_artifact());
  const RawResponse answer =
      app.as(key, "POST", "/api/v1/artifacts/upload-url",
             R"({"model_name":"m","name":"n","dtype":"F16","num_tokens":1,"size_bytes":)" +
                 std::to_string(bytes_of_artifact().size()) + "," + more +
                 R"("visibility":"private","checksum":")" + digest +
                 R"(","metadata":{"name":"n","num_layers":1,"quantized":false,"sha256":")" +
                 digest + "\"}}");
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  id = json_text(answer.body, "artifact_id");
  const std::string url = json_text(answer.body, "url");
  return url.substr(url.find("/blobs/"));
}

std::string AccessHouse::upload(const std::string& key) const {
  const std::string dtype = "dtype " + to_base64("F16") + ",name " + to_base64("n");
  const RawResponse made = app.call("POST", "/api/v1/uploads",
                                    {{"Authorization", "Bearer " + key},
                                     {"Tus-Resumable", "1.0.0"},
                                     {"Upload-Length", "5"},
                                     {"Upload-Metadata", dtype}});
  INFO(made.body);
  REQUIRE(made.status == 201);
  const std::string location = made.header("location");
  return location.substr(location.rfind('/') + 1);
}

std::string AccessHouse::artifact(const std::string& key) const {
  std::string id;
  REQUIRE(app.call("PUT", announce(key, id), {}, bytes_of_artifact()).status == 200);
  REQUIRE(app.as(key, "POST", "/api/v1/artifacts/" + id + "/confirm-upload").status == 200);
  return id;
}

}  // namespace kvcs::test
