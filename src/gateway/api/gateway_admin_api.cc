// Handlers of the admin routes: each reads its body and parameters and hands over to the store that
// owns the record. A change that makes cached answers doubtful purges them here.
#include "gateway/api/gateway_admin_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/clock.h"
#include "http/header_list.h"
#include "http/json_api.h"
#include "identity/access.h"
#include "identity/admin_common.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {

using admin_api::who;
using http::reply;

constexpr uint64_t kRecordBodyMaxBytes = 256u << 10;
constexpr int kPutAttemptsMax = 5;

// The same as a key of identity, under the name that this API gives to a token's id.
Json describe_token(const KeyRecord& key) {
  Json json = admin_api::key_json(key);
  json["token_id"] = key.id;
  return json;
}

}  // namespace

GatewayAdminApi::GatewayAdminApi(ProviderDirectory& providers, Tenants& tenants,
                                 ResponseCache& cache, OrganizationService& organizations,
                                 KeyService& keys, AuditedKv& audited, AccountRebind rebind,
                                 std::function<std::string()> callback_url)
    : providers_(providers),
      tenants_(tenants),
      cache_(cache),
      organizations_(organizations),
      keys_(keys),
      audited_(audited),
      rebind_(std::move(rebind)),
      callback_url_(std::move(callback_url)) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"GatewayProviderAsk", R"(
