// The handlers, rows and types of /admin/organizations: settings, projects, their keys, its own
// keys and tenant tokens. Handlers run on workers of the HTTP server.
#include "identity/orgs_api.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/money.h"
#include "http/json_api.h"
#include "identity/access.h"
#include "identity/admin_common.h"

namespace kvcs {

using namespace admin_api;

namespace {

// 100 USD a month.
constexpr int64_t kDefaultBudgetNanoUsd = 100'000'000'000;
constexpr auto kOwner = http::OwnerFrom::kPathOrganization;
constexpr int64_t kPriceMaxPicoUsd = kPicoUsdPerUsd;  // 1 USD per token

// Of an organization that is leaving, a suspension stays when its owner takes the deletion back.
void set_status(Organization& organization, bool active) {
  organization.active = active;
  if (!active) organization.active_before = false;
}

// The members that POST and PATCH share; absent ones stay as they are.
struct OrganizationChanges {
  std::optional<std::string> name;
  std::optional<int64_t> budget_nano_usd, fallback_nano_usd;
  std::optional<bool> fail_open, active, log_bodies, output_fit;
  std::optional<int64_t> requests_per_minute, tokens_per_minute, max_output_tokens;
  std::optional<std::vector<std::string>> allowed_models;
  std::optional<int64_t> unknown_input_pico_usd, unknown_output_pico_usd;
  bool refuse_unknown = false;  // One of them is null, and the other not set.
};

// A price per token is far under a nano-USD, so it is read as pico-USD.
std::optional<int64_t> optional_price(JsonReader& reader, std::string_view name) {
  const std::optional<std::string> decimal = reader.optional_decimal(name);
  if (!decimal) return std::nullopt;
  const Result<int64_t> price = parse_pico_usd(*decimal, name);
  if (price.ok() && price.value() <= kPriceMaxPicoUsd) return price.value();
  reader.fail(name, "must be USD per token between 0 and 1 with at most 12 decimals.");
  return std::nullopt;
}

OrganizationChanges read_changes(const Json& body, JsonReader& reader) {
  OrganizationChanges changes;
  changes.name = reader.optional_string("name", {.max_bytes = 200});
  changes.budget_nano_usd = optional_usd(reader, "monthly_budget_usd");
  changes.fallback_nano_usd = optional_usd(reader, "fallback_daily_limit");
  // Both spellings are in use; ours is with the underscore.
  const auto mode = reader.optional_one_of(
      "failure_mode", {"fail_open", "fail_closed", "fail-open", "fail-closed"});
  if (mode) changes.fail_open = *mode == "fail_open" || *mode == "fail-open";
  changes.active = optional_status(reader);
  changes.requests_per_minute = optional_limit(body, reader, "requests_per_minute");
  changes.tokens_per_minute = optional_limit(body, reader, "tokens_per_minute");
  changes.max_output_tokens = optional_limit(body, reader, "max_output_tokens");
  changes.allowed_models = optional_models(reader);
  changes.log_bodies = reader.optional_boolean("log_bodies");
  changes.output_fit = reader.optional_boolean("output_fit");
  changes.unknown_input_pico_usd = optional_price(reader, "unknown_input_cost_per_token");
  changes.unknown_output_pico_usd = optional_price(reader, "unknown_output_cost_per_token");
  if (changes.unknown_input_pico_usd.has_value() != changes.unknown_output_pico_usd.has_value()) {
    reader.fail("unknown_input_cost_per_token", "is set together with the output's or not at all.");
  }
  changes.refuse_unknown = is_null(body, "unknown_input_cost_per_token") ||
                           is_null(body, "unknown_output_cost_per_token");
  return changes;
}

template <typename T>
void assign(const std::optional<T>& from, T& to) {
  if (from) to = *from;
}
void apply(const OrganizationChanges& changes, Organization& organization) {
  assign(changes.name, organization.name);
  assign(changes.budget_nano_usd, organization.monthly_budget_nano_usd);
  assign(changes.fallback_nano_usd, organization.fallback_daily_nano_usd);
  assign(changes.fail_open, organization.fail_open);
  if (changes.active) set_status(organization, *changes.active);
  assign(changes.log_bodies, organization.log_bodies);
  assign(changes.output_fit, organization.output_fit);
  assign(changes.requests_per_minute, organization.requests_per_minute);
  assign(changes.tokens_per_minute, organization.tokens_per_minute);
  assign(changes.max_output_tokens, organization.max_output_tokens);
  assign(changes.allowed_models, organization.allowed_models);
  if (changes.unknown_input_pico_usd || changes.refuse_unknown) {
    organization.unknown_input_pico_usd = changes.unknown_input_pico_usd;
    organization.unknown_output_pico_usd = changes.unknown_output_pico_usd;
  }
}

// The stored form is what the API shows: it holds nothing secret.
http::Response organization_reply(int status, const Organization& organization) {
  return http::json_response(status, organization_to_json(organization));
}

Json project_json(const Project& project) {
  return Json{{"project_id", project.id},
              {"org_id", project.organization_id},
              {"slug", project.slug},
              {"name", project.name},
              {"created_at", time_json(project.created_ms)}};
}

// Rows of project keys and of tenant tokens share handlers; the path tells them apart.
bool has_param(const http::Request& request, std::string_view name) {
  for (const auto& param : request.params) {
    if (param.first == name) return true;
  }
  return false;
}

}  // namespace

OrganizationsApi::OrganizationsApi(OrganizationService& organizations, ProjectService& projects,
                                   KeyService& keys)
    : organizations_(organizations), projects_(projects), keys_(keys) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"NewOrganization", R"(
name!: string(1..200) = "Shape"
slug: string(1..64) # Default: made of the name.
monthly_budget_usd: usd
failure_mode: fail_open|fail_closed|fail-open|fail-closed # While the budget store is away.
fallback_daily_limit: usd # Of a UTC day, with fail_open.
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
max_output_tokens: limit # Asked of the provider for requests that name none.
allowed_models: [string]
log_bodies: boolean # Keeps prompts and answers, redacted and for a while.
output_fit: boolean # Default: true. Lowers an output that a budget does not cover.
unknown_input_cost_per_token: price # For models without a price; both or none.
unknown_output_cost_per_token: price)"},
    {"OrganizationChange", R"(
name: string(1..200)
monthly_budget_usd: usd
failure_mode: fail_open|fail_closed|fail-open|fail-closed # While the budget store is away.
fallback_daily_limit: usd # Of a UTC day, with fail_open.
status: active|suspended
requests_per_minute: limit
tokens_per_minute: limit
max_output_tokens: limit # Asked of the provider for requests that name none.
allowed_models: [string]
log_bodies: boolean # Keeps prompts and answers, redacted and for a while.
output_fit: boolean # Default: true. Lowers an output that a budget does not cover.
unknown_input_cost_per_token: price? # For models without a price; both or none; null refuses them.
unknown_output_cost_per_token: price?)"},
    {"Organization", R"(
org_id!: id
slug!: string
name!: string
status!: active|suspended
monthly_budget_usd!: number
failure_mode!: fail_open|fail_closed
fallback_daily_limit!: number
requests_per_minute!: integer?
tokens_per_minute!: integer?
allowed_models!: [string]
max_output_tokens!: integer?
log_bodies!: boolean
output_fit!: boolean
plan: string # Given by an operator.
paid_plan: string
version!: integer
created_at!: time
updated_at!: time?
deletion_at: time # As its owner wants; to resume it takes that back.
status_before: active|suspended
shown_slug: string # After a rename, in public URLs; the slug stays the tenant's name.
more_slugs: [string] # The shown one, and those before it, which redirect.
unknown_input_cost_per_token: number
unknown_output_cost_per_token: number)"},
    {"OrganizationPage", R"(
organizations!: [Organization]
cursor!: string?)"},
    {"NewProject", R"(
name!: string(1..200) = "Shape"
slug: string(1..64))"},
    {"Project", R"(
project_id!: id
org_id!: id
slug!: string
name!: string
created_at!: time)"},
    {"ProjectList", R"(
projects!: [Project])"},
    {"NewProjectKey", R"(
name!: string(1..100) = "ci"
scopes: [string] # read, write, admin; each includes those before. Default: write.
expires_at: time?)"},
    {"NewTenantToken", R"(
name!: string(1..100) = "agent"
expires_at: time?
token: string(16..512) # A bearer in use already, to be imported; an operator's.)"},
    {"ProjectKeyPage", R"(
api_keys!: [Key]
cursor!: string?)"},
};

