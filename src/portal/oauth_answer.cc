// Reads forms, and writes refusals as OAuth has them.
#include "portal/oauth_answer.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "http/form.h"
#include "http/json_api.h"

namespace kvcs::portal {

std::string body_member(std::string_view body, std::string_view name) {
  if (!trim(body).starts_with('{')) return http::form_value(body, name).value_or("");
  const Result<Json> json = parse_json(body);
  return json.ok() && json->is_object() ? text_member(*json, std::string(name)) : std::string();
}

http::Response oauth_refusal(int status, std::string_view error, std::string_view description) {
  return http::private_reply(status, Json{{"error", error}, {"error_description", description}});
}

Result<http::Response> oauth_refusal(const Status& status) {
  if (status.code() != Code::kInvalid || status.reason().empty()) return status;
  return oauth_refusal(400, status.reason(), status.message());
}

http::Response device_refusal(DeviceState state) {
  switch (state) {
    case DeviceState::kPending:
      return oauth_refusal(400, "authorization_pending", "The person has not decided yet.");
    case DeviceState::kSlowDown:
      return oauth_refusal(400, "slow_down", "Ask five seconds less often.");
    case DeviceState::kExpired:
      return oauth_refusal(400, "expired_token", "The code has ended; begin again.");
    case DeviceState::kDenied:
      return oauth_refusal(400, "access_denied", "The person has said no.");
    case DeviceState::kMissing:
      return oauth_refusal(400, "invalid_request", "device_code: required.");
    case DeviceState::kUnknown:
    case DeviceState::kApproved:
      break;
  }
  return oauth_refusal(400, "invalid_grant",
                       "device_code is unknown or used, or another client's.");
}

Json device_answer(const StartedDevice& started, const DeviceFlow& devices,
                   const std::string& page) {
  return Json{{"device_code", started.device_code.reveal()},
              {"user_code", started.user_code},
              {"verification_uri", page},
              {"verification_uri_complete", page + "?user_code=" + started.user_code},
              {"expires_in", devices.lifetime_s()},
              {"interval", devices.interval_s()}};
}

}  // namespace kvcs::portal
