// The three steps of a consent: the link that an admin makes, the redirect to the provider's page,
// and the answer that the browser brings back. Handlers on the workers of the HTTP server.
#include "gateway/tokens/connect.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "oauth/authorization.h"
#include "oauth/browser.h"

namespace kvcs::gateway {
namespace {

constexpr size_t kShownMaxBytes = 200;
constexpr int kKeepAttemptsMax = 5;  // While others change the tenant's record.
constexpr std::string_view kCookiePrefix = "kvcs_connect_";

// One cookie per flow, so that two tabs do not disturb each other.
std::string cookie_name(std::string_view state) {
  return std::string(kCookiePrefix) + sha256_hex(state).substr(0, 12);
}

http::Response failed_page(int status, std::string_view text) {
  return oauth::plain_page(status, "The account is not connected", text);
}

int page_status(const Status& failure) {
  switch (failure.code()) {
    case Code::kInvalid:
    case Code::kNotFound:
      return 400;
    case Code::kForbidden:
      return 403;
    case Code::kConflict:
      return 409;
    case Code::kUpstream:
      return 502;
    default:
      return 503;
  }
}

}  // namespace

// The consent that a ticket or a state stands for. A ticket has neither verifier nor browser.
struct ConnectApi::Flow {
  AccountId id;
  std::string actor;        // Who made the link; in the audit,
  std::string maker;        // and as maker.h.
  std::string verifier;     // PKCE; with the state only.
  std::string browser;      // SHA-256 of the cookie; with the state only.
  std::string incarnation;  // Of the tenant for which the link was made.
  std::map<std::string, std::string> meta;
};

ConnectApi::ConnectApi(KvStore& kv, AuditedKv& audited, TokenStore& tokens,
                       http::HttpUpstream& upstream, ProviderClientSource clients,
                       AccountOriginSource origins, TenantCheck tenants,
                       TenantRecordSource tenant_records, const Sealer& sealer,
                       const Clock& link_clock, const Clock& clock, Entropy& entropy,
                       std::function<std::string()> public_url)
    : audited_(audited),
      links_("connect-link", kv, sealer, link_clock),
      states_("connect-state", kv, sealer, link_clock),
      tokens_(tokens),
      upstream_(upstream),
      clients_(std::move(clients)),
      origins_(std::move(origins)),
      tenants_(std::move(tenants)),
      tenant_records_(std::move(tenant_records)),
      link_clock_(link_clock),
      clock_(clock),
      entropy_(entropy),
      public_url_(std::move(public_url)) {}

std::string ConnectApi::record_of(const Flow& flow) {
  Json meta = Json::object();
  for (const auto& [name, value] : flow.meta) meta[name] = value;
  const Json record = {
      {"tenant", flow.id.tenant}, {"provider", flow.id.provider},    {"account", flow.id.account},
      {"actor", flow.actor},      {"verifier", flow.verifier},       {"browser", flow.browser},
      {"meta", std::move(meta)},  {"incarnation", flow.incarnation}, {"maker", flow.maker}};
  return dump_json(record);
}

Result<ConnectApi::Flow> ConnectApi::flow_of(const Secret& kept) {
  const Json record = KVCS_TRY(parse_json(kept.reveal()));
  Flow flow;
  flow.id = {text_member(record, "tenant"), text_member(record, "provider"),
             text_member(record, "account")};
  flow.actor = text_member(record, "actor");
  flow.maker = text_member(record, "maker");
  flow.verifier = text_member(record, "verifier");
  flow.browser = text_member(record, "browser");
  flow.incarnation = text_member(record, "incarnation");
  if (const auto meta = record.find("meta"); meta != record.end() && meta->is_object()) {
    for (const auto& [name, value] : meta->items()) {
      if (value.is_string()) flow.meta[name] = value.get<std::string>();
    }
  }
  return flow;
}

Result<ConnectApi::Flow> ConnectApi::take(oauth::TicketStore& from, std::string_view secret,
                                          const Exchange& exchange, Status& refused) {
  Flow flow;
  const auto use = [&](const Secret& kept) -> Result<KvBatch> {
    flow = KVCS_TRY(flow_of(kept));
    Result<KvBatch> batch = exchange(flow);
    refused = batch.status();
    return batch;
  };
  KVCS_TRY(from.take(secret, use).status());
  return flow;
}

// Read at each step: the record may have changed since the link was made.
Result<oauth::Client> ConnectApi::client_of(const Flow& flow) const {
  const ProviderClient provider = KVCS_TRY(clients_(flow.id.provider));
  oauth::Client client = KVCS_TRY(Result<oauth::Client>(provider.client));
  if (client.authorize_url.empty() || client.client_id.empty()) {
    return invalid("The provider " + flow.id.provider +
                   " has no auth.authorize_url or no auth.client_id; set them with PUT "
                   "/admin/providers/" +
                   flow.id.provider + ".");
  }
  KVCS_TRY(http::check_upstream_url(client.authorize_url));
  return client;
}

namespace {

constexpr http::ApiType kTypes[] = {
    {"ConnectAsk", R"(
account_id: string(1..64) # Default: default.
meta: object)"},
    {"ConnectLink", R"(
url!: string # Good once, for some minutes.
expires_at!: time)"},
};

}  // namespace

std::span<const http::ApiType> ConnectApi::types() {
  return kTypes;
}

void ConnectApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::everyone;
  using http::kib;
  using http::kNoBody;
  http::Rows rows(table, *this);
  rows.add(kPost, "/admin/tenants/{tenant}/providers/{provider}/connect",
           with_owner(access.own_admin, http::OwnerFrom::kPathTenant), kib(16),
           &ConnectApi::create_link,
           "Make a link, good once, that asks for consent in the browser.",
           {.id = "createConnectLink",
            .body = "ConnectAsk?",
            .status = 201,
            .answer = "ConnectLink",
            .also = "502 504"});
  rows.add(kGet, "/connect/callback", everyone(), kNoBody, &ConnectApi::callback,
           "Where the provider sends the browser.", {.id = "finishConnect", .answer = "text/html"});
  rows.add(kGet, "/connect/{provider}", everyone(), kNoBody, &ConnectApi::begin,
           "Begin the consent of such a link.",
           {.id = "beginConnect",
            .query = "ticket tenant account",
            .status = 302,
            .answer = "text/html"});
}

