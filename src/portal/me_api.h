// /api/v1/me for people: who is calling, in which organization and project, with which rights; and
// the caller's sessions. Thread-safe.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "identity/browser_session.h"
#include "identity/directory.h"
#include "identity/identity.h"
#include "identity/members.h"
#include "identity/people.h"
#include "identity/sessions.h"
#include "portal/sign_in.h"

namespace kvcs {
class ProjectService;
}

namespace kvcs::portal {

class MeApi final {
 public:
  struct Services {
    const Authenticator& auth;
    const Directory& directory;
    PersonService& people;
    MemberService& members;
    SessionService& sessions;
    const ProjectService& projects;
    BrowserRules browser;
    std::function<Result<bool>(std::string_view person_id)> has_second_factor;
    // Whether the proof shows that the caller is the person (sign_in.h).
    std::function<Status(const http::Request& request, const Proof& proof)> confirm;
    // The name of the provider with this issuer, or "password"; "" when none is configured.
    std::function<std::string(std::string_view issuer)> provider_of;
    http::Handler describe_key;  // GET /api/v1/me with a key.
    // Suspends an organization and plans its deletion (app/planned_deletion.h).
    std::function<Result<Organization>(std::string_view id, const AuditContext& who)> give_up;
  };
  explicit MeApi(Services services) : s_(std::move(services)) {}

  // `anybody`: a session, or a key of the artifact doors.
  void add_routes(std::vector<http::Row>& table, const http::Access& anybody,
                  const http::Access& person);
  static std::span<const http::ApiType> types();

  Result<http::Response> show(http::Request& request);          // GET /api/v1/me
  Result<http::Response> show_session(http::Request& request);  // GET /auth/session
  Result<http::Response> change(http::Request& request);        // PATCH /api/v1/me
  Result<http::Response> remove(http::Request& request);        // DELETE /api/v1/me
  Result<http::Response> list_sessions(http::Request& request);
  Result<http::Response> end_session(http::Request& request);
  Result<http::Response> end_other_sessions(http::Request& request);
  Result<http::Response> list_sign_ins(http::Request& request);
  // Ends the sessions that began by it, too.
  Result<http::Response> remove_sign_in(http::Request& request);

 private:
  // Those of `places` that nobody else is in. Conflict with reason last_owner, and as
  // PersonService::check_removable().
  Result<std::vector<std::string>> check_end(const std::string& person_id,
                                             const std::vector<std::string>& places) const;
  Result<http::Response> end_account(http::Request& request);
  Result<http::Response> describe(const http::Request& request, const Principal& caller) const;
  Result<Json> person_json(const http::Request& request, const Principal& caller) const;
  Status set_active(const Principal& caller);
  Result<Json> places_of(std::string_view person_id) const;
  int64_t last_used_ms(const Session& stored) const;

  const Services s_;
};

}  // namespace kvcs::portal