constexpr http::ApiType kTenantTokenTypes[] = {
    {"TokenPage", R"(
tokens!: [TenantToken]
cursor!: string?)"},
    {"TenantToken", R"(
key_id!: id
name!: string
status!: active|revoked|expired
key_prefix!: string
project_id: id
user_id: id
role: owner|admin|viewer|billing
scopes: [string]
monthly_limit_usd: number?
requests_per_minute: integer?
tokens_per_minute: integer?
allowed_models: [string]
created_at!: time
expires_at!: time?
last_used_at!: time?
revoked_at: time
token_id: id)"},
};

}  // namespace

std::span<const http::ApiType> OrganizationsApi::types() {
  return kTypes;
}

std::span<const http::ApiType> OrganizationsApi::tenant_token_types() {
  return kTenantTokenTypes;
}

void OrganizationsApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  const http::Access own_viewer = with_owner(access.own_viewer, kOwner),
                     own_admin = with_owner(access.own_admin, kOwner);
  http::Rows rows(table, *this, "/admin/organizations");
  const std::string org = "/{org_id}", projects = org + "/projects",
                    project = projects + "/{project_id}";
  rows.add(kPost, "", access.admin, kib(64), &OrganizationsApi::create, "Create an organization.",
           {.id = "adminCreateOrganization",
            .body = "NewOrganization",
            .status = 201,
            .answer = "Organization"});
  rows.add(kGet, "", with_owner(access.own_viewer, http::OwnerFrom::kCaller), kNoBody,
           &OrganizationsApi::list,
           "List organizations; without an operator's role the own. ?q= looks at name, slug, "
           "shown_slug and org_id.",
           {.id = "adminListOrganizations",
            .query = "q:inside limit cursor",
            .answer = "OrganizationPage"});
  rows.add(kGet, org, own_viewer, kNoBody, &OrganizationsApi::get, "One organization.",
           {.id = "adminGetOrganization", .answer = "Organization"});
  rows.add(kPatch, org, own_admin, kib(64), &OrganizationsApi::update,
           "Change budget, limits, failure mode; its own admins: name, max_output_tokens, "
           "log_bodies, output_fit.",
           {.id = "adminUpdateOrganization",
            .body = "OrganizationChange?",
            .answer = "Organization",
            .also = "409"});
  rows.add(kPost, org + "/suspend", access.admin, kib(1), &OrganizationsApi::suspend,
           "Refuse its keys from now on.", {.id = "suspendOrganization", .answer = "Organization"});
  rows.add(kPost, org + "/resume", access.admin, kib(1), &OrganizationsApi::resume,
           "Accept its keys again.", {.id = "resumeOrganization", .answer = "Organization"});
  rows.add(kPost, projects, own_admin, kib(16), &OrganizationsApi::create_project,
           "Create a project.",
           {.id = "adminCreateProject", .body = "NewProject", .status = 201, .answer = "Project"});
  rows.add(kGet, projects, own_viewer, kNoBody, &OrganizationsApi::list_projects, "List projects.",
           {.id = "adminListProjects", .answer = "ProjectList"});
  const std::string keys = project + "/api-keys", key = keys + "/{key_id}";
  rows.add(
      kPost, keys, own_admin, kib(16), &OrganizationsApi::create_key,
      "Create a project key; shown once.",
      {.id = "createProjectKey", .body = "NewProjectKey", .status = 201, .answer = "KeyCreated"});
  rows.add(kGet, keys, own_viewer, kNoBody, &OrganizationsApi::list_keys,
           "List them; never the keys themselves. ?q= looks at name, key_id and key_prefix.",
           {.id = "listProjectKeys", .query = "q:inside limit cursor", .answer = "ProjectKeyPage"});
  rows.add(kDelete, key, own_admin, kNoBody, &OrganizationsApi::revoke_key, "Revoke, at once.",
           {.id = "revokeProjectKey", .answer = "KeyRevoked"});
  rows.add(kPatch, key, own_admin, kib(16), &OrganizationsApi::update_key, "Set its expiry.",
           {.id = "updateProjectKey", .body = "KeyExpiryAsk", .answer = "Key", .also = "409"});
  rows.add(kPost, key + "/rotate", own_admin, kib(16), &OrganizationsApi::rotate_key, "Replace.",
           {.id = "rotateProjectKey", .body = "RotateAsk?", .answer = "KeyCreated"});
  add_organization_key_routes(table, access);
  const std::string tokens = org + "/tokens", token = tokens + "/{key_id}";
  rows.add(kPost, tokens, own_admin, kib(16), &OrganizationsApi::create_key,
           "Create or import a tenant token of the tool gateway.",
           {.id = "createOrganizationToken",
            .body = "NewTenantToken",
            .status = 201,
            .answer = "KeyCreated"});
  rows.add(
      kGet, tokens, own_viewer, kNoBody, &OrganizationsApi::list_keys,
      "List them; never the keys themselves. ?q= looks at name, key_id and key_prefix.",
      {.id = "listOrganizationTokens", .query = "q:inside limit cursor", .answer = "TokenPage"});
  rows.add(kDelete, token, own_admin, kNoBody, &OrganizationsApi::revoke_key, "Revoke, at once.",
           {.id = "revokeOrganizationToken", .answer = "KeyRevoked"});
  rows.add(kPost, token + "/rotate", own_admin, kib(16), &OrganizationsApi::rotate_key, "Replace.",
           {.id = "rotateOrganizationToken", .body = "RotateAsk?", .answer = "KeyCreated"});
}

