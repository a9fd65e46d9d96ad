// /auth/reset and the operators' links: handlers by which somebody who lost a password gets
// another. Thread-safe.
#pragma once
#include <span>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "identity/browser_session.h"
#include "portal/reset.h"

namespace kvcs::portal {

class ResetApi final {
 public:
  // `reset` outlives it.
  ResetApi(ResetService& reset, BrowserRules browser)
      : reset_(reset), browser_(std::move(browser)) {}

  void add_routes(std::vector<http::Row>& table);
  void add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> ask(http::Request& request);      // POST /auth/reset
  Result<http::Response> look_up(http::Request& request);  // POST /auth/reset/look-up
  Result<http::Response> confirm(http::Request& request);  // POST /auth/reset/confirm
  // POST /admin/people/{person_id}/reset-link
  Result<http::Response> make_link(http::Request& request);

 private:
  ResetService& reset_;
  const BrowserRules browser_;
};

}  // namespace kvcs::portal
