#include "app/routes.h"

#include <nlohmann/json.hpp>

#include "app/ai_door.h"
#include "app/api/openapi.h"
#include "app/artifact_parts.h"
#include "app/background.h"
#include "app/gateway_parts.h"
#include "app/parts.h"
#include "app/route_rows.h"
#include "base/bytes.h"
#include "base/json.h"
#include "http/static_files.h"
#include "identity/records.h"

namespace kvcs {
namespace {

using namespace route_rows;

// The caller's key, as the caller may know it.
Result<http::Response> describe_caller(http::Request& request) {
  const Principal& principal = request.principal;
  Json body{{"key_id", principal.key_id}};
  if (principal.kind == PrincipalKind::kAdminKey) body["role"] = admin_role_name(principal.role);
  if (!principal.organization_id.empty()) {
    body["organization_id"] = principal.organization_id;
    body["organization"] = principal.organization;
  }
  if (!principal.project_id.empty()) {
    // Clients of the artifact store know their owner as the customer.
    body["customer_id"] = customer_id_of(principal.organization);
    body["project_id"] = principal.project_id;
    body["permissions"] = principal.scopes;
  }
  return http::json_response(200, dump_json(body));
}

void add_operations(std::vector<Route>& routes, Parts& parts) {
  StatusApi& status = *parts.status_api;
  const auto probe = [&](const char* pattern, http::Handler handler, std::string_view summary) {
    routes.push_back(row(kGet, pattern, everyone(), kNoBody, std::move(handler), summary));
    routes.back().access_log = false;
  };
  probe("/health", on(status, &StatusApi::health), "Services, tokens, mode, version.");
  probe("/livez", on(status, &StatusApi::livez), "200 while the process serves.");
  probe("/readyz", on(status, &StatusApi::readyz), "200 once started, 503 when stopping.");
  probe("/metrics", on(status, &StatusApi::metrics), "Prometheus text format 0.0.4.");
  probe("/api/v1/status", on(status, &StatusApi::status), "Version and health in short.");
  probe(
      "/openapi.json",
      [&parts](http::Request&) -> Result<http::Response> {
        std::call_once(parts.openapi_made,
                       [&] { parts.openapi = openapi_json(parts.router->routes()); });
        return http::json_response(200, parts.openapi);
      },
      "This description.");
}

void add_portal(std::vector<Route>& routes, Parts& parts) {
  const Access project{project_key(*parts.auth), "project key", http::Dialect::kPortal};
  routes.push_back(row(kGet, "/api/v1/me", project, kNoBody, describe_caller,
                       "Whose key this is: organization and project."));
}

void add_users(std::vector<Route>& routes, Parts& parts) {
  UsersApi& api = *parts.users_api;
  const Access view = admins(parts, AdminRole::kViewer, "admin key, role viewer");
  const Access change = admins(parts, AdminRole::kAdmin, "admin key, role admin");
  const auto add = [&](Method method, std::string path, const Access& access, uint64_t body_max,
                       Result<http::Response> (UsersApi::*handler)(http::Request&),
                       std::string_view summary) {
    routes.push_back(row(method, "/admin/users" + path, access, body_max,
                         parts.idempotency->wrap(on(api, handler)), summary));
  };
  const std::string user = "/{user_id}", keys = user + "/api-keys", key = keys + "/{key_id}";
  add(kPost, "", change, kib(64), &UsersApi::create, "Create an AI user.");
  add(kGet, "", view, kNoBody, &UsersApi::list, "List users, of all organizations or of ?org_id=.");
  add(kGet, user, view, kNoBody, &UsersApi::get, "One user with this month's usage.");
  add(kPatch, user, change, kib(64), &UsersApi::update, "Change limits or status.");
  add(kDelete, user, change, kNoBody, &UsersApi::remove, "Delete a user and its keys.");
  add(kPost, keys, change, kib(16), &UsersApi::create_key, "Create a key; shown once.");
  add(kGet, keys, view, kNoBody, &UsersApi::list_keys, "List a user's keys.");
  add(kDelete, key, change, kNoBody, &UsersApi::revoke_key, "Revoke a key, at once.");
  add(kPatch, key, change, kib(16), &UsersApi::update_key, "Set a key's expiry.");
  add(kPost, key + "/rotate", change, kib(16), &UsersApi::rotate_key,
      "Replace a key; the old one works for overlap_s more.");
}

void add_organizations(std::vector<Route>& routes, Parts& parts) {
  using Api = OrganizationsApi;
  Api& api = *parts.organizations_api;
  const Access view = admins(parts, AdminRole::kViewer, "admin key, role viewer");
  const Access change = admins(parts, AdminRole::kAdmin, "admin key, role admin");
  const Access own = admins(parts, AdminRole::kOwner, "admin key, role owner");
  const auto add = [&](Method method, std::string path, const Access& access, uint64_t body_max,
                       Result<http::Response> (Api::*handler)(http::Request&),
                       std::string_view summary) {
    routes.push_back(row(method, "/admin/organizations" + path, access, body_max,
                         parts.idempotency->wrap(on(api, handler)), summary));
  };
  const std::string org = "/{org_id}", projects = org + "/projects";
  add(kPost, "", change, kib(64), &Api::create, "Create an organization.");
  add(kGet, "", view, kNoBody, &Api::list, "List organizations.");
  add(kGet, org, view, kNoBody, &Api::get, "One organization.");
  add(kPatch, org, change, kib(64), &Api::update, "Change budget, limits, failure mode.");
  add(kDelete, org, own, kNoBody, &Api::remove, "Delete an empty organization.");
  add(kPost, org + "/suspend", change, kib(1), &Api::suspend, "Refuse its keys from now on.");
  add(kPost, org + "/resume", change, kib(1), &Api::resume, "Accept its keys again.");
  add(kPost, projects, change, kib(16), &Api::create_project, "Create a project.");
  add(kGet, projects, view, kNoBody, &Api::list_projects, "List projects.");
  add(kDelete, projects + "/{project_id}", change, kNoBody, &Api::remove_project,
      "Delete an empty project and its keys.");
  const auto add_keys = [&](const std::string& path, const char* what) {
    add(kPost, path, change, kib(16), &Api::create_key, what);
    add(kGet, path, view, kNoBody, &Api::list_keys, "List them; never the keys themselves.");
    add(kDelete, path + "/{key_id}", change, kNoBody, &Api::revoke_key, "Revoke, at once.");
    add(kPost, path + "/{key_id}/rotate", change, kib(16), &Api::rotate_key, "Replace.");
  };
  add_keys(projects + "/{project_id}/api-keys", "Create a project key; shown once.");
  add_keys(org + "/tokens", "Create or import a tenant token of the tool gateway.");
}

void add_admin(std::vector<Route>& routes, Parts& parts) {
  AdminKeysApi& keys = *parts.admin_keys_api;
  KvApi& kv = *parts.kv_api;
  const Access read = admins(parts, AdminRole::kBilling, "admin key");
  const Access view = admins(parts, AdminRole::kViewer, "admin key, role viewer");
  const Access own = admins(parts, AdminRole::kOwner, "admin key, role owner");
  const auto add = [&](Method method, const char* path, const Access& access, uint64_t body_max,
                       http::Handler handler, std::string_view summary) {
    routes.push_back(row(method, path, access, body_max, std::move(handler), summary));
  };
  add(kGet, "/admin/health", read, kNoBody, on(*parts.status_api, &StatusApi::admin_health),
      "Each check with its message.");
  add(kGet, "/admin/metrics", view, kNoBody, on(*parts.status_api, &StatusApi::metrics),
      "The same as /metrics.");
  add(kGet, "/admin/me", read, kNoBody, describe_caller, "Which admin key this is.");
  add(kPost, "/admin/admin-keys", own, kib(16),
      parts.idempotency->wrap(on(keys, &AdminKeysApi::create)), "Create an admin key; shown once.");
  add(kGet, "/admin/admin-keys", view, kNoBody, on(keys, &AdminKeysApi::list), "List admin keys.");
  add(kDelete, "/admin/admin-keys/{key_id}", own, kNoBody, on(keys, &AdminKeysApi::revoke),
      "Revoke an admin key, at once.");
  add(kGet, "/admin/kv", view, kNoBody, on(kv, &KvApi::browse),
      "Keys of every family, by ?prefix=.");
  add(kGet, "/admin/kv/{family}/keys", view, kNoBody, on(kv, &KvApi::list),
      "Keys of one family, by ?prefix=.");
  add(kGet, "/admin/kv/{family}/values/{key}", view, kNoBody, on(kv, &KvApi::get),
      "One entry, of family auto by its key; sealed ones as ***.");
  add(kPut, "/admin/kv/{family}/values/{key}", own, mib(26), on(kv, &KvApi::put),
      "Write one value; ?expiration= or ?expiration_ttl=.");
  add(kDelete, "/admin/kv/{family}/values/{key}", own, kNoBody, on(kv, &KvApi::remove),
      "Delete one key.");
  add(kGet, "/admin/kv/bulk", own, kNoBody, on(kv, &KvApi::export_bulk),
      "Entries in Workers KV bulk JSON; sealed values stay sealed.");
  add(kPut, "/admin/kv/bulk", own, mib(100), on(kv, &KvApi::import_bulk),
      "Write pairs in Workers KV bulk JSON.");
}

void add_history(std::vector<Route>& routes, Parts& parts) {
  LedgerApi& api = *parts.ledger_api;
  const Access view = admins(parts, AdminRole::kViewer, "admin key, role viewer");
  const Access change = admins(parts, AdminRole::kAdmin, "admin key, role admin");
  const auto add = [&](const char* path,
                       Result<http::Response> (LedgerApi::*handler)(http::Request&),
                       std::string_view summary) {
    routes.push_back(row(kGet, path, view, kNoBody, on(api, handler), summary));
  };
  add("/admin/errors", &LedgerApi::list_errors, "Failed requests, newest first.");
  add("/admin/audit", &LedgerApi::list_audit, "Every administrative write, newest first.");
  add("/admin/audit/verify", &LedgerApi::verify_audit, "Walk the audit's hash chain.");
  add("/admin/decisions", &LedgerApi::list_decisions, "Proposals and what became of them.");
  add("/admin/job-runs", &LedgerApi::list_job_runs, "Runs of scheduled jobs.");
  add("/admin/alerts", &LedgerApi::list_alerts, "Alerts, newest first.");
  add("/admin/outbox-dead", &LedgerApi::list_outbox_dead, "Records that could not be kept.");
  routes.push_back(row(kPatch, "/admin/decisions/{id}", change, kib(16),
                       on(api, &LedgerApi::decide_decision), "Accept or reject a proposal."));
}

}  // namespace

std::vector<Route> all_routes(Parts& parts) {
  std::vector<Route> routes;
  add_operations(routes, parts);
  add_portal(routes, parts);
  // Before the artifacts' /v1/artifacts: what nobody knows under /v1 is refused in OpenAI's words.
  add_ai_routes(routes, parts);
  for (Route& door : artifact_routes(parts)) routes.push_back(std::move(door));
  for (Route& door : gateway_routes(parts)) routes.push_back(std::move(door));
  for (Route& door : background_routes(parts)) routes.push_back(std::move(door));
  add_users(routes, parts);
  add_organizations(routes, parts);
  add_admin(routes, parts);
  add_history(routes, parts);
  for (Route& page : http::static_routes(parts.config.http.web_dir)) {
    routes.push_back(std::move(page));
  }
  return routes;
}

std::set<std::string, std::less<>> reserved_slugs(const std::vector<Route>& routes) {
  // Public artifacts stand at the root, tenants under /api/v1; both are checked whether or not the
  // table has their rows, so that a later release cannot take an organization's name away.
  std::set<std::string, std::less<>> reserved = {"api", "v1", "admin", "app", "auth", "blobs"};
  for (const Route& route : routes) {
    const std::vector<std::string_view> segments = split(route.pattern, '/');
    if (segments.size() > 1 && !segments[1].starts_with('{')) reserved.emplace(segments[1]);
    if (segments.size() > 3 && segments[1] == "api" && segments[2] == "v1" &&
        !segments[3].starts_with('{')) {
      reserved.emplace(segments[3]);
    }
  }
  return reserved;
}

}  // namespace kvcs
