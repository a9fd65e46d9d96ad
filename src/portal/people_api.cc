// Handlers by which operators see who may sign in, suspend them, and make others operators.
#include "portal/people_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "identity/maker.h"
#include "identity/records.h"
#include "portal/sign_in.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"Person", R"(
person_id!: id
name!: string
email!: string
status!: active|suspended
operator_role!: owner|admin|viewer|billing?
appointed_by!: string? # The provider of sign-ins whose admins (auth.providers) have the person.
created_at!: time
updated_at!: time)"},
    {"PersonPage", R"(
people!: [Person]
cursor!: string?)"},
    {"PersonChange", R"(
status: active|suspended # Suspended ends the person's sessions.
operator_role: owner|admin|viewer|billing? # Over the whole daemon; null for none.)"},
    {"SetupLink", R"(
setup_url!: string # Good once.
expires_at!: time)"},
};

Json person_json(const Person& person) {
  const AdminRole role = person.operator_role();
  return Json{
      {"person_id", person.id},
      {"name", person.name},
      {"email", person.email},
      {"status", person.active ? "active" : "suspended"},
      {"operator_role", role == AdminRole::kNone ? Json(nullptr) : Json(admin_role_name(role))},
      {"appointed_by", person.appointed ? Json(person.appointed->provider) : Json(nullptr)},
      {"created_at", time_json(person.created_ms)},
      {"updated_at", time_json(person.updated_ms)}};
}

}  // namespace

PeopleApi::PeopleApi(PersonService& people, SessionService& sessions, AuditedKv& audited,
                     const Clock& clock, Entropy& entropy, PublicUrl public_url)
    : people_(people),
      sessions_(sessions),
      audited_(audited),
      clock_(clock),
      entropy_(entropy),
      public_url_(std::move(public_url)) {}

std::span<const http::ApiType> PeopleApi::types() {
  return kTypes;
}

void PeopleApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  http::Rows rows(table, *this, "/admin");
  rows.add(kGet, "/people", access.viewer, http::kNoBody, &PeopleApi::list,
           "Who may sign in. ?q= looks at name, email and person_id.",
           {.id = "listPeople", .query = "q:inside limit cursor", .answer = "PersonPage"});
  rows.add(kPatch, "/people/{person_id}", access.owner, http::kib(1), &PeopleApi::change,
           "Suspend somebody, or make somebody an operator.",
           {.id = "updatePerson", .body = "PersonChange?", .answer = "Person", .also = "409"});
  rows.add(kPost, "/setup-link", access.owner, http::kib(1), &PeopleApi::make_setup_link,
           "A new link that makes an owner of the daemon, once; the one before works no longer.",
           {.id = "createSetupLink", .status = 201, .answer = "SetupLink"});
}

Result<http::Response> PeopleApi::list(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  const PersonPage page = KVCS_TRY(people_.list({ask.cursor, ask.limit, search}));
  Json people = Json::array();
  for (const Person& person : page.people) people.push_back(person_json(person));
  return http::reply(
      200, Json{{"people", std::move(people)}, {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> PeopleApi::change(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::optional<bool> active = admin_api::optional_status(reader);
  const auto word =
      reader.optional_one_of("operator_role", {"owner", "admin", "viewer", "billing"});
  KVCS_TRY(reader.finish());
  std::optional<AdminRole> role;
  if (word) role = KVCS_TRY(parse_admin_role(*word));
  if (admin_api::is_null(body, "operator_role")) role = AdminRole::kNone;
  const std::string_view id = request.param("person_id");
  if (request.principal.person_id == id && (role || active == false)) {
    return conflict("Operators do not take their own rights; let another owner do it.")
        .with_reason("own_rights");
  }
  const auto edit = [&](Person& person) -> Status {
    if (role && person.appointed) {
      return conflict("auth.providers." + person.appointed->provider + ".admins has '" +
                      printable(person.appointed->entry, kShownName) +
                      "', which gives the role back at each sign-in. Take the entry away and start "
                      "anew, or suspend the person.")
          .with_reason("role_configured");
    }
    if (active) person.active = *active;
    if (role) person.role = *role;
    return ok();
  };
  // An admin key is an owner of its own: who holds one may leave the daemon without people.
  const bool by_person = !request.principal.person_id.empty();
  const AuditContext who = admin_api::who(request);
  const Person changed =
      KVCS_TRY(by_person ? people_.update_operator(id, edit, who) : people_.update(id, edit, who));
  // Rights count from the next request on; whoever loses some signs in anew.
  if (active == false || role) {
    KVCS_TRY(sessions_.end_all(id, "", admin_api::who(request)));
  }
  return http::reply(200, person_json(changed));
}

Result<http::Response> PeopleApi::make_setup_link(http::Request& request) {
  const std::string token = oauth::make_one_time_secret(entropy_);
  const int64_t now_s = clock_.unix_ms() / 1000;
  KVCS_TRY(audited_.write(
      setup_token_record(token, now_s, maker_text(request.principal, AdminRole::kOwner)),
      admin_api::who(request)));
  http::Response response = http::reply(
      201, Json{{"setup_url", setup_url(public_url_(), token)},
                {"expires_at", format_iso8601_ms((now_s + kSetupLinkLifetimeS) * 1000)}});
  response.set("cache-control", "private, no-store");
  return response;
}

}  // namespace kvcs::portal
