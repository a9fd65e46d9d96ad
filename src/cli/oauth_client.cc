// Forms to an issuer and what it answers. Failures are told in the issuer's own words.
#include "cli/oauth_client.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/loopback.h"
#include "cli/api_client.h"

namespace kvcs::cli {
namespace {

constexpr size_t kAnswerMaxBytes = 256 << 10;
constexpr int64_t kIntervalDefaultS = 5, kIntervalMaxS = 60, kLifetimeMaxS = 3'600;
constexpr int64_t kSlowDownS = 5;  // RFC 8628 §3.5.
constexpr const char* kDeviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

std::string encoded(const FormPairs& form) {
  std::string text;
  for (const auto& [name, value] : form) {
    text += (text.empty() ? "" : "&") + percent_encode(name) + "=" + percent_encode(value);
  }
  return text;
}

// https, or http on this machine: whatever else a token went to could be read on the way.
bool is_private_way(std::string_view url) {
  return url.starts_with("https://") || is_loopback_url(url);
}

Result<std::string> read_endpoint(const Json& metadata, const char* name) {
  std::string url = text_member(metadata, name);
  if (url.empty() || is_private_way(url)) return url;
  return invalid(std::string(name) + ": '" + printable(url, kShownValue) +
                 "' is neither https nor on this machine.");
}

bool lists(const Json& metadata, const char* name, const char* wanted) {
  const auto list = metadata.find(name);
  if (list == metadata.end() || !list->is_array()) return false;
  return std::find(list->begin(), list->end(), wanted) != list->end();
}

std::string words_of(const OauthClient::Answer& answer) {
  std::string words = text_member(*answer.body, "error_description");
  if (words.empty()) words = text_member(*answer.body, "error");
  if (words.empty()) words = "it answered " + std::to_string(answer.status);
  return printable(words, kShownText);
}

Result<Tokens> read_tokens(const Json& body) {
  Tokens tokens;
  tokens.access_token = Secret(text_member(body, "access_token"));
  tokens.refresh_token = Secret(text_member(body, "refresh_token"));
  tokens.expires_in_s = std::max<int64_t>(integer_member(body, "expires_in"), 0);
  if (tokens.access_token.empty()) return upstream_failed("The answer has no access_token.");
  return tokens;
}

int64_t bounded(int64_t value, int64_t fallback, int64_t max) {
  return value <= 0 ? fallback : std::min(value, max);
}

}  // namespace

OauthClient::OauthClient(http::FetchPolicy policy)
    : clock_(make_system_clock()), fetcher_(std::move(policy)) {}

Result<OauthClient::Answer> OauthClient::ask(const std::string& url, const FormPairs* form) {
  http::FetchRequest request;
  request.url = url;
  request.headers.push_back({"accept", "application/json"});
  if (form != nullptr) {
    request.method = "POST";
    request.body = encoded(*form);
    request.headers.push_back({"content-type", "application/x-www-form-urlencoded"});
  }
  const http::FetchAnswer response = KVCS_TRY(fetcher_.ask(request, kAnswerMaxBytes));
  Result<Json> json = parse_json(response.body);
  Answer answer;
  answer.status = response.status;
  answer.body = std::make_unique<Json>(Json::object());
  if (json.ok() && json->is_object()) *answer.body = std::move(json).value();
  return answer;
}

Result<IssuerOffer> OauthClient::discover(const std::string& issuer) {
  if (!is_private_way(issuer)) {
    return invalid("The issuer '" + printable(issuer, kShownValue) +
                   "' is neither https nor on this machine.");
  }
  std::string base = issuer;
  while (base.ends_with('/')) base.pop_back();
  const Answer answer = KVCS_TRY(ask(base + "/.well-known/openid-configuration", nullptr));
  const Json& metadata = *answer.body;
  if (answer.status != 200 || text_member(metadata, "issuer") != issuer) {
    return upstream_failed(printable(issuer, kShownValue) +
                           " does not answer as an issuer of that name does.");
  }
  IssuerOffer offer;
  offer.token_url = KVCS_TRY(read_endpoint(metadata, "token_endpoint"));
  offer.revocation_url = KVCS_TRY(read_endpoint(metadata, "revocation_endpoint"));
  offer.device_url = KVCS_TRY(read_endpoint(metadata, "device_authorization_endpoint"));
  if (!lists(metadata, "grant_types_supported", kDeviceGrant)) offer.device_url.clear();
  offer.gives_offline_access = lists(metadata, "scopes_supported", "offline_access");
  return offer;
}

Result<Tokens> OauthClient::sign_in_by_device(
    const std::string& device_url, const std::string& token_url, const FormPairs& form,
    const std::function<void(const DevicePrompt&)>& show) {
  const Answer started = KVCS_TRY(ask(device_url, &form));
  const Json& body = *started.body;
  const std::string code = text_member(body, "device_code");
  const DevicePrompt prompt{text_member(body, "user_code"), text_member(body, "verification_uri"),
                            text_member(body, "verification_uri_complete")};
  if (started.status != 200 || code.empty() || prompt.user_code.empty()) {
    return upstream_failed("The sign-in cannot begin: " + words_of(started));
  }
  show(prompt);
  FormPairs poll = {{"grant_type", kDeviceGrant}, {"device_code", code}};
  for (const auto& [name, value] : form) {
    if (name == "client_id") poll.emplace_back(name, value);
  }
  return wait_for_tokens(
      token_url, poll, bounded(integer_member(body, "interval"), kIntervalDefaultS, kIntervalMaxS),
      bounded(integer_member(body, "expires_in"), kLifetimeMaxS, kLifetimeMaxS));
}

// A server that is not reached for a moment ends nothing: the code is good for minutes.
Result<Tokens> OauthClient::wait_for_tokens(const std::string& token_url, const FormPairs& form,
                                            int64_t interval_s, int64_t lifetime_s) {
  const int64_t end_us = clock_->mono_us() + lifetime_s * 1'000'000;
  while (clock_->mono_us() < end_us) {
    pause_ms(interval_s * 1'000);
    const Result<Answer> answer = ask(token_url, &form);
    if (!answer.ok()) continue;
    if (answer->status == 200) return read_tokens(*answer->body);
    const std::string error = text_member(*answer->body, "error");
    if (error == "authorization_pending" || answer->status == 429 || answer->status >= 500) {
      continue;
    }
    if (error == "slow_down") {
      interval_s += kSlowDownS;
    } else if (error == "access_denied") {
      return forbidden("The sign-in was refused: " + words_of(*answer));
    } else if (error == "expired_token") {
      break;
    } else {
      return upstream_failed("The sign-in failed: " + words_of(*answer));
    }
  }
  return Status(Code::kTimeout, "Nobody has confirmed the sign-in in time; begin again.");
}

Result<Tokens> OauthClient::renew(const std::string& token_url, const std::string& client_id,
                                  const Secret& refresh_token) {
  const FormPairs form = {{"grant_type", "refresh_token"},
                          {"client_id", client_id},
                          {"refresh_token", refresh_token.reveal()}};
  const Answer answer = KVCS_TRY(ask(token_url, &form));
  if (answer.status != 200) {
    const std::string words = "The sign-in cannot be renewed: " + words_of(answer);
    if (answer.status == 429 || answer.status >= 500) return unavailable(words);
    return unauthenticated(words);
  }
  Tokens tokens = KVCS_TRY(read_tokens(*answer.body));
  if (tokens.refresh_token.empty()) tokens.refresh_token = refresh_token;
  return tokens;
}

Status OauthClient::revoke(const std::string& revocation_url, const std::string& client_id,
                           const Secret& token) {
  const FormPairs form = {{"client_id", client_id}, {"token", token.reveal()}};
  const Answer answer = KVCS_TRY(ask(revocation_url, &form));
  if (answer.status / 100 == 2) return ok();
  return upstream_failed("The issuer does not end the sign-in: " + words_of(answer));
}

}  // namespace kvcs::cli