Result<http::Response> ConnectApi::create_link(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  JsonReader reader(body);
  Flow flow;
  flow.id = {std::string(request.param("tenant")), std::string(request.param("provider")),
             reader.optional_string("account_id", {.max_bytes = 64}).value_or("default")};
  if (const Json* meta = reader.object("meta"); meta != nullptr) {
    for (const auto& [name, value] : meta->items()) {
      if (!value.is_string()) reader.fail("meta", "its members must be strings");
      if (value.is_string()) flow.meta[name] = value.get<std::string>();
    }
    if (flow.meta.size() > kMetaMax) reader.fail("meta", "has too many members");
  }
  KVCS_TRY(reader.finish());
  KVCS_TRY(check_account_id(flow.id));
  KVCS_TRY(tenants_(flow.id.tenant));
  flow.incarnation = KVCS_TRY(tenant_records_(flow.id.tenant)).incarnation;
  KVCS_TRY(client_of(flow));
  flow.actor = admin_api::who(request).actor;
  flow.maker = maker_text(request.principal, AdminRole::kAdmin, OrgRole::kAdmin);
  const std::string ticket = oauth::make_one_time_secret(entropy_);
  KVCS_TRY(
      audited_.note("connect:" + flow.id.tenant + ":" + flow.id.provider + ":" + flow.id.account,
                    "link", admin_api::who(request),
                    links_.make(ticket, record_of(flow), kConnectLifetimeS, flow.id.tenant)));
  const std::string url =
      public_url_() + "/connect/" + flow.id.provider + "?" +
      oauth::form_encode(
          {{"tenant", flow.id.tenant}, {"account", flow.id.account}, {"ticket", ticket}});
  const int64_t expires_ms = (link_clock_.unix_s() + kConnectLifetimeS) * 1000;
  return http::reply(201, Json{{"url", url}, {"expires_at", format_iso8601_s(expires_ms)}});
}

Result<http::Response> ConnectApi::begin(http::Request& request) {
  http::Response response = http::empty_response(302);
  const auto exchange = [&](Flow& flow) -> Result<KvBatch> {
    // The address shows what the link is for; it must not be another thing than what the ticket
    // allows.
    if (flow.id.provider != request.param("provider") ||
        request.query_value("tenant") != flow.id.tenant ||
        request.query_value("account") != flow.id.account) {
      return invalid("The link was changed; open it as it was, or ask for a new one.");
    }
    return redirect(request, flow, response);
  };
  Status refused;
  const Result<Flow> flow =
      take(links_, request.query_value("ticket").value_or(""), exchange, refused);
  if (!refused.ok()) return failed_page(page_status(refused), refused.message());
  if (flow.code() == Code::kNotFound) return failed_page(404, flow.status().message());
  if (!flow.ok()) return failed_page(503, "The store does not answer; open the link again.");
  return response;
}

Result<KvBatch> ConnectApi::redirect(const http::Request& request, Flow flow,
                                     http::Response& response) {
  KVCS_TRY(check(flow));
  const oauth::Client client = KVCS_TRY(client_of(flow));
  const std::string state = oauth::make_one_time_secret(entropy_);
  const std::string cookie = oauth::make_one_time_secret(entropy_);
  flow.verifier = oauth::make_one_time_secret(entropy_);
  // The browser's proof is kept as its hash, like every secret of which the store knows.
  flow.browser = sha256_hex(cookie);
  response.set("Location", oauth::authorization_url(client, redirect_uri(), state, flow.verifier));
  oauth::set_cookie(response, {.name = cookie_name(state),
                               .value = cookie,
                               .path = "/connect",
                               .max_age_s = kConnectLifetimeS,
                               .secure = request.https || public_url_().starts_with("https:")});
  oauth::hide_address(response);
  return states_.make(state, record_of(flow), kConnectLifetimeS, flow.id.tenant);
}

