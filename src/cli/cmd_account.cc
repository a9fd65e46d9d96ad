// `kvcs totp`, `password` and `session`: how whoever is signed in signs in, and where.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/clock.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/credentials.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

constexpr const char* kTotp = "/auth/totp";
constexpr const char* kSessions = "/api/v1/me/sessions";
constexpr const char* kCode = "123456";

// "ABCD EFGH …", as people type it into an app.
std::string in_fours(std::string_view secret) {
  std::string text;
  for (size_t i = 0; i < secret.size(); i++) {
    if (i > 0 && i % 4 == 0) text += ' ';
    text += secret[i];
  }
  return text;
}

int confirm_totp(Console& console, ApiClient& api, const std::string& code) {
  const Result<Json> done = api.call("POST", std::string(kTotp) + "/confirm", Json{{"code", code}});
  if (!done.ok() || console.mode().json) return show_object(console, done);
  console.note("The second factor is on. Each of these recovery codes is good once; keep them:");
  for (const Json& one : done->value("recovery_codes", Json::array())) {
    if (one.is_string()) console.print(printable(one.get<std::string>()));
  }
  return kExitOk;
}

// A login alone is not enough where the account has a password.
Result<Json> call_with_password(Console& console, ApiClient& api, const char* method, Json body) {
  Result<Json> answer = api.call(method, kTotp, body);
  if (answer.code() != Code::kInvalid) return answer;
  const auto password = ask_secret(console, "Password: ");
  if (!password || password->empty()) return answer;
  body["current_password"] = password->reveal();
  return api.call(method, kTotp, body);
}

int run_totp_on(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  if (const auto code = in.optional_text("code")) return confirm_totp(console, api, *code);
  const Result<Json> begun = call_with_password(console, api, "POST", Json::object());
  if (!begun.ok() || console.mode().json) return show_object(console, begun);
  console.print_fields({{"Secret", printable(in_fours(text_member(*begun, "secret")), kShownText)},
                        {"Address", printable(text_member(*begun, "otpauth_url"), kShownWhole)}});
  console.note("Add the secret, or the address, to an authenticator app.");
  const auto code = ask_line(console, "The app's code: ");
  if (code && !code->empty()) return confirm_totp(console, api, *code);
  console.note("The second factor is not on yet: run `kvcs totp on --code CODE` within an hour.");
  return kExitOk;
}

int run_totp_off(const Invocation& in, Console& console) {
  auto code = in.optional_text("code");
  if (!code) code = ask_line(console, "A code of the app, or a recovery code: ");
  if (!code || code->empty()) return console.fail(invalid("There was no code; give --code."));
  ApiClient api(find_api_settings(in));
  const Result<Json> done = call_with_password(console, api, "DELETE", Json{{"code", *code}});
  return show_done(console, done.status(), "The second factor is off.");
}

// The token of a new session, out of its cookie.
std::string token_of(std::string_view cookie) {
  const size_t at = cookie.find("=ks_");
  if (at == cookie.npos) return {};
  const std::string_view rest = cookie.substr(at + 1);
  return std::string(rest.substr(0, rest.find(';')));
}

// All sessions end with the old password, also the one that asks; the login here goes on by the new
// one. A login by an issuer is of no session, and stays as it is.
Status keep_session(const ApiSettings& settings, const std::string& cookie, const Json& session) {
  const std::vector<Login> logins = KVCS_TRY(read_logins());
  for (Login login : logins) {
    if (login.server != settings.url || !login.issuer.empty()) continue;
    login.access_token = Secret(token_of(cookie));
    if (login.access_token.empty()) return upstream_failed("The answer has no new session.");
    const auto end_ms = parse_iso8601_ms(text_member(session, "expires_at"));
    login.expires_at_s = end_ms.ok() ? *end_ms / 1000 : 0;
    return keep_login(login);
  }
  return ok();
}

