// /auth/totp: handlers by which a person sets a second factor up and takes it off, and by which an
// operator takes it off for somebody who lost it. Thread-safe.
#pragma once
#include <span>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "identity/identity.h"
#include "identity/people.h"
#include "portal/sign_in.h"
#include "portal/totp.h"

namespace kvcs::portal {

class TotpApi final {
 public:
  // All outlive it.
  TotpApi(TotpService& totp, const PersonService& people, const SignInService& sign_in,
          const Authenticator& auth)
      : totp_(totp), people_(people), sign_in_(sign_in), auth_(auth) {}

  void add_routes(std::vector<http::Row>& table, const http::Access& person);
  void add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> start(http::Request& request);     // POST /auth/totp
  Result<http::Response> confirm(http::Request& request);   // POST /auth/totp/confirm
  Result<http::Response> remove(http::Request& request);    // DELETE /auth/totp
  Result<http::Response> take_off(http::Request& request);  // DELETE /admin/people/{id}/totp

 private:
  TotpService& totp_;
  const PersonService& people_;
  const SignInService& sign_in_;
  const Authenticator& auth_;
};

}  // namespace kvcs::portal
