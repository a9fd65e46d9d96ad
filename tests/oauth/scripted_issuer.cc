// The answers of an issuer that does all right until a test wants otherwise.
#include "oauth/scripted_issuer.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace kvcs::test {

ScriptedIssuer::ScriptedIssuer(std::string issuer_url) : url(std::move(issuer_url)) {
  config = {.name = "example", .issuer = url, .client_id = "kvcs"};
  config.client_secret = Secret("client-secret-1");
  const Json metadata = {{"issuer", url},
                         {"authorization_endpoint", url + "/authorize"},
                         {"token_endpoint", url + "/token"},
                         {"jwks_uri", url + "/keys"},
                         {"userinfo_endpoint", url + "/userinfo"},
                         {"end_session_endpoint", url + "/logout"}};
  metadata_ = std::make_unique<Json>(metadata);
  set_metadata("scopes_supported", Json::array({"openid"}));
  publish({key.jwk("k1")});
  answer("/userinfo", 200, R"({"sub":"ada","groups":["staff"]})");
  upstream.set_handler([this](const SeenRequest& seen) {
    ScriptedAnswer answer;
    if (away_) {
      answer.open_failure = upstream_failed("No connection.", "\"id.example.com\" refused");
      return answer;
    }
    const std::string path = seen.url.starts_with(url) ? seen.url.substr(url.size()) : seen.url;
    const auto known = answers.find(path);
    if (known != answers.end()) return known->second;
    answer.status = 404;
    return answer;
  });
}

ScriptedIssuer::~ScriptedIssuer() = default;

void ScriptedIssuer::answer(const std::string& path, int status, std::string body,
                            std::string content_type) {
  ScriptedAnswer made;
  made.status = status;
  made.headers = {{"content-type", std::move(content_type)}};
  made.chunks = {std::move(body)};
  answers[path] = std::move(made);
}

void ScriptedIssuer::set_metadata(const char* name, const Json& value) {
  (*metadata_)[name] = value;
  if (value.is_null()) metadata_->erase(name);
  answer("/.well-known/openid-configuration", 200, dump_json(*metadata_));
}

void ScriptedIssuer::publish(const std::vector<Json>& keys) {
  answer("/keys", 200, jwk_set_text(keys));
}

void ScriptedIssuer::go_away() {
  away_ = true;
}

void ScriptedIssuer::come_back() {
  away_ = false;
}

size_t ScriptedIssuer::asked(std::string_view path) const {
  const std::vector<SeenRequest> seen = upstream.seen();
  return static_cast<size_t>(std::count_if(seen.begin(), seen.end(), [&](const SeenRequest& each) {
    return each.url == url + std::string(path);
  }));
}

Json ScriptedIssuer::claims() const {
  return Json{{"iss", url},
              {"sub", "ada"},
              {"aud", "kvcs"},
              {"exp", clock.unix_s() + 300},
              {"iat", clock.unix_s()},
              {"nonce", "n-1"},
              {"email", "ada@example.com"},
              {"email_verified", true},
              {"name", "Ada"}};
}

Json ScriptedIssuer::claims_with(const char* name, const Json& value) const {
  Json changed = claims();
  changed[name] = value;
  if (value.is_null()) changed.erase(name);
  return changed;
}

Json ScriptedIssuer::logout_claims() const {
  return Json{
      {"iss", url},
      {"sub", "ada"},
      {"sid", "s-1"},
      {"aud", "kvcs"},
      {"jti", "t-1"},
      {"exp", clock.unix_s() + 120},
      {"iat", clock.unix_s()},
      {"events", Json{{"http://schemas.openid.net/event/backchannel-logout", Json::object()}}}};
}

void ScriptedIssuer::next_tokens(const std::string& id_token) {
  Json tokens = {{"access_token", "access-secret-1"}, {"token_type", "Bearer"}};
  if (!id_token.empty()) tokens["id_token"] = id_token;
  answer("/token", 200, dump_json(tokens));
}

oauth::Issuer& ScriptedIssuer::issuer() {
  if (!issuer_) issuer_ = std::make_unique<oauth::Issuer>(config, upstream, clock, *entropy);
  return *issuer_;
}

oauth::SignInAnswer ScriptedIssuer::browser_answer() {
  return {.code = "code-secret-1",
          .issuer = {},
          .redirect_uri = "https://kvcs.example.com/auth/callback",
          .nonce = "n-1",
          .verifier = "verifier-secret-1"};
}

Result<oauth::Identity> ScriptedIssuer::sign_in(const std::string& id_token) {
  next_tokens(id_token);
  return issuer().finish_sign_in(browser_answer());
}

}  // namespace kvcs::test