display_name: string
note: string # What whoever connects an account has to know first; "" takes it away.
base_url: string
auth_type: string
auth: object # By auth_type; secrets in it are write-only.
endpoints: {string} # Paths by their names.
default_headers: {string}
secrets: {string?} # For {secrets.NAME}, by their names; write-only. Null takes one away.
timeout_ms: integer
allowed_methods: [string]
allowed_path_prefixes: [string]
allow_private_addresses: boolean
cache: object # As it is answered; max_entries may be left out.
canary: object # As it is answered; method and expect may be left out.
rate_limit: object # As it is answered.
actions: {object} # As they are answered, by their names.
...)"},
    {"GatewayProvider", R"(
provider!: string
display_name!: string
note: string # What whoever connects an account has to know first.
base_url!: string
version!: string
auth_type!: string
auth!: ProviderAuth
endpoints!: {string} # Paths by their names.
default_headers!: {string}
timeout_ms!: integer
allowed_methods!: [string]
allowed_path_prefixes!: [string]
allow_private_addresses!: boolean
cache: ProviderCache # Absent: answers are not kept.
canary: ProviderCanary # Absent: the API is not watched.
rate_limit: ProviderRate # Absent: no limit.
actions!: {ProviderAction} # By their names.
secrets_set!: [string] # Their names.
catalogue!: boolean # Shipped with the daemon.
stored!: boolean # Put here.
callback_url: string # Where accounts come by consent: what is registered at the service.)"},
    {"ProviderAuth", R"(
header: string
prefix: string
query_param: string
aws_service: string
token_url: string
authorize_url: string
revoke_url: string
issuer: string
authorize_params: string
client_auth: string
scope_separator: string
scopes: [string]
client_id: string
client_secret_set!: boolean)"},
    {"ProviderCache", R"(
ttl_s!: integer
max_entries!: integer)"},
    {"ProviderCanary", R"(
path!: string
method!: string
expect!: [integer] # Statuses.)"},
    {"ProviderRate", R"(
requests_per_minute!: integer # Of each tenant.)"},
    {"ProviderAction", R"(
method!: string
path!: string
query: [string] # Members of the call that go there.
body: [string]
body_from: string # This member of the call is the whole body.
wrap_filters: string)"},
    {"UnreadProvider", R"(
provider!: string
error!: string # Why its record cannot be used.)"},
    {"GatewayProviderList", R"(
providers!: [GatewayProvider or UnreadProvider])"},
    {"TenantAsk", R"(
tenant_id: string(1..64)
name: string(0..200)
status: active|suspended
providers: array
billing: object
limits: object # requests_per_minute.
private_apis: boolean # May call providers with allow_private_addresses; an operator's.
incarnation: string # As it was read; what is stored stays.
...)"},
    {"Tenant", R"(
# Beside what is listed, by names of providers, objects of texts for their URLs and headers.
tenant_id!: string
name: string
status!: active|suspended
providers: [any] # As they were sent; calls do not look at them.
billing: object # As it was sent; calls do not look at it.
limits: object # requests_per_minute.
private_apis!: boolean # May call providers with allow_private_addresses.
incarnation: string # Random; another one when the tenant is deleted and made anew.
...)"},
    {"TenantPage", R"(
tenants!: [Tenant]
cursor!: string?)"},
    {"NewToken", R"(
name: string(1..100)
expires_at: time?
token: string(16..512) # A bearer in use already, to be imported; an operator's.)"},
    {"TokenCreated", R"(
token_id!: id
token: string # Shown this once; absent when the caller has brought it.
tenant_id: string
name: string
expires_at: time?
key_id: id # This and what follows: of a token that the caller has brought.
status: active|revoked|expired
key_prefix: string
created_at: time
last_used_at: time?)"},
    {"ModeAsk", R"(
mode!: active|frozen = "active")"},
    {"Mode", R"(
mode!: active|frozen)"},
    {"Purged", R"(
purged!: integer)"},
};

}  // namespace

std::span<const http::ApiType> GatewayAdminApi::types() {
  return kTypes;
}

void GatewayAdminApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  const http::Access own_viewer = with_owner(access.own_viewer, http::OwnerFrom::kPathTenant),
                     own_admin = with_owner(access.own_admin, http::OwnerFrom::kPathTenant);
  http::Rows rows(table, *this, "/admin");
  const std::string provider = "/providers/{provider}", tenant = "/tenants/{tenant}";
  rows.add(kGet, "/providers", with_owner(access.own_viewer, http::OwnerFrom::kCaller), kNoBody,
           &GatewayAdminApi::list_providers,
           "Providers: the catalogue and one's own; without an operator's role those that the own "
           "tenant may call.",
           {.id = "listProviders", .answer = "GatewayProviderList"});
  rows.add(kGet, provider, access.viewer, kNoBody, &GatewayAdminApi::get_provider,
           "One provider, without its client secret.",
           {.id = "getProvider", .answer = "GatewayProvider"});
  rows.add(kPut, provider, access.admin, kRecordBodyMaxBytes, &GatewayAdminApi::put_provider,
           "Add one, or change the catalogue's entry; ?rebind=true (owner) lets stored secrets go "
           "to changed URLs.",
           {.id = "putProvider",
            .query = "rebind:boolean",
            .body = "GatewayProviderAsk",
            .answer = "GatewayProvider",
            .also = "409"});
  rows.add(kDelete, provider, access.admin, kNoBody, &GatewayAdminApi::remove_provider,
           "Remove what was put.", {.id = "deleteProvider", .status = 204});
  rows.add(kGet, "/tenants", with_owner(access.own_viewer, http::OwnerFrom::kCaller), kNoBody,
           &GatewayAdminApi::list_tenants,
           "Tenants of the tool gateway; without an operator's role the own. ?q= looks at "
           "tenant_id and name.",
           {.id = "listTenants", .query = "q:inside limit cursor", .answer = "TenantPage"});
  rows.add(kGet, tenant, own_viewer, kNoBody, &GatewayAdminApi::get_tenant, "One tenant.",
           {.id = "getTenant", .answer = "Tenant"});
  rows.add(kPut, tenant, own_admin, kRecordBodyMaxBytes, &GatewayAdminApi::put_tenant,
           "Set a tenant up, with its organization; status, limits, billing and "
           "private_apis are an operator's.",
           {.id = "putTenant", .body = "TenantAsk?", .answer = "Tenant", .also = "404 409"});
  rows.add(kPost, tenant + "/suspend", access.admin, kRecordBodyMaxBytes,
           &GatewayAdminApi::suspend_tenant, "Refuse its calls from now on.",
           {.id = "suspendTenant", .answer = "Tenant"});
  rows.add(kPost, tenant + "/resume", access.admin, kRecordBodyMaxBytes,
           &GatewayAdminApi::resume_tenant, "Make its calls again.",
           {.id = "resumeTenant", .answer = "Tenant"});
  rows.add(
      kPost, tenant + "/tokens", own_admin, kRecordBodyMaxBytes, &GatewayAdminApi::create_token,
      "Create a token; shown once.",
      {.id = "createTenantToken", .body = "NewToken?", .status = 201, .answer = "TokenCreated"});
  rows.add(kGet, tenant + "/tokens", own_viewer, kNoBody, &GatewayAdminApi::list_tokens,
           "Its tokens; never the tokens themselves. ?q= looks at name and token_id.",
           {.id = "listTenantTokens", .query = "q:inside limit cursor", .answer = "TokenPage"});
  rows.add(kDelete, tenant + "/tokens/{token_id}", own_admin, kNoBody,
           &GatewayAdminApi::revoke_token, "Revoke, at once.",
           {.id = "revokeTenantToken", .status = 204});
  rows.add(kGet, "/system/mode", access.viewer, kNoBody, &GatewayAdminApi::get_mode,
           "active, or frozen: no calls of tools are made. Models answer in both.",
           {.id = "getSystemMode", .answer = "Mode"});
  rows.add(kPut, "/system/mode", access.admin, kRecordBodyMaxBytes, &GatewayAdminApi::put_mode,
           "Freeze the tool gateway, or make it active.",
           {.id = "setSystemMode", .body = "ModeAsk", .answer = "Mode"});
  rows.add(kDelete, "/cache", access.admin, kNoBody, &GatewayAdminApi::purge_cache,
           "Forget cached answers of ?tenant=, ?provider=, ?account_id=.",
           {.id = "purgeCache", .query = "tenant provider account_id", .answer = "Purged"});
}

// Members of an organization are not told of services behind private addresses that they may not
// call, nor of what operators send along.
Result<http::Response> GatewayAdminApi::list_providers(http::Request& request) {
  const bool is_operator = access::is_operator(request.principal);
  bool sees_private = is_operator;
  if (!is_operator) {
    const Result<Json> own = tenants_.find_shown(request.principal.organization);
    if (!own.ok() && own.code() != Code::kNotFound) return own.status();
    sees_private = own.ok() && Tenants::has_private_apis(*own);
  }
  Json list = Json::array();
  for (const std::string& name : KVCS_TRY(providers_.list())) {
    const auto provider = providers_.find(name);
    if (!provider.ok()) {
      if (is_operator) {
        list.push_back(Json{{"provider", name}, {"error", provider.status().to_string()}});
      }
      continue;
    }
    if ((*provider)->allow_private_addresses && !sees_private) continue;
    Json shown = describe(**provider);
    if (!is_operator) shown["default_headers"] = Json::object();
    list.push_back(std::move(shown));
  }
  return reply(200, Json{{"providers", std::move(list)}});
}

// Beside the record itself: whether it is shipped, stored, or both, and where consent comes back.
Json GatewayAdminApi::describe(const Provider& provider) const {
  Json json = provider_json(provider);
  json["catalogue"] = providers_.in_catalogue(provider.id);
  json["stored"] = providers_.is_stored(provider.id);
  if (!provider.oauth.authorize_url.empty()) json["callback_url"] = callback_url_();
  return json;
}

Result<http::Response> GatewayAdminApi::get_provider(http::Request& request) {
  // The ETag is read before the record; kv/if_match.h says why.
  const std::string etag = KVCS_TRY(providers_.etag(request.param("provider")));
  const auto provider = KVCS_TRY(providers_.find(request.param("provider")));
  return std::move(reply(200, describe(*provider)).set("etag", etag));
}

Result<http::Response> GatewayAdminApi::put_provider(http::Request& request) {
  const std::string id(request.param("provider"));
  const Json body = KVCS_TRY(http::read_body(request));
  const bool rebind = KVCS_TRY(admin_api::wants_rebind(request));
  AuditContext author = who(request);
  if (rebind) author.source = admin_api::kRebindSource;
  KVCS_TRY(providers_.put(id, body, author, http::header_list(request, "if-match").value_or(""),
                          rebind));
  // The record first: an account that is not carried over when this ends in between is refused, and
  // the same request carries it.
  if (rebind) KVCS_TRY(rebind_(id, author));
  cache_.purge("", id, "");
  return get_provider(request);
}

Result<http::Response> GatewayAdminApi::remove_provider(http::Request& request) {
  KVCS_TRY(providers_.remove(request.param("provider"), who(request)));
  cache_.purge("", request.param("provider"), "");
  return http::empty_response(204);
}

Result<http::Response> GatewayAdminApi::list_tenants(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  Json list = Json::array();
  if (!access::is_operator(request.principal)) {
    Result<Json> own = tenants_.find_shown(request.principal.organization);
    if (!own.ok() && own.code() != Code::kNotFound) return own.status();
    if (own.ok() && Tenants::fits(search, dump_json(*own))) list.push_back(std::move(own).value());
    return reply(200, Json{{"tenants", std::move(list)}, {"cursor", nullptr}});
  }
  TenantPage page = KVCS_TRY(tenants_.list({ask.cursor, ask.limit, search}));
  for (Json& record : page.records) list.push_back(Tenants::shown(std::move(record)));
  return reply(200, Json{{"tenants", std::move(list)}, {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> GatewayAdminApi::get_tenant(http::Request& request) {
  const std::string_view tenant = request.param("tenant");
  const std::string etag = KVCS_TRY(tenants_.etag(tenant));
  return std::move(reply(200, KVCS_TRY(tenants_.find_shown(tenant))).set("etag", etag));
}

Result<http::Response> GatewayAdminApi::put_tenant(http::Request& request) {
  const std::string slug(request.param("tenant"));
  Json body = KVCS_TRY(http::read_body(request));
  if (!body.is_object()) return invalid("The body must be an object.");
  // The organization comes first: when the second write fails, a repeat finds it and goes on.
  const Result<Organization> known = organizations_.find_by_slug(slug);
  if (known.code() == Code::kNotFound) {
    Organization wanted;
    wanted.slug = slug;
    const auto name = body.find("name");
    wanted.name = name != body.end() && name->is_string() && !name->get<std::string>().empty()
                      ? name->get<std::string>()
                      : slug;
    KVCS_TRY(organizations_.create_for_tenant(std::move(wanted), who(request)));
  } else if (!known.ok()) {
    return known.status();
  }
  const std::string if_match = http::header_list(request, "if-match").value_or("");
  if (access::is_operator(request.principal)) {
    KVCS_TRY(tenants_.put(slug, std::move(body), who(request), if_match));
  } else {
    KVCS_TRY(put_own(slug, body, who(request), if_match));
  }
  return get_tenant(request);
}

// What operators have set stays, also when they change it meanwhile. A tenant that its own
// organization makes calls no private APIs until an operator allows it.
Status GatewayAdminApi::put_own(const std::string& slug, const Json& body, const AuditContext& who,
                                const std::string& if_match) {
  for (int attempt = 1;; ++attempt) {
    const std::string seen = KVCS_TRY(tenants_.etag(slug));
    const Result<Json> before = tenants_.find_record(slug);
    if (!before.ok() && before.code() != Code::kNotFound) return before.status();
    Json record = body;
    for (const char* name : {"status", "limits", "billing"}) {
      const bool is_set = before.ok() && before->contains(name);
      const Json present = is_set ? (*before)[name] : Json(nullptr);
      if (record.contains(name) && record[name] != present) return admin_api::operator_only(name);
      if (is_set) record[name] = present;
    }
    const bool apis = before.ok() && Tenants::has_private_apis(*before);
    if (record.contains("private_apis") && record["private_apis"] != Json(apis)) {
      return admin_api::operator_only("private_apis");
    }
    record["private_apis"] = apis;
    const Status written =
        tenants_.put(slug, std::move(record), who, if_match.empty() ? seen : if_match).status();
    const bool overtaken = if_match.empty() && written.reason() == "etag_mismatch";
    if (!overtaken || attempt == kPutAttemptsMax) return written;
  }
}

Result<http::Response> GatewayAdminApi::set_active(http::Request& request, bool active) {
  const std::string_view tenant = request.param("tenant");
  KVCS_TRY(tenants_.set_active(tenant, active, who(request)));
  return reply(200, KVCS_TRY(tenants_.find_shown(tenant)));
}
Result<http::Response> GatewayAdminApi::suspend_tenant(http::Request& request) {
  return set_active(request, false);
}
Result<http::Response> GatewayAdminApi::resume_tenant(http::Request& request) {
  return set_active(request, true);
}

// Tokens of a tenant are keys of the organization with its slug.
Result<KeyOwner> GatewayAdminApi::owner_of(const http::Request& request) const {
  const std::string_view tenant = request.param("tenant");
  KVCS_TRY(tenants_.find_record(tenant));
  const Organization organization = KVCS_TRY(organizations_.find_by_slug(tenant));
  KeyOwner owner;
  owner.kind = PrincipalKind::kTenantToken;
  owner.organization_id = organization.id;
  return owner;
}

Result<http::Response> GatewayAdminApi::create_token(http::Request& request) {
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const Json body = KVCS_TRY(http::read_body(request));
  if (!body.is_object()) return invalid("The body must be an object.");
  JsonReader reader(body);
  NewKey wanted;
  wanted.name = reader.optional_string("name", {.max_bytes = kKeyNameMaxBytes}).value_or("");
  wanted.expires_ms = admin_api::optional_time(body, reader, "expires_at").value_or(0);
  // A token that the caller brings lets agents move here without new configuration.
  const auto brought = reader.optional_string("token", {.min_bytes = 16, .max_bytes = 512});
  KVCS_TRY(reader.finish());
  // Whoever brings a bearer learns whether anybody has it already.
  KVCS_TRY(admin_api::check_own_members(request, body, {"name", "expires_at"}));
  if (brought) {
    const Secret bearer(*brought);
    return reply(
        201,
        describe_token(KVCS_TRY(keys_.import_tenant_token(owner, wanted, bearer, who(request)))));
  }
  const CreatedKey created = KVCS_TRY(keys_.create(owner, wanted, who(request)));
  Json answer = {{"token_id", created.record.id}, {"token", created.key.reveal()}};
  answer["tenant_id"] = std::string(request.param("tenant"));
  answer["name"] = created.record.name;
  if (created.record.expires_ms != 0)
    answer["expires_at"] = format_iso8601_ms(created.record.expires_ms);
  return reply(201, answer);
}

Result<http::Response> GatewayAdminApi::list_tokens(http::Request& request) {
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  const KeyPage page = KVCS_TRY(keys_.list(owner, {ask.cursor, ask.limit, search}));
  Json list = Json::array();
  for (const KeyRecord& key : page.keys) list.push_back(describe_token(key));
  return reply(200, Json{{"tokens", std::move(list)}, {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> GatewayAdminApi::revoke_token(http::Request& request) {
  const KeyOwner owner = KVCS_TRY(owner_of(request));
  KVCS_TRY(keys_.revoke(owner, request.param("token_id"), who(request)));
  return http::empty_response(204);
}

Result<http::Response> GatewayAdminApi::get_mode(http::Request&) {
  return reply(200, Json{{"mode", tenants_.frozen() ? "frozen" : "active"}});
}

Result<http::Response> GatewayAdminApi::put_mode(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string mode = reader.one_of("mode", {"active", "frozen"});
  KVCS_TRY(reader.finish());
  KVCS_TRY(tenants_.set_frozen(mode == "frozen", who(request)));
  return reply(200, Json{{"mode", mode}});
}

Result<http::Response> GatewayAdminApi::purge_cache(http::Request& request) {
  const std::string tenant = request.query_value("tenant").value_or("");
  const std::string provider = request.query_value("provider").value_or("");
  const std::string account = request.query_value("account_id").value_or("");
  KVCS_TRY(audited_.note("cache:" + printable(tenant, kShownName) + ":" +
                             printable(provider, kShownName) + ":" + printable(account, kShownName),
                         "purge", who(request)));
  const size_t purged = cache_.purge(tenant, provider, account);
  return reply(200, Json{{"purged", purged}});
}

}  // namespace kvcs::gateway
