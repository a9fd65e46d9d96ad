// Handlers of accounts' credentials: reads what each auth type needs, refuses what could not be
// sent, and never shows a secret.
#include "gateway/tokens/accounts_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "gateway/tokens/token_watch.h"
#include "http/header_list.h"
#include "http/header_syntax.h"
#include "http/json_api.h"
#include "identity/access.h"
#include "identity/admin_common.h"
#include "oauth/jwt.h"

namespace kvcs::gateway {
namespace {

using admin_api::who;
using http::reply;

constexpr StringRule kSecretText{.min_bytes = 1, .max_bytes = kSecretMaxBytes};
constexpr size_t kScopeMaxBytes = 4096;

Json time_or_null(int64_t unix_s) {
  return unix_s == 0 ? Json(nullptr) : Json(format_iso8601_s(unix_s * 1000));
}

Secret secret_member(JsonReader& reader, const char* name) {
  return Secret(reader.optional_string(name, kSecretText).value_or(""));
}

// One that goes into a header as it is: a line break that was copied along shows here, not at the
// first call.
Secret header_member(JsonReader& reader, const char* name) {
  Secret secret = secret_member(reader, name);
  if (!http::is_field_value(secret.reveal()))
    reader.fail(name, "must not hold control characters.");
  return secret;
}

// Unix seconds or an ISO time; 0 when absent or null.
int64_t expiry_member(JsonReader& reader) {
  const Json* value = reader.member("expires_at");
  if (value == nullptr || value->is_null()) return 0;
  if (value->is_number_integer()) {
    const auto seconds = value->get<int64_t>();
    if (seconds < 0 || seconds > 253'402'300'799) reader.fail("expires_at", "is out of range");
    return seconds;
  }
  if (value->is_string()) {
    const Result<int64_t> time_ms = parse_iso8601_ms(value->get_ref<const std::string&>());
    if (time_ms.ok()) return time_ms.value() / 1000;
  }
  reader.fail("expires_at", "must be an ISO 8601 time or Unix seconds");
  return 0;
}

void read_meta(JsonReader& reader, AccessCredential& credential) {
  const Json* meta = reader.object("meta");
  if (meta == nullptr) return;
  for (const auto& [name, value] : meta->items()) {
    if (!value.is_string()) reader.fail("meta", "its members must be strings");
    if (!value.is_string()) continue;
    std::string& text = credential.meta[name] = value.get<std::string>();
    if (!http::is_field_value(text)) reader.fail("meta", "must not hold control characters");
  }
}

void read_secrets(JsonReader& reader, AccessCredential& credential) {
  const Json* secrets = reader.object("secrets");
  if (secrets == nullptr) return;
  for (const auto& [name, value] : secrets->items()) {
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
      reader.fail("secrets", "its members must be strings that are not empty");
      continue;
    }
    Secret& secret = credential.secrets[name] = Secret(value.get<std::string>());
    if (!http::is_field_value(secret.reveal())) {
      reader.fail("secrets", "must not hold control characters");
    }
  }
}

// Says which member is missing, for the type that the provider's record has.
void require(JsonReader& reader, bool present, const char* name, AuthType type) {
  if (!present) {
    reader.fail(name, "required for " + std::string(auth_type_name(type)));
  }
}

void check_members(JsonReader& reader, const AccessCredential& credential,
                   const oauth::Grant& refresh) {
  const AuthType type = credential.type;
  switch (type) {
    case AuthType::kBearer:
      return require(reader, !credential.access_token.empty(), "access_token", type);
    case AuthType::kApiKeyHeader:
    case AuthType::kApiKeyQuery:
      return require(reader, !credential.access_token.empty(), "api_key", type);
    case AuthType::kBasic:
      return require(reader, !credential.username.empty(), "username", type);
    case AuthType::kOauth2RefreshToken:
      return require(reader, !refresh.refresh_token.empty() || !credential.access_token.empty(),
                     "refresh_token", type);
    case AuthType::kServiceAccountJwt:
      return require(reader, !refresh.service_account_json.empty(), "service_account", type);
    case AuthType::kAwsSigV4:
      require(reader, !credential.access_key_id.empty(), "access_key_id", type);
      return require(reader, !credential.secret_access_key.empty(), "secret_access_key", type);
    case AuthType::kOauth2ClientCredentials:
    case AuthType::kNone:
      return;
  }
}

// The contents of a body: the credential of calls, and the grant of the refresher.
struct GivenAccount {
  AccessCredential credential;
  oauth::Grant refresh;
};
Result<GivenAccount> read_account(const Json& body, AuthType type) {
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  JsonReader reader(body);
  GivenAccount given;
  AccessCredential& credential = given.credential;
  credential.type = type;
  credential.access_token = header_member(reader, "access_token");
  Secret api_key = header_member(reader, "api_key");
  if (credential.access_token.empty()) credential.access_token = std::move(api_key);
  credential.username = secret_member(reader, "username");
  credential.password = secret_member(reader, "password");
  credential.access_key_id = header_member(reader, "access_key_id");
  credential.secret_access_key = secret_member(reader, "secret_access_key");
  credential.session_token = header_member(reader, "session_token");
  credential.region = reader.optional_string("region", {.max_bytes = 64}).value_or("");
  credential.service = reader.optional_string("service", {.max_bytes = 64}).value_or("");
  credential.expires_at_s = expiry_member(reader);
  credential.scope = reader.optional_string("scope", {.max_bytes = kScopeMaxBytes}).value_or("");
  read_meta(reader, credential);
  read_secrets(reader, credential);
  given.refresh.refresh_token = secret_member(reader, "refresh_token");
  given.refresh.client_id_override =
      reader.optional_string("client_id", {.max_bytes = 512}).value_or("");
  given.refresh.client_secret_override = secret_member(reader, "client_secret");
  given.refresh.scope = credential.scope;
  const Json* service_account = reader.member("service_account");
  if (service_account != nullptr && !service_account->is_null()) {
    given.refresh.service_account_json =
        Secret(service_account->is_string() ? service_account->get<std::string>()
                                            : dump_json(*service_account));
    KVCS_TRY(oauth::parse_service_account(given.refresh.service_account_json));
  }
  check_members(reader, credential, given.refresh);
  KVCS_TRY(reader.finish());
  return given;
}

// Accounts have a mark, which is their ETag; other records are compared by kv/if_match.
std::optional<std::string> if_match(const http::Request& request) {
  const auto header = http::header_list(request, "if-match");
  if (!header) return {};
  std::string_view text = trim(*header);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  return std::string(text);
}

}  // namespace

Json account_json(const AccountView& account) {
  Json meta = Json::object();
  for (const auto& [name, value] : account.meta) meta[name] = value;
  return Json{{"tenant", account.id.tenant},
              {"provider", account.id.provider},
              {"account_id", account.id.account},
              {"type", auth_type_name(account.type)},
              {"state", token_state_name(account.health.state)},
              {"expires_at", time_or_null(account.expires_at_s)},
              {"created_at", time_or_null(account.created_at_s)},
              {"updated_at", time_or_null(account.updated_at_s)},
              {"failures", account.health.failures},
              {"next_attempt_at", time_or_null(account.health.next_attempt_at_s)},
              {"last_error", account.health.last_error},
              {"scope", account.scope},
              {"meta", std::move(meta)},
              {"secrets", account.secrets},
              {"origins", origins_json(account.origins)},
              {"version", account.version},
              {"sealed", account.sealed}};
}

AccountsApi::AccountsApi(TokenStore& tokens, Refresher& refresher, http::HttpUpstream& upstream,
                         ProviderClientSource clients, AccountOriginSource origins,
                         TenantCheck tenants, TokenWatch& watch, const Clock& clock)
    : tokens_(tokens),
      refresher_(refresher),
      upstream_(upstream),
      clients_(std::move(clients)),
      origins_(std::move(origins)),
      tenants_(std::move(tenants)),
      watch_(watch),
      clock_(clock) {}

Result<AccountId> AccountsApi::account_of(const http::Request& request) const {
  AccountId id{std::string(request.param("tenant")), std::string(request.param("provider")),
               std::string(request.param("account"))};
  KVCS_TRY(check_account_id(id));
  return id;
}

Json AccountsApi::describe(const AccountView& account) const {
  Json json = account_json(account);
  json["next_refresh_at"] = time_or_null(refresh_due_at(account, clock_.unix_s()).value_or(0));
  json["last_used_at"] = time_or_null(tokens_.last_used_ms(account.id) / 1000);
  return json;
}

namespace {

constexpr http::ApiType kTypes[] = {
    {"AccountAsk", R"(
access_token: string = "t" # Which of these is required depends on the provider's auth_type.
api_key: string
username: string
password: string
access_key_id: string
secret_access_key: string
session_token: string
region: string(1..64)
service: string(1..64)
expires_at: any # ISO 8601 or Unix seconds.
scope: string
meta: object # Texts, for the provider's URLs and headers; shown.
secrets: object # Texts that are never shown, for {secrets.NAME} of the provider's headers.
refresh_token: string
client_id: string(1..512)
client_secret: string
service_account: any)"},
    {"Account", R"(
tenant!: string
provider!: string
account_id!: string
type!: string
state!: string
expires_at!: time?
created_at!: time?
updated_at!: time?
failures!: integer
next_attempt_at!: time? # While a refresh is tried again.
next_refresh_at!: time? # Null: nothing renews it.
last_error!: string
scope!: string
meta!: {string}
secrets!: [string] # Their names.
origins!: [string] # Where its credential may be sent.
version!: integer
sealed!: boolean
last_used_at!: time?)"},
    {"AccountList", R"(
accounts!: [Account]
truncated!: boolean)"},
    {"AccountAttention", R"(
accounts!: [Account] # The first 100 of them, in order of tenant, provider and account.
total!: integer
counted_at!: time? # Null: the store has not been read since the start.)"},
    {"AccountRemoved", R"(
account_id!: string
removed!: boolean
revoked!: boolean)"},
};

}  // namespace

std::span<const http::ApiType> AccountsApi::types() {
  return kTypes;
}

void AccountsApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  const http::Access own_viewer = with_owner(access.own_viewer, http::OwnerFrom::kPathTenant),
                     own_admin = with_owner(access.own_admin, http::OwnerFrom::kPathTenant);
  http::Rows rows(table, *this, "/admin/tenants/{tenant}");
  const std::string accounts = "/providers/{provider}/accounts", account = accounts + "/{account}";
  rows.add(kGet, "/accounts", own_viewer, kNoBody, &AccountsApi::list_tenant,
           "A tenant's accounts; never their credentials.",
           {.id = "listTenantAccounts", .answer = "AccountList"});
  rows.add(kGet, accounts, own_viewer, kNoBody, &AccountsApi::list,
           "Its accounts with one provider.", {.id = "listAccounts", .answer = "AccountList"});
  rows.add(kGet, account, own_viewer, kNoBody, &AccountsApi::get, "One account's state.",
           {.id = "getAccount", .answer = "Account"});
  rows.add(kPut, account, own_admin, kib(256), &AccountsApi::put,
           "Store or replace a credential; it is never shown again.",
           {.id = "putAccount",
            .body = "AccountAsk",
            .status = 201,
            .answer = "Account",
            .also = "200:Account 409"});
  rows.add(kDelete, account, own_admin, kNoBody, &AccountsApi::remove,
           "Remove a credential; ?revoke=true tells the provider first.",
           {.id = "removeAccount",
            .query = "revoke:boolean",
            .answer = "AccountRemoved",
            .also = "409 502 504"});
  rows.add(kPost, account + "/refresh", own_admin, kib(1), &AccountsApi::refresh,
           "Refresh its token now.",
           {.id = "refreshAccount", .answer = "Account", .also = "502 504"});
  http::Rows all(table, *this, "/admin/accounts");
  all.add(
      kGet, "/attention", with_owner(access.own_viewer, http::OwnerFrom::kCaller), kNoBody,
      &AccountsApi::list_attention,
      "Accounts that somebody should look at, of all tenants; without an operator's role of the "
      "own: their credential has ended, its refresh has failed, or it ends within 7 days and "
      "nothing renews it.",
      {.id = "listAccountAttention", .answer = "AccountAttention"});
}

Result<http::Response> AccountsApi::show(const AccountId& id, int status) const {
  const AccountView view = KVCS_TRY(tokens_.find_view(id));
  http::Response response = reply(status, describe(view));
  response.set("ETag", "\"" + view.mark() + "\"");
  return response;
}

Result<http::Response> AccountsApi::put(http::Request& request) {
  const AccountId id = KVCS_TRY(account_of(request));
  KVCS_TRY(tenants_(id.tenant));
  const AuthType type = KVCS_TRY(clients_(id.provider)).account_type;
  const Json body = KVCS_TRY(http::read_body(request));
  GivenAccount given = KVCS_TRY(read_account(body, type));
  const AccountOrigins origins = KVCS_TRY(origins_(id, given.credential.meta));
  given.credential.origins = origins.calls;
  given.refresh.origins = origins.refresh;
  const bool is_new = tokens_.find_view(id).code() == Code::kNotFound;
  KvBatch alarm;
  std::optional<oauth::Grant> refresh;
  if (is_refreshable(type)) {
    refresh = given.refresh;
    AccountView after;
    after.type = type;
    after.expires_at_s = given.credential.expires_at_s;
    after.updated_at_s = clock_.unix_s();
    // Without an access token the account cannot be used until it was refreshed, so that it is due
    // at once.
    const bool now = given.credential.access_token.empty();
    const auto due_s =
        now ? std::optional(clock_.unix_s()) : refresh_due_at(after, after.updated_at_s);
    if (due_s) add_refresh_alarm(alarm, id, *due_s, now);
  }
  KVCS_TRY(tokens_.put(id, given.credential, refresh, who(request), alarm, if_match(request)));
  return show(id, is_new ? 201 : 200);
}

Result<http::Response> AccountsApi::get(http::Request& request) {
  const AccountId id = KVCS_TRY(account_of(request));
  return show(id, 200);
}

Result<http::Response> AccountsApi::list_views(std::string_view tenant,
                                               std::string_view provider) const {
  if (!is_id_part(tenant) || (!provider.empty() && !is_id_part(provider))) {
    return invalid("A tenant or provider is 1 to 64 of A-Z a-z 0-9 _ . -");
  }
  Json accounts = Json::array();
  bool truncated = false;
  const auto visit = [&](const AccountView& view) -> Status {
    if (accounts.size() < kAccountsListMax) {
      accounts.push_back(describe(view));
    } else {
      truncated = true;
    }
    return ok();
  };
  KVCS_TRY(tokens_.for_each_view(tenant, provider, visit));
  return reply(200, Json{{"accounts", std::move(accounts)}, {"truncated", truncated}});
}

// All accounts are counted by the watch, whose answer is some seconds old where there are many.
Result<http::Response> AccountsApi::list_attention(http::Request& request) {
  TokenSummary summary;
  if (access::is_operator(request.principal)) {
    summary = watch_.summary();
  } else {
    const std::string& tenant = request.principal.organization;
    if (!is_id_part(tenant)) return forbidden("No organization is active in this session.");
    summary = KVCS_TRY(summarize_tokens(tokens_, clock_.unix_s(), tenant));
  }
  Json accounts = Json::array();
  for (const AccountView& view : summary.needing) accounts.push_back(describe(view));
  return reply(200, Json{{"accounts", std::move(accounts)},
                         {"total", summary.in_need},
                         {"counted_at", time_or_null(summary.counted_at_s)}});
}

Result<http::Response> AccountsApi::list(http::Request& request) {
  return list_views(request.param("tenant"), request.param("provider"));
}

Result<http::Response> AccountsApi::list_tenant(http::Request& request) {
  return list_views(request.param("tenant"), "");
}

Result<http::Response> AccountsApi::remove(http::Request& request) {
  const AccountId id = KVCS_TRY(account_of(request));
  const bool revoke = KVCS_TRY(http::read_flag(request, "revoke"));
  const AccountView view = KVCS_TRY(tokens_.find_view(id));
  // The provider first: when it does not answer, the credential stays and the caller may ask again.
  if (revoke) {
    const ProviderClient provider = KVCS_TRY(clients_(id.provider));
    oauth::Client client = KVCS_TRY(Result<oauth::Client>(provider.client));
    const auto credential = KVCS_TRY(tokens_.find(id));
    const Result<oauth::Grant> refresh = tokens_.find_refresh(id, {client.revoke_url});
    if (!refresh.ok() && refresh.code() != Code::kNotFound) return refresh.status();
    if (const std::string origin = origin_of(client.revoke_url);
        !origin.empty() && !may_go_to(credential->origins, origin)) {
      return secret_origin_changed("The account's credential", origin, credential->origins,
                                   "Remove the account without ?revoke=1, and revoke the "
                                   "credential at its provider.");
    }
    KVCS_TRY(oauth::revoke_token(upstream_, std::move(client),
                                 refresh.ok() ? refresh.value() : oauth::Grant{},
                                 credential->access_token));
  }
  // What was stored anew while the provider was asked is not what the caller meant.
  KVCS_TRY(tokens_.remove(id, who(request), view.authority));
  return reply(200, Json{{"account_id", id.account}, {"removed", true}, {"revoked", revoke}});
}

Result<http::Response> AccountsApi::refresh(http::Request& request) {
  const AccountId id = KVCS_TRY(account_of(request));
  KVCS_TRY(refresher_.refresh_now(id));
  return show(id, 200);
}

}  // namespace kvcs::gateway
