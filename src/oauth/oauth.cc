// Builds the requests to token endpoints, reads their answers of many shapes, and sorts failures by
// whether a repeat can help.
#include "oauth/oauth.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/bytes.h"
#include "base/http_date.h"
#include "base/json.h"
#include "base/wait.h"
#include "http/client/content_decoder.h"
#include "oauth/jwt.h"

namespace kvcs::oauth {
namespace {

constexpr size_t kErrorCodeMaxBytes = 64;
constexpr size_t kDescriptionMaxBytes = 200;
constexpr int64_t kClockSkewS = 60;

// RFC 6749 §5.2, then the words that well-known providers use for the same.
constexpr std::array<std::string_view, 11> kTerminalErrors = {
    "invalid_grant",         "invalid_client",         "unauthorized_client",
    "invalid_scope",         "unsupported_grant_type", "bad_refresh_token",
    "invalid_refresh_token", "token_revoked",          "incorrect_client_credentials",
    "account_inactive",      "interaction_required"};
constexpr std::array<std::string_view, 4> kTransientErrors = {
    "temporarily_unavailable", "server_error", "slow_down", "ratelimited"};

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Members of an answer, JSON or form alike, as text. Nothing when it is neither.
using Members = std::map<std::string, std::string>;
std::optional<Members> members_of_json(std::string_view body) {
  const Result<Json> parsed = parse_json(body);
  if (!parsed.ok() || !parsed.value().is_object()) return {};
  Members members;
  for (const auto& [name, value] : parsed.value().items()) {
    if (value.is_string()) members[name] = value.get<std::string>();
    if (value.is_number()) members[name] = dump_json(value);
  }
  return members;
}

std::optional<Members> members_of_form(std::string_view content_type, std::string_view body) {
  const bool says_form = lower_ascii(content_type).starts_with("application/x-www-form-urlencoded");
  const bool looks_form = body.starts_with("access_token=") || body.starts_with("error=");
  if (!says_form && !looks_form) return {};
  Members members;
  for (const std::string_view pair : split(trim(body), '&')) {
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    Result<std::string> name = percent_decode(pair.substr(0, equals), true);
    Result<std::string> value = percent_decode(pair.substr(equals + 1), true);
    if (name.ok() && value.ok()) members[*name] = *value;
  }
  return members;
}

std::string text_of(const Members& members, const char* name) {
  const auto it = members.find(name);
  return it == members.end() ? std::string() : it->second;
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

int64_t lifetime_of(std::string text) {
  text.resize(std::min(text.find('.'), text.size()));
  const Result<uint64_t> seconds = parse_u64(text, "expires_in");
  if (!seconds.ok()) return 0;
  return static_cast<int64_t>(std::min(seconds.value(), static_cast<uint64_t>(kTokenLifetimeMaxS)));
}

// An error code is a short word; anything else is not repeated.
std::string error_code_of(const Members& members) {
  std::string code = text_of(members, "error");
  const bool is_word =
      code.size() <= kErrorCodeMaxBytes && std::all_of(code.begin(), code.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
      });
  return code.empty() || is_word ? code : "unknown_error";
}

FailureClass classify(int status, std::string_view error) {
  if (status == 429 || status >= 500) return FailureClass::kTransient;
  if (is_one_of(kTerminalErrors, error)) return FailureClass::kTerminal;
  if (is_one_of(kTransientErrors, error)) return FailureClass::kTransient;
  return FailureClass::kRecoverable;
}

// Seconds or an HTTP date (RFC 9110 §10.2.3).
int64_t retry_after_of(const http::UpstreamResponse& response, int64_t now_s) {
  const auto value = response.header("retry-after");
  if (!value) return 0;
  const Result<uint64_t> seconds = parse_u64(trim(*value), "retry-after");
  const int64_t wait = seconds.ok() ? static_cast<int64_t>(std::min<uint64_t>(*seconds, 1u << 30))
                                    : read_http_date(*value).value_or(0) - now_s;
  return std::clamp<int64_t>(wait, 0, kRetryAfterMaxS);
}

// Some servers repeat in their description what they were sent.
void redact(std::string& text, const FormPairs& sent, const Client& client) {
  const auto hide = [&](const std::string& secret) {
    if (secret.size() < 4) return;
    for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
      text.replace(at, secret.size(), "***");
    }
  };
  hide(client.client_secret.reveal());
  for (const auto& [name, value] : sent) {
    if (name != "grant_type" && name != "scope" && name != "redirect_uri") hide(value);
  }
}

TokenOutcome failed(FailureClass failure_class, std::string message) {
  TokenOutcome outcome;
  outcome.failure.failure_class = failure_class;
  outcome.failure.message = std::move(message);
  return outcome;
}

http::UpstreamRequest form_request(const Client& client, const std::string& url,
                                   const FormPairs& form, ClientAuth how) {
  http::UpstreamRequest request;
  request.method = "POST";
  request.url = url;
  request.deadline_ms = kTokenDeadlineMs;
  request.allow_private_addresses = client.allow_private_addresses;
  request.headers = {{"Accept", "application/json"},
                     {"Content-Type", "application/x-www-form-urlencoded"}};
  FormPairs pairs = form;
  if (how == ClientAuth::kAuto) {
    how = client.client_secret.empty() ? ClientAuth::kNone : ClientAuth::kBasic;
  }
  if (how == ClientAuth::kBasic) {
    // RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
    const std::string both =
        percent_encode(client.client_id) + ":" + percent_encode(client.client_secret.reveal());
    request.headers.emplace_back("Authorization", "Basic " + to_base64(both));
  } else {
    if (!client.client_id.empty()) pairs.emplace_back("client_id", client.client_id);
    if (how == ClientAuth::kPost) {
      pairs.emplace_back("client_secret", client.client_secret.reveal());
    }
  }
  request.body = form_encode(pairs);
  return request;
}

// Blocks its thread, also inside of a request, unless the exchange may be cut off. A parked request
// is, when the server stops, and with the answer the token would be lost to which the provider has
// just changed. The scope may stand over these waits, since its waiter suspends nothing.
TokenOutcome exchange(http::HttpUpstream& upstream, const Client& client, const FormPairs& form,
                      ClientAuth how, const Clock& clock) {
  ThreadWaiter this_thread;
  std::optional<WaiterScope> scope;
  if (!client.may_be_cut_off) scope.emplace(this_thread);
  const std::string host =
      printable(client.token_url.substr(0, client.token_url.find('?')), kShownValue);
  const auto unreachable = [&host](const Status& status) {
    // A wrong URL or a refused address stays wrong, but its record may be mended any time.
    const bool ours = status.code() == Code::kInvalid || status.code() == Code::kForbidden;
    return failed(ours ? FailureClass::kRecoverable : FailureClass::kTransient,
                  "The token endpoint " + host + " cannot be reached: " + status.message());
  };
  auto opened = upstream.open(form_request(client, client.token_url, form, how));
  if (opened.ok()) opened = http::decode_content(std::move(opened).value());
  if (!opened.ok()) return unreachable(opened.status());
  http::UpstreamResponse& response = *opened.value();
  const Result<std::string> body = response.read_all(kTokenAnswerMaxBytes);
  if (!body.ok()) return unreachable(body.status());
  const auto hide = [&](std::string& text) { redact(text, form, client); };
  TokenOutcome outcome = read_token_answer(
      response.status(), response.header("content-type").value_or(""), body.value(), hide);
  if (!outcome.answer) {
    outcome.failure.message = "The token endpoint " + host + " " + outcome.failure.message;
    hide(outcome.failure.message);
    outcome.failure.retry_after_s = retry_after_of(response, clock.unix_s());
    outcome.failure.server_clock_s =
        read_http_date(response.header("date").value_or("")).value_or(0);
  }
  return outcome;
}

void apply_overrides(Client& client, const Grant& grant) {
  if (!grant.client_id_override.empty()) client.client_id = grant.client_id_override;
  if (!grant.client_secret_override.empty()) {
    client.client_secret = grant.client_secret_override;
  }
}

TokenOutcome assertion_grant(http::HttpUpstream& upstream, Client client, const Grant& grant,
                             const std::string& scope, const Clock& clock) {
  const Result<ServiceAccount> account = parse_service_account(grant.service_account_json);
  if (!account.ok()) return failed(FailureClass::kTerminal, account.status().message());
  if (client.token_url.empty()) client.token_url = account.value().token_url;
  client.client_auth = ClientAuth::kNone;  // The assertion is the authentication.
  client.client_id.clear();
  int64_t now_s = clock.unix_s();
  for (bool corrected = false;; corrected = true) {
    const Result<Secret> assertion =
        make_assertion(account.value(), client.token_url, scope, now_s);
    if (!assertion.ok()) return failed(FailureClass::kTerminal, assertion.status().message());
    const FormPairs form = {{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
                            {"assertion", assertion.value().reveal()}};
    TokenOutcome outcome = exchange(upstream, client, form, ClientAuth::kNone, clock);
    const TokenFailure& failure = outcome.failure;
    const bool refused = !outcome.answer && failure.failure_class != FailureClass::kTransient;
    const bool skewed =
        failure.server_clock_s != 0 && std::abs(failure.server_clock_s - now_s) > kClockSkewS;
    if (!refused || !skewed || corrected) return outcome;
    now_s = failure.server_clock_s;
  }
}

}  // namespace

Result<ClientAuth> parse_client_auth(std::string_view name) {
  if (name.empty()) return ClientAuth::kAuto;
  if (name == "client_secret_basic") return ClientAuth::kBasic;
  if (name == "client_secret_post") return ClientAuth::kPost;
  if (name == "none") return ClientAuth::kNone;
  return invalid("'" + printable(name, kShownName) +
                 "' is no client authentication; there are client_secret_basic, "
                 "client_secret_post and none.");
}

std::string Client::scope_text() const {
  std::string text;
  for (const std::string& scope : scopes) (text += text.empty() ? "" : scope_separator) += scope;
  return text;
}

std::string form_encode(const FormPairs& pairs) {
  std::string text;
  for (const auto& [name, value] : pairs) {
    if (!text.empty()) text += '&';
    text += percent_encode(name) + "=" + percent_encode(value);
  }
  return text;
}

TokenOutcome read_token_answer(int status, std::string_view content_type, std::string_view body,
                               const Hide& hide) {
  const std::string answered = "answered " + std::to_string(status);
  std::optional<Members> members = members_of_json(body);
  if (!members) members = members_of_form(content_type, body);
  if (!members) {
    return failed(classify(status == 200 ? 503 : status, ""),
                  answered + " with something that is neither JSON nor a form.");
  }
  const std::string error = error_code_of(*members);
  const std::string token = text_of(*members, "access_token");
  if (!error.empty() || status < 200 || status > 299) {
    TokenOutcome outcome = failed(classify(status, error), answered);
    outcome.failure.oauth_error = error;
    if (!error.empty()) outcome.failure.message += " " + error;
    std::string description = text_of(*members, "error_description");
    // Whole, as a secret that is cut or escaped is not found.
    if (hide) hide(description);
    if (!description.empty()) {
      outcome.failure.message += ": " + printable(description, kDescriptionMaxBytes);
    }
    return outcome;
  }
  if (token.empty()) return failed(FailureClass::kRecoverable, answered + " without a token.");
  if (!is_visible(token) || token.size() > kTokenMaxBytes) {
    return failed(FailureClass::kRecoverable, answered + " with a token that cannot be sent.");
  }
  TokenOutcome outcome;
  TokenAnswer& answer = outcome.answer.emplace();
  answer.access_token = Secret(token);
  if (std::string refresh = text_of(*members, "refresh_token"); refresh.size() <= kTokenMaxBytes) {
    answer.refresh_token = Secret(std::move(refresh));
  }
  if (std::string id = text_of(*members, "id_token"); id.size() <= kTokenMaxBytes) {
    answer.id_token = Secret(std::move(id));
  }
  answer.expires_in_s = lifetime_of(text_of(*members, "expires_in"));
  answer.scope = text_of(*members, "scope");
  if (const std::string url = text_of(*members, "instance_url");
      !url.empty() && url.size() <= kAnswerMetaMaxBytes && is_visible(url)) {
    answer.meta["instance_url"] = url;
  }
  return outcome;
}

TokenOutcome request_token(http::HttpUpstream& upstream, const Client& client,
                           const FormPairs& form, const Clock& clock) {
  if (client.token_url.empty()) {
    return failed(FailureClass::kRecoverable, "The provider's record has no auth.token_url.");
  }
  TokenOutcome outcome = exchange(upstream, client, form, client.client_auth, clock);
  const bool may_prefer_post = client.client_auth == ClientAuth::kAuto && !outcome.answer &&
                               !client.client_secret.empty() &&
                               outcome.failure.oauth_error == "invalid_client";
  return may_prefer_post ? exchange(upstream, client, form, ClientAuth::kPost, clock) : outcome;
}

TokenOutcome refresh_token_grant(http::HttpUpstream& upstream, Client client, const Grant& grant,
                                 const Clock& clock) {
  apply_overrides(client, grant);
  const std::string scope = grant.scope.empty() ? client.scope_text() : grant.scope;
  if (!grant.service_account_json.empty()) {
    return assertion_grant(upstream, std::move(client), grant, scope, clock);
  }
  FormPairs form;
  if (!grant.refresh_token.empty()) {
    // RFC 6749 §6: without a scope the new token has that of the old.
    form = {{"grant_type", "refresh_token"}, {"refresh_token", grant.refresh_token.reveal()}};
  } else if (client.grant_type == GrantType::kClientCredentials) {
    form = {{"grant_type", "client_credentials"}};
    if (!scope.empty()) form.emplace_back("scope", scope);
  } else {
    return failed(FailureClass::kTerminal, "There is no refresh token; connect the account again.");
  }
  return request_token(upstream, client, form, clock);
}

Status revoke_token(http::HttpUpstream& upstream, Client client, const Grant& grant,
                    const Secret& access_token) {
  if (client.revoke_url.empty()) return invalid("The provider's record has no auth.revoke_url.");
  apply_overrides(client, grant);
  const bool has_refresh = !grant.refresh_token.empty();
  const FormPairs form = {
      {"token", has_refresh ? grant.refresh_token.reveal() : access_token.reveal()},
      {"token_type_hint", has_refresh ? "refresh_token" : "access_token"}};
  auto opened =
      KVCS_TRY(upstream.open(form_request(client, client.revoke_url, form, client.client_auth)));
  if (opened->status() >= 200 && opened->status() <= 299) return ok();
  return upstream_failed("The provider answered " + std::to_string(opened->status()) +
                         " to the revocation.");
}

}  // namespace kvcs::oauth
