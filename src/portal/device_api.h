// /auth/device: how a command line on a machine without a browser signs in (RFC 8628), where no
// issuer is needed. The program gets a session of its person, as a bearer; its person sees which
// device asks, agrees or refuses on a page, and ends the session where all sessions are listed.
// Stateless but for the flows; thread-safe.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "portal/device_flow.h"
#include "portal/sign_in.h"

namespace kvcs::portal {

inline constexpr int64_t kDeviceLifetimeS = 600, kDeviceIntervalS = 5;
inline constexpr std::string_view kDeviceClient = "kvcs-cli";  // Unless the program says another.
inline constexpr size_t kDeviceNameMaxBytes = 100;

class DeviceApi final {
 public:
  struct Services {
    SignInService& sign_in;
    const PersonService& people;
    SessionService& sessions;
    const Clock& clock;
    Entropy& entropy;
    std::function<std::string()> public_url;
    // Takes one try of `whose`; the seconds until the next when there are none left.
    std::function<int64_t(std::string_view whose)> take_try;
  };
  explicit DeviceApi(Services services)
      : s_(std::move(services)),
        devices_(s_.clock, s_.entropy, kDeviceLifetimeS, kDeviceIntervalS) {}

  void add_routes(std::vector<http::Row>& table, const http::Access& person);
  static std::span<const http::ApiType> types();

  Result<http::Response> start(http::Request& request);       // POST /auth/device
  Result<http::Response> give_token(http::Request& request);  // POST /auth/device/token
  Result<http::Response> show(http::Request& request);        // GET /auth/device/{user_code}
  Result<http::Response> decide(http::Request& request);      // POST /auth/device/{user_code}

 private:
  Status take_try(const http::Request& request) const;
  Result<std::optional<Session>> find_session(std::string_view person_id,
                                              std::string_view session_id) const;

  const Services s_;
  DeviceFlow devices_;
};

}  // namespace kvcs::portal