Status change_password(const Secret& current, const Secret& wanted, ApiClient& api) {
  http::FetchRequest request;
  request.method = "POST";
  request.body =
      dump_json(Json{{"current_password", current.reveal()}, {"new_password", wanted.reveal()}});
  request.headers.push_back({"content-type", "application/json"});
  const auto answer = KVCS_TRY(api.exchange(std::move(request), "/auth/password"));
  if (!answer.ok()) return api.refusal(answer);
  if (api.settings().key_source != "login") return ok();
  return keep_session(api.settings(), std::string(answer.header("set-cookie").value_or("")),
                      parse_json(answer.body).value_or(Json::object()));
}

int run_password(const Invocation& in, Console& console) {
  const auto current = ask_secret(console, "Present password: ");
  const auto wanted = ask_secret(console, "New password: ");
  if (!current || !wanted || current->empty() || wanted->empty()) {
    return console.fail(invalid("stdin: the present password and the new one, one a line."));
  }
  if (can_ask() && ask_secret(console, "New password again: ") != wanted) {
    return console.fail(invalid("The new passwords differ; nothing was changed."));
  }
  ApiClient api(find_api_settings(in));
  const Status changed = change_password(*current, *wanted, api);
  const bool is_kept = api.settings().key_source == "login";
  return show_done(console, changed,
                   "The password is changed; all other sessions have ended." +
                       std::string(is_kept ? "" : " Sign in again with `kvcs login`."));
}

int run_session_list(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  return show_list(console, read_list(api, kSessions, "sessions"),
                   {{"SESSION ID", "session_id"},
                    kCurrentColumn,
                    {"DEVICE", "device"},
                    {"ADDRESS", "address"},
                    {"BY", "provider"},
                    {"LAST USED", "last_used_at"},
                    {"ENDS", "expires_at"}},
                   "No sessions: the bearer is an issuer's.");
}

int run_session_end(const Invocation& in, Console& console) {
  const auto id = in.optional_text("session_id");
  const bool all_others = in.flag("others");
  if (id.has_value() == all_others) {
    return console.fail(invalid("SESSION_ID, --others: give one of them."));
  }
  ApiClient api(find_api_settings(in));
  const std::string path = kSessions + (id ? "/" + percent_encode(*id) : std::string());
  return show_done(console, api.call("DELETE", path).status(),
                   id ? "Ended session " + printable(*id, kShownName) + "."
                      : "Ended all sessions but this one.");
}

std::vector<Command> totp_commands() {
  const Option code{.name = "--code", .help = "Six digits of the app.", .never_empty = true};
  Option any_code = code;
  any_code.help = "Of the app, or a recovery code; else it is asked for.";
  return {
      {.name = "totp on",
       .summary = "Add a second factor: sign-ins by password ask for a code of an app.",
       .options = {code},
       .examples = {{"kvcs totp on",
                     "Asks for the password, shows the secret, asks for the first code."},
                    {"kvcs totp on --code " + std::string(kCode), "Confirms what was begun."}},
       .run = run_totp_on,
       .details = "With --json the secret is printed and nothing is asked; --code confirms it "
                  "within an hour. The recovery codes are shown once."},
      {.name = "totp off",
       .summary = "Take the second factor off.",
       .options = {any_code},
       .examples = {{"kvcs totp off --code " + std::string(kCode), "Asks for the password."}},
       .run = run_totp_off},
  };
}

}  // namespace

std::vector<Command> account_commands() {
  std::vector<Command> all = totp_commands();
  const std::vector<Command> rest = {
      {.name = "password",
       .summary = "Change your password; all other sessions end.",
       .examples = {{"kvcs password < passwords.txt",
                     "The present one and the new one, one a line; a terminal is asked."}},
       .run = run_password},
      {.name = "session list",
       .summary = "List where you are signed in.",
       .examples = {{"kvcs session list", ""}},
       .run = run_session_list},
      {.name = "session end",
       .summary = "Sign out elsewhere.",
       .options = {{.name = "SESSION_ID", .help = "As `kvcs session list` shows it."},
                   {.name = "--others", .kind = ValueKind::kFlag, .help = "Everywhere but here."}},
       .examples = {{"kvcs session end 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f", ""},
                    {"kvcs session end --others", ""}},
       .run = run_session_end},
  };
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

}  // namespace kvcs::cli
