// Leads a browser to an issuer and takes it back. Every failure on the way is a page in words,
// since a person reads it.
#include "portal/oidc_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/address_block.h"
#include "base/bytes.h"
#include "http/form.h"
#include "http/json_api.h"
#include "kv/audited_kv.h"
#include "oauth/browser.h"
#include "oauth/oauth.h"

namespace kvcs::portal {
namespace {

constexpr size_t kNextMaxBytes = 300, kInvitationMaxBytes = 64;
// Of one address block: each begin is kept for a while, each end asks the issuer in our name.
constexpr int64_t kBeginsPerMinute = 120, kEndsPerMinute = 60;
// Of all: each begin is a write that waits for the disk. Beyond that an address block still has a
// few, so that some that begin without end do not turn sign-in off for everybody.
constexpr int64_t kBeginsOfAllPerMinute = 1200, kFirstBeginsPerMinute = 10;
constexpr size_t kShownMaxBytes = 300;

constexpr http::ApiType kTypes[] = {
    {"SignInProviders", R"(
providers!: [SignInProvider]
set_up!: boolean # False while nobody has an account: the setup link makes the first one.)"},
    {"SignInAway", R"(
url!: string # Where the browser goes.)"},
    {"SignInProvider", R"(
name!: string
url!: string # Where a browser begins.
issuer!: string
cli_client_id!: string? # The client that command lines sign in as, at the issuer.)"},
};

// A cookie for each flow, so that two that run in two tabs do not end one another. Over TLS no
// other host, and no plain page, can set one of this name.
std::string cookie_name(std::string_view state, bool secure) {
  return (secure ? "__Host-kvcs_sign_in_" : "kvcs_sign_in_") + sha256_hex(state).substr(0, 8);
}

http::Response failed_page(int status, std::string_view text) {
  return oauth::plain_page(status, "You are not signed in", text);
}

int page_status(const Status& status) {
  switch (status.code()) {
    case Code::kForbidden:
      return 403;
    case Code::kConflict:
      return 409;
    case Code::kNotFound:
      return 404;
    case Code::kUnavailable:
      return 503;
    case Code::kUpstream:
      return 502;
    case Code::kRateLimited:
      return 429;
    default:
      return 400;
  }
}

// A path of this host and nothing else: what browsers take for another host (two slashes, a
// backslash, control characters) is refused.
Result<std::string> read_next(const http::Request& request, const std::string& home) {
  const std::string next = request.query_value("next").value_or(home);
  const bool is_path = next.starts_with('/') && !next.starts_with("//") &&
                       next.size() <= kNextMaxBytes &&
                       std::all_of(next.begin(), next.end(),
                                   [](char c) { return c > 0x20 && c < 0x7f && c != '\\'; });
  if (is_path) return next;
  return invalid("next: '" + printable(next, kShownName) + "' is not a path of this host.");
}

}  // namespace

// What is kept between the way out and the way back.
struct OidcApi::Flow {
  std::string provider, nonce, verifier, redirect_uri, next;
  std::string browser;      // SHA-256 of the cookie.
  std::string link_person;  // Who asked for a second way to sign in; "" = this is a sign-in.
  Secret invitation;
};

std::string OidcApi::record_of(const Flow& flow) {
  return dump_json(Json{{"provider", flow.provider},
                        {"nonce", flow.nonce},
                        {"verifier", flow.verifier},
                        {"redirect_uri", flow.redirect_uri},
                        {"next", flow.next},
                        {"browser", flow.browser},
                        {"link_person", flow.link_person},
                        {"invitation", flow.invitation.reveal()}});
}

Result<OidcApi::Flow> OidcApi::take(std::string_view state) {
  const Secret kept = KVCS_TRY(s_.tickets.take(state));
  const Json record = KVCS_TRY(parse_json(kept.reveal()));
  Flow flow;
  flow.provider = text_member(record, "provider");
  flow.nonce = text_member(record, "nonce");
  flow.verifier = text_member(record, "verifier");
  flow.redirect_uri = text_member(record, "redirect_uri");
  flow.next = text_member(record, "next");
  flow.browser = text_member(record, "browser");
  flow.link_person = text_member(record, "link_person");
  flow.invitation = Secret(text_member(record, "invitation"));
  return flow;
}

std::span<const http::ApiType> OidcApi::types() {
  return kTypes;
}

void OidcApi::add_routes(std::vector<http::Row>& table, const http::Access& person) {
  using enum http::Method;
  using http::everyone;
  http::Rows rows(table, *this, "/auth");
  rows.add(kGet, "/providers", everyone(), http::kNoBody, &OidcApi::list_providers,
           "The providers that people may sign in through.",
           {.id = "listSignInProviders", .answer = "SignInProviders"});
  rows.add(kGet, "/login/{provider}", everyone(), http::kNoBody, &OidcApi::begin,
           "Lead the browser to a provider.",
           {.id = "beginSignIn",
            .query = "next invitation",
            .status = 302,
            .answer = "text/html",
            .also = "502 504"});
  rows.add(
      kPost, "/link/{provider}", person, http::kib(8), &OidcApi::begin_link,
      "Begin to add another way to sign in to the own account. Needs the password again, or "
      "without one a sign-in of the last five minutes; and a code of the second factor, if "
      "there is one.",
      {.id = "linkSignIn", .body = "Confirmation?", .answer = "SignInAway", .also = "409 502 504"});
  rows.add(kGet, "/callback", everyone(), http::kNoBody, &OidcApi::callback,
           "Where the only provider sends the browser back.",
           {.id = "finishSignIn", .status = 302, .answer = "text/html"});
  rows.add(kGet, "/callback/{provider}", everyone(), http::kNoBody, &OidcApi::callback,
           "Where one of several providers sends the browser back.",
           {.id = "finishSignInOfProvider", .status = 302, .answer = "text/html"});
  rows.add(kPost, "/backchannel/{provider}", everyone(), http::kib(32), &OidcApi::back_channel,
           "A provider says that a session has ended (Back-Channel Logout).",
           {.id = "endProviderSession", .body = "application/x-www-form-urlencoded"});
}

Result<http::Response> OidcApi::list_providers(http::Request&) {
  Json providers = Json::array();
  for (const Provider* const provider : s_.providers.all()) {
    const oauth::IssuerConfig& issuer = provider->issuer->config();
    providers.push_back({{"name", provider->name},
                         {"url", "/auth/login/" + provider->name},
                         {"issuer", issuer.issuer},
                         {"cli_client_id", http::text_or_null(issuer.cli_client_id)}});
  }
  const Result<PersonPage> people = s_.people.list({.limit = 1});
  const bool set_up = !people.ok() || !people->people.empty();
  return http::reply(200, Json{{"providers", std::move(providers)}, {"set_up", set_up}});
}

std::string OidcApi::signed_in_person(const http::Request& request) const {
  const Result<Principal> caller = s_.auth.authenticate(request);
  return caller.ok() ? caller->person_id : std::string();
}

std::string OidcApi::redirect_uri(const Provider& provider) const {
  const std::string all = s_.public_url() + "/auth/callback";
  return s_.providers.all().size() == 1 ? all : all + "/" + provider.name;
}

std::string OidcApi::home() const {
  const std::string url = s_.public_url();
  const size_t scheme = url.find("://");
  const size_t path = url.find('/', scheme == url.npos ? 0 : scheme + 3);
  return (path == url.npos ? "" : url.substr(path)) + "/";
}

Status OidcApi::take_try(const char* of, int64_t per_minute, const http::Request& request) const {
  const int64_t wait_s =
      s_.take_try(std::string(of) + ":" + address_block(request.remote_ip), per_minute);
  return too_many_tries(wait_s, "Too many sign-ins from this address; wait " +
                                    std::to_string(wait_s) + " s and begin again.");
}

Result<std::string> OidcApi::leave(const Provider& provider, Flow flow, http::Response& response) {
  flow.provider = provider.name;
  flow.redirect_uri = redirect_uri(provider);
  oauth::SignInStart start = KVCS_TRY(provider.issuer->begin_sign_in(flow.redirect_uri));
  flow.nonce = start.nonce;
  flow.verifier = start.verifier;
  const std::string cookie = oauth::make_one_time_secret(s_.entropy);
  flow.browser = sha256_hex(cookie);
  KVCS_TRY(s_.tickets.put(start.state, record_of(flow), kSignInFlowLifetimeS));
  oauth::set_cookie(response, {.name = cookie_name(start.state, is_secure(s_.browser)),
                               .value = cookie,
                               .max_age_s = kSignInFlowLifetimeS,
                               .secure = is_secure(s_.browser)});
  oauth::hide_address(response);
  return std::move(start.url);
}

Result<http::Response> OidcApi::begin(http::Request& request) {
  const Provider* const provider = s_.providers.find(request.param("provider"));
  if (provider == nullptr) {
    return failed_page(404, "No provider of sign-ins has this name (auth.providers).");
  }
  const Result<std::string> next = read_next(request, home());
  if (!next.ok()) return failed_page(400, next.status().message());
  Flow flow;
  flow.next = next.value();
  flow.invitation = Secret(request.query_value("invitation").value_or(""));
  if (flow.invitation.reveal().size() > kInvitationMaxBytes) {
    return failed_page(400, "invitation: this is the token of no invitation.");
  }
  if (const Status allowed = take_try("sign-in-begin", kBeginsPerMinute, request); !allowed.ok()) {
    return failed_page(429, allowed.message());
  }
  // Both are taken always: what an address began before the rush counts in it.
  const bool is_rush = s_.take_try("sign-in-begin-of-all", kBeginsOfAllPerMinute) != 0;
  const Status first = take_try("sign-in-begin-first", kFirstBeginsPerMinute, request);
  if (is_rush && !first.ok()) {
    return failed_page(429, "Too many people sign in at this moment; try again in a minute.");
  }
  http::Response response = http::empty_response(302);
  const Result<std::string> url = leave(*provider, std::move(flow), response);
  if (!url.ok()) return failed_page(page_status(url.status()), url.status().message());
  response.set("Location", url.value());
  return response;
}

// The session may have been ended while the password was looked at and the provider was asked.
Result<http::Response> OidcApi::begin_link(http::Request& request) {
  const Proof proof = KVCS_TRY(read_proof(request));
  const Provider* const provider = s_.providers.find(request.param("provider"));
  if (provider == nullptr) return not_found("No provider of sign-ins has this name.");
  KVCS_TRY(s_.sign_in.confirm_factors(request.principal, proof, caller_of(request)));
  Flow flow;
  flow.next = home();
  flow.link_person = request.principal.person_id;
  http::Response response;
  const std::string url = KVCS_TRY(leave(*provider, std::move(flow), response));
  KVCS_TRY(s_.auth.look_up_again(request.principal));
  http::Response answer = http::reply(200, Json{{"url", url}});
  for (auto& [name, value] : response.headers) answer.set(name, value);
  return answer;
}

Result<http::Response> OidcApi::callback(http::Request& request) {
  const std::string state = request.query_value("state").value_or("");
  const Result<Flow> flow = take(state);
  if (flow.code() == Code::kNotFound) {
    return failed_page(400, "This sign-in has ended or was used; begin again.");
  }
  if (!flow.ok()) return failed_page(503, "The store does not answer; begin again.");
  const std::string cookie =
      oauth::cookie_value(request, cookie_name(state, is_secure(s_.browser)));
  if (!constant_time_equal(sha256_hex(cookie), flow->browser)) {
    return failed_page(403, "The sign-in was begun in another browser; begin again in this one.");
  }
  // An answer that came by the way of another provider is not this one's.
  if (!flow->redirect_uri.ends_with(request.path)) {
    return failed_page(400, "The answer is of another provider than was asked; begin again.");
  }
  if (const auto error = request.query_value("error")) {
    const std::string words = request.query_value("error_description").value_or("");
    return failed_page(400, "The provider says: " + printable(*error, kShownMaxBytes) +
                                (words.empty() ? "" : " — " + printable(words, kShownMaxBytes)));
  }
  Result<http::Response> done = finish(request, flow.value());
  if (!done.ok()) return failed_page(page_status(done.status()), done.status().message());
  return done;
}

Result<http::Response> OidcApi::finish(const http::Request& request, const Flow& flow) {
  const Provider* const provider = s_.providers.find(flow.provider);
  if (provider == nullptr) return not_found("The provider is configured no longer; begin again.");
  oauth::SignInAnswer answer;
  answer.code = request.query_value("code").value_or("");
  answer.issuer = request.query_value("iss");
  answer.redirect_uri = flow.redirect_uri;
  answer.nonce = flow.nonce;
  answer.verifier = flow.verifier;
  if (answer.code.empty()) return invalid("The provider sent no code.");
  KVCS_TRY(take_try("sign-in-end", kEndsPerMinute, request));
  const oauth::Identity identity = KVCS_TRY(provider->issuer->finish_sign_in(answer));
  http::Response response = http::empty_response(302);
  oauth::hide_address(response);
  // A second way to sign in is added while both are open: the session here, and the one there.
  if (!flow.link_person.empty()) {
    response.set("Location", flow.next);
    const Status ended =
        forbidden("The session that asked for this has ended; sign in and begin again.");
    if (signed_in_person(request) != flow.link_person) return ended;
    const AuditContext who{person_actor(flow.link_person), "sign-in", request.request_id};
    const SignIn way{identity.issuer, identity.subject};
    KVCS_TRY(s_.people.add_sign_in(flow.link_person, way, who));
    if (signed_in_person(request) == flow.link_person) return response;
    // Ended, as by a new password, while the way was added.
    KVCS_TRY(s_.people.remove_sign_in(flow.link_person, sign_in_id(way), who).status());
    return ended;
  }
  const Arrivals::Arrival arrival =
      KVCS_TRY(s_.arrivals.welcome(*provider, identity, flow.invitation, request.request_id));
  const StartedSession started =
      KVCS_TRY(s_.sign_in.start(arrival.person, provider->name, caller_of(request, s_.browser)));
  // Taken away, with the sessions that were there, while this one began.
  const Result<Person> still = s_.people.find_by_sign_in({identity.issuer, identity.subject});
  if (!still.ok() || still->id != arrival.person.id) {
    const AuditContext who{person_actor(arrival.person.id), "sign-in", request.request_id};
    (void)s_.sessions.end(arrival.person.id, started.session.id, who);
    if (!still.ok() && still.code() != Code::kNotFound) return still.status();
    return forbidden("This way to sign in was taken away from the account just now.");
  }
  response.set("Location", destination(flow, arrival));
  set_session_cookie(response, started.token.reveal(), s_.sessions.limits().lifetime_s,
                     is_secure(s_.browser));
  return response;
}

// Somebody who was known already is asked on the page of the invitation, which is good for it.
std::string OidcApi::destination(const Flow& flow, const Arrivals::Arrival& arrival) const {
  const bool asks = !arrival.is_new && !flow.invitation.empty() &&
                    s_.invitations.find_by_token(flow.invitation).ok();
  return asks ? home() + "#/invitation?token=" + flow.invitation.reveal() : flow.next;
}

// Which of a person's sessions an issuer's session id stands for is not kept: all that began
// through this provider end.
Result<http::Response> OidcApi::back_channel(http::Request& request) {
  const Provider* const provider = s_.providers.find(request.param("provider"));
  if (provider == nullptr) return not_found("No provider of sign-ins has this name.");
  const std::string form = KVCS_TRY(request.body->read_all());
  const std::string token = http::form_value(form, "logout_token").value_or("");
  const Result<oauth::Logout> logout = provider->issuer->verify_logout_token(token);
  if (!logout.ok()) {
    return invalid("logout_token: " + logout.status().message()).with_reason("invalid_request");
  }
  if (logout->subject.empty()) {
    return invalid("logout_token: sub is needed; sessions are not known by sid here.")
        .with_reason("invalid_request");
  }
  const AuditContext who{"issuer:" + provider->name, "sign-out", request.request_id};
  const Result<Person> person =
      s_.people.find_by_sign_in({provider->issuer->config().issuer, logout->subject});
  if (person.code() == Code::kNotFound) return http::empty_response(200);
  KVCS_TRY(person.status());
  KVCS_TRY(s_.sessions.end_of_provider(person->id, provider->name, who));
  http::Response response = http::empty_response(200);
  response.set("cache-control", "no-store");
  return response;
}

}  // namespace kvcs::portal
