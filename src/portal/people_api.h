// What operators do with the people of the daemon: /admin/people, and a new setup link.
// Thread-safe.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "http/http.h"
#include "http/route_rows.h"
#include "identity/people.h"
#include "identity/sessions.h"
#include "kv/audited_kv.h"

namespace kvcs::portal {

class PeopleApi final {
 public:
  // What links for somebody else begin with.
  using PublicUrl = std::function<std::string()>;
  // All outlive it.
  PeopleApi(PersonService& people, SessionService& sessions, AuditedKv& audited, const Clock& clock,
            Entropy& entropy, PublicUrl public_url);

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> list(http::Request& request);    // GET /admin/people
  Result<http::Response> change(http::Request& request);  // PATCH /admin/people/{person_id}
  Result<http::Response> make_setup_link(http::Request& request);  // POST /admin/setup-link

 private:
  PersonService& people_;
  SessionService& sessions_;
  AuditedKv& audited_;
  const Clock& clock_;
  Entropy& entropy_;
  const PublicUrl public_url_;
};

}  // namespace kvcs::portal