// The keys that reach the artifacts of every project of the organization.
void OrganizationsApi::add_organization_key_routes(std::vector<http::Row>& table,
                                                   const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  const http::Access own_viewer = with_owner(access.own_viewer, kOwner),
                     own_admin = with_owner(access.own_admin, kOwner);
  http::Rows rows(table, *this, "/admin/organizations/{org_id}/api-keys");
  const std::string key = "/{key_id}";
  rows.add(kPost, "", own_admin, kib(16), &OrganizationsApi::create_key,
           "Create a key for the artifacts of all projects; shown once.",
           {.id = "createOrganizationKey",
            .body = "NewProjectKey",
            .status = 201,
            .answer = "KeyCreated"});
  rows.add(
      kGet, "", own_viewer, http::kNoBody, &OrganizationsApi::list_keys,
      "List them; never the keys themselves. ?q= looks at name, key_id and key_prefix.",
      {.id = "listOrganizationKeys", .query = "q:inside limit cursor", .answer = "ProjectKeyPage"});
  rows.add(kDelete, key, own_admin, http::kNoBody, &OrganizationsApi::revoke_key,
           "Revoke, at once.", {.id = "revokeOrganizationKey", .answer = "KeyRevoked"});
  rows.add(kPatch, key, own_admin, kib(16), &OrganizationsApi::update_key, "Set its expiry.",
           {.id = "updateOrganizationKey", .body = "KeyExpiryAsk", .answer = "Key", .also = "409"});
  rows.add(kPost, key + "/rotate", own_admin, kib(16), &OrganizationsApi::rotate_key, "Replace.",
           {.id = "rotateOrganizationKey", .body = "RotateAsk?", .answer = "KeyCreated"});
}

