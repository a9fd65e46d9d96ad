// /oidc/*: the development issuer over HTTP (OpenID Connect Core and Discovery 1.0, RFC 7636, RFC
// 8628), as far as a client needs it. The daemon listens on loopback when this is on
// (app/config.cc); here a request that came through a proxy, or for another host's name, is
// refused, so that neither the network nor a page of another site reaches it. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "oauth/oidc.h"
#include "portal/dev_issuer.h"

namespace kvcs::portal {

class DevIssuerApi final {
 public:
  // `verify`: whose an access token of this issuer is.
  using Verify = std::function<Result<oauth::Identity>(std::string_view token)>;
  DevIssuerApi(DevIssuer& issuer, Verify verify) : issuer_(issuer), verify_(std::move(verify)) {}

  void add_routes(std::vector<http::Row>& table);

  Result<http::Response> describe(http::Request& request);  // The metadata.
  Result<http::Response> list_keys(http::Request& request);
  Result<http::Response> authorize(http::Request& request);
  Result<http::Response> give_tokens(http::Request& request);
  Result<http::Response> start_device(http::Request& request);
  Result<http::Response> activate_device(http::Request& request);
  Result<http::Response> show_user(http::Request& request);

 private:
  Result<http::Response> redeem_device(const std::string& body, const std::string& client_id);

  DevIssuer& issuer_;
  const Verify verify_;
};

// Forbidden with reason forwarded when a proxy passed the request on, address_not_loopback when it
// is another machine's, or host_not_loopback.
Status check_local(const http::Request& request);

}  // namespace kvcs::portal
