// The flows of OpenID Connect: from the browser's way out to the identity it comes back with, the
// bearers of other clients, and the two kinds of sign-out.
#include "oauth/oidc.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/crypto.h"
#include "base/json.h"
#include "oauth/authorization.h"
#include "oauth/issuer_cache.h"
#include "oauth/issuer_metadata.h"
#include "oauth/oauth.h"
#include "oauth/ticket_store.h"

namespace kvcs::oauth {
namespace {

constexpr size_t kEmailMaxBytes = 320;
constexpr size_t kNameMaxBytes = 256;
constexpr std::string_view kOpenIdScope = "openid";

Client client_of(const IssuerConfig& config, const IssuerMetadata& metadata) {
  Client client;
  client.token_url = metadata.token_endpoint;
  client.authorize_url = metadata.authorization_endpoint;
  client.issuer = config.issuer;
  client.client_id = config.client_id;
  client.client_secret = config.client_secret;
  client.client_auth = config.client_secret.empty() ? ClientAuth::kNone : metadata.client_auth;
  client.scopes = config.scopes;
  if (std::find(client.scopes.begin(), client.scopes.end(), kOpenIdScope) == client.scopes.end()) {
    client.scopes.emplace(client.scopes.begin(), kOpenIdScope);
  }
  client.allow_private_addresses = may_be_private(config, metadata.token_endpoint);
  client.may_be_cut_off = true;
  return client;
}

Status exchange_failed(const IssuerConfig& config, const TokenFailure& failure) {
  if (failure.failure_class == FailureClass::kTransient) {
    return issuer_unavailable(config, failure.message);
  }
  if (failure.oauth_error == "invalid_grant") {
    return invalid("The code of this sign-in is old or used; begin again.")
        .with_cause(failure.message)
        .with_reason(kCodeRefused);
  }
  return upstream_failed("Sign-in by " + printable(config.name, kShownName) +
                         ": the issuer does not accept this daemon; are client_id, client_secret "
                         "and the redirect address those that are registered there? " +
                         failure.message)
      .with_reason(kIssuerRefused);
}

// RFC 9207 §2.4, and the defence of the same against an issuer that says that it names itself and
// does not: the answer may come from another one.
Status check_answering_issuer(const Client& client, const IssuerMetadata& metadata,
                              const std::optional<std::string>& issuer) {
  if (metadata.sends_issuer && !issuer) {
    return invalid("The answer does not name its issuer (iss), as this issuer's answers do.");
  }
  return check_issuer(client, issuer);
}

// The claims of the UserInfo endpoint that the token has not. An address and whether it is verified
// belong together, so that no verdict is put on another address.
void add_claims(Json& claims, const Json& more) {
  const bool has_email = claims.contains("email");
  if (!has_email) claims.erase("email_verified");
  for (const auto& [name, value] : more.items()) {
    if (has_email && name == "email_verified") continue;
    if (!claims.contains(name)) claims[name] = value;
  }
}

std::string shown_claim(const Claims& claims, const char* name, size_t max_bytes) {
  std::string text = claims.text(name);
  return text.size() <= max_bytes && !has_control(text) ? text : std::string();
}

Identity identity_of(Claims claims) {
  std::string email = shown_claim(claims, "email", kEmailMaxBytes);
  const bool verified = !email.empty() && claims.is_true("email_verified");
  return {.issuer = claims.text("iss"),
          .subject = claims.text("sub"),
          .email = std::move(email),
          .email_verified = verified,
          .name = shown_claim(claims, "name", kNameMaxBytes),
          .claims = std::move(claims)};
}

}  // namespace

Status check_issuer_config(const IssuerConfig& config) {
  if (config.name.empty()) return invalid("name: required.");
  if (Status url = http::check_upstream_url(config.issuer); !url.ok()) {
    return std::move(url).with_context("issuer");
  }
  const std::string shown = "issuer: \"" + printable(config.issuer, kShownValue) + "\" ";
  if (!config.issuer.starts_with("https://") && !is_plain_loopback(config.issuer)) {
    return invalid(shown + "must be https; http is for loopback addresses alone.");
  }
  if (config.issuer.find_first_of("?#") != config.issuer.npos) {
    return invalid(shown + "must have neither a query nor a fragment.");
  }
  if (config.client_id.empty() || has_control(config.client_id)) {
    return invalid("client_id: required, without control characters.");
  }
  for (const std::string& scope : config.scopes) {
    if (!scope.empty() && scope.find(' ') == scope.npos && !has_control(scope)) continue;
    return invalid("scopes: \"" + printable(scope, kShownName) +
                   "\" is no scope; each is one word.");
  }
  return ok();
}

Issuer::Issuer(IssuerConfig config, http::HttpUpstream& upstream, const Clock& clock,
               Entropy& entropy)
    : config_(std::move(config)),
      upstream_(upstream),
      clock_(clock),
      entropy_(entropy),
      cache_(std::make_unique<IssuerCache>(config_, upstream, clock)) {}

Issuer::~Issuer() = default;

Result<SignInStart> Issuer::begin_sign_in(std::string_view redirect_uri) {
  const IssuerCache::Metadata metadata = KVCS_TRY(cache_->metadata());
  SignInStart start;
  start.state = make_one_time_secret(entropy_);
  start.nonce = make_one_time_secret(entropy_);
  start.verifier = make_one_time_secret(entropy_);
  Client client = client_of(config_, *metadata);
  client.authorize_params["nonce"] = start.nonce;
  start.url = authorization_url(client, redirect_uri, start.state, start.verifier);
  return start;
}

Result<VerifiedJws> Issuer::verify_signature(std::string_view token) {
  // A token of somebody else is none for which keys are fetched.
  const std::string issuer = unverified_issuer(token);
  if (issuer.empty()) {
    return token_refused(kTokenClaims,
                         token.size() > kJwsMaxBytes
                             ? "The token has " + std::to_string(token.size()) +
                                   " bytes, more than the " + std::to_string(kJwsMaxBytes) +
                                   " that are read; let the issuer put fewer groups in."
                             : "The token cannot be read: it is no JWT, names a member twice, or "
                               "names no issuer.");
  }
  if (issuer != config_.issuer) {
    return token_refused(kTokenClaims, "The token is of the issuer \"" +
                                           printable(issuer, kShownValue) + "\", not of " +
                                           printable(config_.issuer, kShownValue) + ".");
  }
  const IssuerCache::Keys keys = KVCS_TRY(cache_->keys());
  Result<VerifiedJws> verified = verify_jws(token, *keys);
  if (verified.ok() || verified.status().reason() != kTokenKeyUnknown) return verified;
  const IssuerCache::Keys newer = KVCS_TRY(cache_->newer_keys(keys));
  return newer == keys ? std::move(verified) : verify_jws(token, *newer);
}

Result<Claims> Issuer::verify_id_token(std::string_view token, std::string_view nonce) {
  const VerifiedJws verified = KVCS_TRY(verify_signature(token));
  if (verified.type == kAccessTokenType || verified.type == kLogoutTokenType) {
    return token_refused(kTokenMalformed,
                         "The token is no ID token: its typ is " + verified.type + ".");
  }
  Claims claims = KVCS_TRY(Claims::parse(verified.payload));
  const ClaimRules rules = {.issuer = config_.issuer,
                            .audiences = {config_.client_id},
                            .authorized_party = config_.client_id,
                            .nonce = std::string(nonce)};
  KVCS_TRY(check_claims(claims, rules, clock_.unix_ms()));
  return claims;
}

Result<Claims> Issuer::add_user_info(const IssuerMetadata& metadata, const Secret& access_token,
                                     Claims claims) {
  if (metadata.userinfo_endpoint.empty()) return claims;
  const IssuerText text =
      KVCS_TRY(fetch_from_issuer(upstream_, config_, metadata.userinfo_endpoint, access_token));
  const auto refused = [&](std::string_view why) {
    return upstream_failed("Sign-in by " + printable(config_.name, kShownName) +
                           ": the UserInfo endpoint " + std::string(why))
        .with_reason(kIssuerRefused);
  };
  if (text.status >= 500 || text.status == 429) {
    return issuer_unavailable(
        config_, "the UserInfo endpoint answered " + std::to_string(text.status) + ".");
  }
  if (text.status != 200) return refused("answered " + std::to_string(text.status) + ".");
  if (text.content_type.starts_with("application/jwt")) {
    return refused(
        "answers with a signed token; register this client without "
        "userinfo_signed_response_alg.");
  }
  const Result<Json> more = parse_json(text.body);
  if (!more.ok() || !more.value().is_object()) return refused("answered with no JSON object.");
  // OpenID Connect Core §5.3.2: an answer about somebody else must not be used.
  if (text_member(more.value(), "sub") != claims.text("sub")) {
    return refused("answered about another subject than the ID token's.");
  }
  Json all = claims.json();
  add_claims(all, more.value());
  return Claims(all);
}

Result<Identity> Issuer::finish_sign_in(const SignInAnswer& answer) {
  const IssuerCache::Metadata metadata = KVCS_TRY(cache_->metadata());
  const Client client = client_of(config_, *metadata);
  KVCS_TRY(check_answering_issuer(client, *metadata, answer.issuer));
  TokenOutcome outcome =
      exchange_code(upstream_, client, answer.code, answer.redirect_uri, answer.verifier, clock_);
  if (!outcome.answer) return exchange_failed(config_, outcome.failure);
  const TokenAnswer& tokens = *outcome.answer;
  if (tokens.id_token.empty()) {
    return upstream_failed("Sign-in by " + printable(config_.name, kShownName) +
                           ": the issuer gave no id_token; does it know OpenID Connect?")
        .with_reason(kIssuerRefused);
  }
  Claims claims = KVCS_TRY(verify_id_token(tokens.id_token.reveal(), answer.nonce));
  Identity identity =
      identity_of(KVCS_TRY(add_user_info(*metadata, tokens.access_token, std::move(claims))));
  return identity;
}

Result<Identity> Issuer::verify_bearer(std::string_view token) {
  const VerifiedJws verified = KVCS_TRY(verify_signature(token));
  Claims claims = KVCS_TRY(Claims::parse(verified.payload));
  if (verified.type == kLogoutTokenType || claims.has("events")) {
    return token_refused(kTokenMalformed, "The token reports an event and is no bearer.");
  }
  const bool is_of_sign_in = claims.has("nonce") || claims.has("at_hash") || claims.has("c_hash");
  if (is_of_sign_in && verified.type != kAccessTokenType) {
    return token_refused(kTokenMalformed,
                         "The token is an ID token; send the access token as the bearer.");
  }
  ClaimRules rules = {.issuer = config_.issuer,
                      .audiences = {config_.client_id},
                      .authorized_party = {},
                      .nonce = {},
                      .needs_issue_time = false};
  for (const std::string& more : {config_.audience, config_.cli_client_id}) {
    if (!more.empty()) rules.audiences.push_back(more);
  }
  KVCS_TRY(check_claims(claims, rules, clock_.unix_ms()));
  return identity_of(std::move(claims));
}

Result<std::string> Issuer::end_session_url(std::string_view post_logout_redirect_uri) {
  const IssuerCache::Metadata metadata = KVCS_TRY(cache_->metadata());
  const std::string& endpoint = metadata->end_session_endpoint;
  if (endpoint.empty()) {
    return not_found("Sign-in by " + printable(config_.name, kShownName) +
                     ": the issuer has no page for the end of a session.")
        .with_reason(kNoEndSession);
  }
  FormPairs query = {{"client_id", config_.client_id}};
  if (!post_logout_redirect_uri.empty()) {
    query.emplace_back("post_logout_redirect_uri", std::string(post_logout_redirect_uri));
  }
  return endpoint + (endpoint.find('?') == endpoint.npos ? "?" : "&") + form_encode(query);
}

}  // namespace kvcs::oauth