Result<http::Response> OrganizationsApi::create(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  Organization organization;
  organization.slug = reader.optional_string("slug", {.max_bytes = 64}).value_or("");
  organization.monthly_budget_nano_usd = kDefaultBudgetNanoUsd;
  const OrganizationChanges changes = read_changes(body, reader);
  if (!reader.has("name")) reader.fail("name", "required.");
  KVCS_TRY(reader.finish());
  apply(changes, organization);
  return organization_reply(201,
                            KVCS_TRY(organizations_.create(std::move(organization), who(request))));
}

Result<http::Response> OrganizationsApi::get(http::Request& request) {
  return organization_reply(200, KVCS_TRY(organizations_.find(request.param("org_id"))));
}

Result<http::Response> OrganizationsApi::update(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const OrganizationChanges changes = read_changes(body, reader);
  KVCS_TRY(reader.finish());
  KVCS_TRY(
      check_own_members(request, body, {"name", "max_output_tokens", "log_bodies", "output_fit"}));
  const auto edit = [&](Organization& edited) {
    apply(changes, edited);
    return ok();
  };
  return organization_reply(
      200, KVCS_TRY(organizations_.update(request.param("org_id"), edit, who(request))));
}

Result<http::Response> OrganizationsApi::list(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  OrganizationPage page;
  if (access::is_operator(request.principal)) {
    page = KVCS_TRY(organizations_.list({ask.cursor, ask.limit, search}));
  } else {
    Organization own = KVCS_TRY(organizations_.find(request.principal.organization_id));
    if (search.fits({own.name, own.slug, own.shown_slug, own.id})) {
      page.organizations.push_back(std::move(own));
    }
  }
  // Joined as text: what is stored is what is shown, and need not be parsed and printed again.
  std::string text = "{\"organizations\":[";
  for (const Organization& organization : page.organizations) {
    if (text.back() != '[') text += ',';
    text += organization_to_json(organization);
  }
  text += "],\"cursor\":" + dump_json(http::cursor_json(page.cursor)) + "}";
  return http::json_response(200, std::move(text));
}

