// What an endpoint of OAuth reads and answers (RFC 6749 §5): forms, and refusals in its own words.
// Functions without state.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "http/http.h"
#include "portal/device_flow.h"

namespace kvcs::portal {

inline constexpr std::string_view kDeviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

// The text of a member of a body that is a form or a JSON object; "" when there is none.
std::string body_member(std::string_view body, std::string_view name);
// {"error", "error_description"}, which nothing between may keep.
http::Response oauth_refusal(int status, std::string_view error, std::string_view description);
// The same for a Status: its reason is the error. Failures that are ours stay failures.
Result<http::Response> oauth_refusal(const Status& status);
// What a program is told that asks for a device's token and does not get it (RFC 8628 §3.5).
http::Response device_refusal(DeviceState state);
// The members of the answer to a device (RFC 8628 §3.2); `page` is where its person goes.
Json device_answer(const StartedDevice& started, const DeviceFlow& devices,
                   const std::string& page);

}  // namespace kvcs::portal