// What can be looked up is looked up before the state is used: the same answer of the provider may
// come again, by the browser's reload, while its code is not spent.
Result<http::Response> ConnectApi::callback(http::Request& request) {
  const std::string state = request.query_value("state").value_or("");
  const std::string cookie = oauth::cookie_value(request, cookie_name(state));
  const std::optional<std::string> error = request.query_value("error");
  bool is_same_browser = false;
  oauth::Client client;
  const auto exchange = [&](Flow& flow) -> Result<KvBatch> {
    is_same_browser =
        !flow.browser.empty() && constant_time_equal(sha256_hex(cookie), flow.browser);
    if (!is_same_browser || error) return KvBatch();
    KVCS_TRY(check(flow));
    client = KVCS_TRY(client_of(flow));
    return KvBatch();
  };
  Status refused;
  const Result<Flow> flow = take(states_, state, exchange, refused);
  if (!refused.ok()) return failed_page(page_status(refused), refused.message());
  if (flow.code() == Code::kNotFound) return failed_page(400, flow.status().message());
  if (!flow.ok()) return failed_page(503, "The store does not answer; load this page again.");
  if (!is_same_browser) {
    return failed_page(403, "The consent was begun in another browser; open the link again here.");
  }
  if (error) {
    const std::string words = request.query_value("error_description").value_or("");
    return failed_page(400, "The provider says: " + printable(*error, kShownMaxBytes) +
                                (words.empty() ? "" : " — " + printable(words, kShownMaxBytes)));
  }
  const Result<std::string> done = finish(request, flow.value(), client);
  if (!done.ok()) return failed_page(page_status(done.status()), done.status().message());
  return oauth::plain_page(200, "The account is connected", done.value());
}

Result<TenantRecord> ConnectApi::check(const Flow& flow) const {
  KVCS_TRY(tenants_(flow.id.tenant));
  TenantRecord record = KVCS_TRY(tenant_records_(flow.id.tenant));
  if (!KVCS_TRY(may_still_(flow.maker))) {
    return forbidden("Who made the link may connect no accounts any more; ask for a new one.")
        .with_reason("maker_lost_rights");
  }
  if (record.incarnation == flow.incarnation) return record;
  return conflict("Tenant " + flow.id.tenant +
                  " was set up anew since the link was made; ask for a new one.");
}

// Stored in one write with the look at the tenant's record, which may have been changed, or made
// anew, while the provider was asked.
Status ConnectApi::keep(const Flow& flow, const AccessCredential& credential,
                        const oauth::Grant& refresh, const std::string& request_id) {
  AccountView after;
  after.type = credential.type;
  after.expires_at_s = credential.expires_at_s;
  after.updated_at_s = clock_.unix_s();
  KvBatch alarm;
  if (const auto due_s = refresh_due_at(after, after.updated_at_s))
    add_refresh_alarm(alarm, flow.id, *due_s);
  for (int attempt = 1;; ++attempt) {
    const TenantRecord tenant = KVCS_TRY(check(flow));
    const Status kept = tokens_.put_while(tenant, flow.id, credential, refresh,
                                          {flow.actor, "connect", request_id}, alarm);
    if (kept.code() != Code::kConflict || attempt == kKeepAttemptsMax) return kept;
  }
}

// Whether the flow may go on was looked at before the provider is asked, and is once more before
// anything is kept: it may take its time.
Result<std::string> ConnectApi::finish(const http::Request& request, const Flow& flow,
                                       const oauth::Client& client) {
  KVCS_TRY(oauth::check_issuer(client, request.query_value("iss")));
  const std::string code = request.query_value("code").value_or("");
  if (code.empty()) return invalid("The provider sent no code.");
  oauth::TokenOutcome outcome =
      oauth::exchange_code(upstream_, client, code, redirect_uri(), flow.verifier, clock_);
  if (!outcome.answer) return upstream_failed(outcome.failure.message);
  oauth::TokenAnswer& answer = *outcome.answer;
  AccessCredential credential;
  credential.type = AuthType::kOauth2RefreshToken;
  credential.access_token = std::move(answer.access_token);
  credential.scope = answer.scope.empty() ? client.scope_text() : answer.scope;
  credential.meta = flow.meta;
  for (auto& [name, value] : answer.meta) credential.meta[name] = value;
  const AccountOrigins origins = KVCS_TRY(origins_(flow.id, credential.meta));
  credential.origins = origins.calls;
  if (answer.expires_in_s != 0) credential.expires_at_s = clock_.unix_s() + answer.expires_in_s;
  oauth::Grant refresh;
  refresh.refresh_token = std::move(answer.refresh_token);
  refresh.origins = origins.refresh;
  // A grant without a refresh token and with an expiry ends with it; the page says so at once.
  const bool lasts = !refresh.refresh_token.empty() || credential.expires_at_s == 0;
  KVCS_TRY(keep(flow, credential, refresh, request.request_id));
  const std::string text = "Account " + flow.id.account + " of " + flow.id.provider +
                           " in tenant " + flow.id.tenant + " can be used now; close this page.";
  return lasts ? text
               : text +
                     " The provider gave no refresh token, so that consent is needed again when "
                     "the token expires.";
}

}  // namespace kvcs::gateway