Result<http::Response> OrganizationsApi::set_active(http::Request& request, bool active) {
  const auto edit = [active](Organization& edited) {
    set_status(edited, active);
    return ok();
  };
  return organization_reply(
      200, KVCS_TRY(organizations_.update(request.param("org_id"), edit, who(request))));
}
Result<http::Response> OrganizationsApi::suspend(http::Request& request) {
  return set_active(request, false);
}
Result<http::Response> OrganizationsApi::resume(http::Request& request) {
  return set_active(request, true);
}

Result<http::Response> OrganizationsApi::create_project(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  Project project;
  project.name = reader.string("name", {.max_bytes = 200});
  project.slug = reader.optional_string("slug", {.max_bytes = 64}).value_or("");
  KVCS_TRY(reader.finish());
  project.organization_id = KVCS_TRY(organizations_.find(request.param("org_id"))).id;
  const Project created = KVCS_TRY(projects_.create(std::move(project), who(request)));
  // Looked at again, since a deletion of the organization may have passed over its projects before
  // this one was there.
  const Status owner = organizations_.find(created.organization_id).status();
  if (owner.code() == Code::kNotFound) {
    KVCS_TRY(projects_.remove(created.organization_id, created.id, who(request)));
    return owner;
  }
  return http::reply(201, project_json(created));
}

Result<http::Response> OrganizationsApi::list_projects(http::Request& request) {
  const Organization organization = KVCS_TRY(organizations_.find(request.param("org_id")));
  Json projects = Json::array();
  for (const Project& project : KVCS_TRY(projects_.list(organization.id))) {
    projects.push_back(project_json(project));
  }
  return http::reply(200, Json{{"projects", projects}});
}

