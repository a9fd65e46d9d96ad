// /auth/*: handlers by which a browser or a program begins and ends a session. Every answer is
// private. What begins a session is refused when another site's page asks (RFC 6749 §10.12 calls
// it login CSRF). Thread-safe.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/http.h"
#include "http/route_rows.h"
#include "identity/browser_session.h"
#include "portal/sign_in.h"

namespace kvcs::portal {

class SignInApi final {
 public:
  // Where a browser goes to end its session at the provider of this name, too; "" when that offers
  // nothing or is away.
  using EndElsewhere = std::function<std::string(std::string_view provider)>;
  // All outlive it.
  SignInApi(SignInService& sign_in, SessionService& sessions, const PersonService& people,
            BrowserRules browser, EndElsewhere end_elsewhere);

  void add_routes(std::vector<http::Row>& table, const http::Access& person);
  static std::span<const http::ApiType> types();
  const BrowserRules& browser() const { return browser_; }

  Result<http::Response> look_up_setup(http::Request& request);      // POST /auth/setup/look-up
  Result<http::Response> set_up(http::Request& request);             // POST /auth/setup
  Result<http::Response> sign_in(http::Request& request);            // POST /auth/login
  Result<http::Response> sign_in_with_code(http::Request& request);  // POST /auth/login/totp
  // Makes a local account for whoever was invited, and begins its session.
  Result<http::Response> register_account(const http::Request& request, const NewAccount& account,
                                          std::string_view invited,
                                          const SignInService::Join& join);
  Result<http::Response> sign_out(http::Request& request);         // POST /auth/logout
  Result<http::Response> change_password(http::Request& request);  // POST /auth/password

 private:
  Result<http::Response> begun(int status, const StartedSession& started) const;
  Result<Json> describe(const StartedSession& started) const;
  http::Response reply_with(int status, const Json& body, const StartedSession& started) const;

  SignInService& sign_in_;
  SessionService& sessions_;
  const PersonService& people_;
  const BrowserRules browser_;
  const EndElsewhere end_elsewhere_;
};

}  // namespace kvcs::portal
