// The program's side of a device's sign-in speaks as OAuth does, the person's side as the portal.
#include "portal/device_api.h"

#include <nlohmann/json.hpp>

#include <optional>

#include "base/bytes.h"
#include "http/json_api.h"
#include "portal/oauth_answer.h"

namespace kvcs::portal {
namespace {

constexpr size_t kClientMaxBytes = 100;

constexpr http::ApiType kTypes[] = {
    {"DeviceStarted", R"(
device_code!: string # For the program alone.
user_code!: string # For its person.
verification_uri!: string
verification_uri_complete!: string
expires_in!: integer
interval!: integer # Seconds from one question to the next.)"},
    {"DeviceToken", R"(
access_token!: string # A session's, as a bearer.
token_type!: string
expires_in!: integer
session_id!: id)"},
    {"DeviceShown", R"(
user_code!: string
device_name!: string
client_id!: string
address!: string
user_agent!: string)"},
    {"DeviceDecision", R"(
allow!: boolean = true)"},
};

std::string client_of(std::string_view body) {
  const std::string client = body_member(body, "client_id").substr(0, kClientMaxBytes);
  return client.empty() ? std::string(kDeviceClient) : client;
}

}  // namespace

std::span<const http::ApiType> DeviceApi::types() {
  return kTypes;
}

void DeviceApi::add_routes(std::vector<http::Row>& table, const http::Access& person) {
  using enum http::Method;
  constexpr std::string_view kForm = "application/x-www-form-urlencoded";
  const http::Access of_code = with_owner(person, http::OwnerFrom::kObject);
  http::Rows rows(table, *this, "/auth/device");
  rows.add(kPost, "", http::everyone(), http::kib(4), &DeviceApi::start,
           "A program without a browser begins its sign-in (RFC 8628): client_id, device_name.",
           {.id = "startDevice",
            .body = "application/x-www-form-urlencoded?",
            .answer = "DeviceStarted",
            .also = "403"});
  rows.add(kPost, "/token", http::everyone(), http::kib(4), &DeviceApi::give_token,
           "The program asks whether its person has agreed: grant_type, device_code, client_id.",
           {.id = "getDeviceToken", .body = kForm, .answer = "DeviceToken"});
  rows.add(kGet, "/{user_code}", of_code, http::kNoBody, &DeviceApi::show,
           "Which device asks to be let in as the caller.",
           {.id = "getDevice", .answer = "DeviceShown"});
  rows.add(kPost, "/{user_code}", of_code, http::kib(1), &DeviceApi::decide,
           "Let the device in as the caller, or refuse it.",
           {.id = "decideDevice", .body = "DeviceDecision", .status = 204, .also = "409"});
}

Result<http::Response> DeviceApi::start(http::Request& request) {
  const std::string body = KVCS_TRY(request.body->read_all());
  const Caller caller = caller_of(request);
  DeviceAsk ask;
  ask.client_id = client_of(body);
  ask.name = printable(body_member(body, "device_name"), kDeviceNameMaxBytes);
  ask.address = caller.address;
  ask.user_agent = printable(caller.user_agent, kDeviceNameMaxBytes);
  if (ask.name.empty()) ask.name = ask.user_agent.empty() ? "unnamed" : ask.user_agent;
  const StartedDevice started = KVCS_TRY(devices_.start(std::move(ask)));
  return http::private_reply(200, device_answer(started, devices_, s_.public_url() + "/#/device"));
}

// The session in which a person has let the device in, while it goes on.
Result<std::optional<Session>> DeviceApi::find_session(std::string_view person_id,
                                                       std::string_view session_id) const {
  for (Session& session : KVCS_TRY(s_.sessions.list(person_id))) {
    if (session.id == session_id) return std::optional(std::move(session));
  }
  return std::optional<Session>();
}

// What the person has agreed to counts while the person may sign in, and while the session goes on
// in which it was: a new password and a sign-out everywhere end what a thief let in before. The
// device's session ends with what let its person in, such as a provider that is taken out of the
// configuration.
Result<http::Response> DeviceApi::give_token(http::Request& request) {
  const std::string body = KVCS_TRY(request.body->read_all());
  if (body_member(body, "grant_type") != kDeviceGrant) {
    return oauth_refusal(400, "unsupported_grant_type",
                         "grant_type must be " + std::string(kDeviceGrant) + ".");
  }
  const DeviceAnswer answer = devices_.poll(body_member(body, "device_code"), client_of(body));
  if (answer.state != DeviceState::kApproved) return device_refusal(answer.state);
  DeviceFlow::Redemption redemption(devices_, body_member(body, "device_code"));
  const Result<Person> person = s_.people.find(answer.subject);
  if (person.code() == Code::kNotFound || (person.ok() && !person->active)) {
    redemption.done();
    return device_refusal(DeviceState::kDenied);
  }
  KVCS_TRY(person.status());
  const std::optional<Session> by = KVCS_TRY(find_session(person->id, answer.session_id));
  if (!by) {
    redemption.done();
    return device_refusal(DeviceState::kDenied);
  }
  Caller caller = caller_of(request);
  caller.device = answer.ask.name;
  const StartedSession started = KVCS_TRY(s_.sign_in.start(*person, by->provider, caller));
  // All sessions may have been ended between the look and the start. Where that cannot be read the
  // program asks again, and nobody has the token of what was begun.
  const Result<std::optional<Session>> still = find_session(person->id, answer.session_id);
  if (!still.ok() || !*still) {
    const Status ended = s_.sessions.end(person->id, started.session.id,
                                         {person_actor(person->id), "sign-in", request.request_id});
    KVCS_TRY(still.status());
    if (ended.code() != Code::kNotFound) KVCS_TRY(Status(ended));
    redemption.done();
    return device_refusal(DeviceState::kDenied);
  }
  const int64_t left_ms = started.session.expires_ms - started.session.created_ms;
  redemption.done();
  return http::private_reply(200, Json{{"access_token", started.token.reveal()},
                                       {"token_type", "Bearer"},
                                       {"expires_in", left_ms / 1000},
                                       {"session_id", started.session.id}});
}

// Codes are short, so that nobody may try many.
Status DeviceApi::take_try(const http::Request& request) const {
  const int64_t wait_s = s_.take_try("device:" + request.principal.person_id);
  return too_many_tries(wait_s, "Too many tries of device codes; wait a while.");
}

Result<http::Response> DeviceApi::show(http::Request& request) {
  KVCS_TRY(take_try(request));
  const DeviceAsk ask = KVCS_TRY(devices_.find(request.param("user_code")));
  return http::private_reply(200, Json{{"user_code", shown_user_code(request.param("user_code"))},
                                       {"device_name", ask.name},
                                       {"client_id", printable(ask.client_id, kClientMaxBytes)},
                                       {"address", ask.address},
                                       {"user_agent", ask.user_agent}});
}

Result<http::Response> DeviceApi::decide(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::optional<bool> allow = reader.optional_boolean("allow");
  if (!allow && !reader.has("allow")) reader.fail("allow", "required.");
  KVCS_TRY(reader.finish());
  KVCS_TRY(take_try(request));
  const Principal& caller = request.principal;
  if (caller.session_id.empty()) {
    return conflict("A device is let in from a session, and the bearer is of an issuer; sign in.")
        .with_reason("no_session");
  }
  KVCS_TRY(devices_.decide(request.param("user_code"), *allow ? caller.person_id : std::string(),
                           caller.session_id));
  return http::empty_response(204);
}

}  // namespace kvcs::portal