Result<KeyOwner> OrganizationsApi::owner_of(const http::Request& request) const {
  const Organization organization = KVCS_TRY(organizations_.find(request.param("org_id")));
  if (!has_param(request, "project_id")) {
    const bool tokens = request.route->pattern.find("/tokens") != std::string::npos;
    return KeyOwner{tokens ? PrincipalKind::kTenantToken : PrincipalKind::kOrganizationKey,
                    organization.id, "", ""};
  }
  const Project project = KVCS_TRY(projects_.find(organization.id, request.param("project_id")));
  return KeyOwner{PrincipalKind::kProjectKey, organization.id, project.id, ""};
}

Result<http::Response> OrganizationsApi::create_key(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  NewKey wanted;
  wanted.name = reader.string("name", {.max_bytes = kKeyNameMaxBytes});
  wanted.expires_ms = optional_time(body, reader, "expires_at").value_or(0);
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const bool tenant = owner.kind == PrincipalKind::kTenantToken;
  // A tenant may bring the bearer that its agents use already.
  const auto imported =
      tenant ? reader.optional_string("token", {.min_bytes = 16, .max_bytes = 512}) : std::nullopt;
  if (!tenant) {
    wanted.scopes = optional_scopes(reader).value_or(std::vector<std::string>{"write"});
  }
  KVCS_TRY(reader.finish());
  // Whoever brings a bearer learns whether anybody has it already.
  if (imported && !access::is_operator(request.principal)) return operator_only("token");
  if (imported) {
    const KeyRecord record =
        KVCS_TRY(keys_.import_tenant_token(owner, wanted, Secret(*imported), who(request)));
    return http::reply(201, key_json(record));
  }
  const CreatedKey created =
      KVCS_TRY(owner.kind == PrincipalKind::kProjectKey
                   ? create_project_key(projects_, keys_, owner, wanted, who(request))
                   : keys_.create(owner, wanted, who(request)));
  Json json = key_json(created.record);
  json[tenant ? "token" : "api_key"] = created.key.reveal();
  return http::reply(201, json);
}

Result<http::Response> OrganizationsApi::list_keys(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  const KeyPage page = KVCS_TRY(keys_.list(owner, {ask.cursor, ask.limit, search}));
  Json keys = Json::array();
  for (const KeyRecord& key : page.keys) keys.push_back(key_json(key));
  const bool tenant = owner.kind == PrincipalKind::kTenantToken;
  return http::reply(200, Json{{tenant ? "tokens" : "api_keys", keys},
                               {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> OrganizationsApi::revoke_key(http::Request& request) {
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const KeyRecord key = KVCS_TRY(keys_.revoke(owner, request.param("key_id"), who(request)));
  return http::reply(200, Json{{"key_id", key.id},
                               {"revoked_at", time_json(key.revoked_ms)},
                               {"status", key_status_name(key.status)}});
}

Result<http::Response> OrganizationsApi::update_key(http::Request& request) {
  const int64_t expires_ms = KVCS_TRY(read_expiry(request));
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  return http::reply(200, key_json(KVCS_TRY(keys_.set_expiry(owner, request.param("key_id"),
                                                             expires_ms, who(request)))));
}

Result<http::Response> OrganizationsApi::rotate_key(http::Request& request) {
  const int64_t overlap_s = KVCS_TRY(read_overlap(request, 0));
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const CreatedKey rotated =
      KVCS_TRY(keys_.rotate(owner, request.param("key_id"), overlap_s, who(request)));
  Json json = key_json(rotated.record);
  json[owner.kind == PrincipalKind::kTenantToken ? "token" : "api_key"] = rotated.key.reveal();
  json["overlap_s"] = overlap_s;
  return http::reply(200, json);
}

}  // namespace kvcs
