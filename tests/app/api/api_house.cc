// Makes the things and the callers that the paths of the API lead to.
#include "app/api/api_house.h"

#include <nlohmann/json.hpp>

#include <fstream>

#include "base/bytes.h"
#include "identity/members.h"
#include "identity/people.h"
#include "identity/sessions.h"

namespace kvcs::test {

ApiHouse::ApiHouse()
    : AiHouse([this](Config& config) {
        config.admin.requests_per_minute = 1'000'000;
        config.auth.billing = stripe.config();
        config.auth.plans.file = config.data_dir + ".plans.yaml";
        std::ofstream(config.auth.plans.file)
            << "plans:\n  default: {}\n  pro: {stripe_prices: [price_pro]}\n";
        // The customer comes with the first checkout, and this is what it has paid for.
        stripe.subscribe("cus_2", "price_pro", "active");
      }),
      api_(new Json),
      api(*api_) {
  api = *parse_json(app.call("GET", "/openapi.json").body, 128);
  names = {{"org_id", org},
           {"user_id", user},
           {"project_id", app.credential("project_id")},
           {"name", "openai"},
           {"model", "gpt-4o-mini"},
           {"org", "acme"},
           {"project", "demo"},
           {"family", "config"},
           {"key", "org:" + org + ":config"},
           {"job", "ledger-prune"}};
  project_admin = json_text(
      admin("POST",
            "/admin/organizations/" + org + "/projects/" + names["project_id"] + "/api-keys",
            R"({"name":"k","scopes":["admin"]})")
          .body,
      "api_key");
  make_person();
  remake_key();
}

ApiHouse::~ApiHouse() = default;

void ApiHouse::make_person() {
  const AuditContext who{"test", "test", ""};
  const auto join = [&](const char* subject, AdminRole role) {
    Person wanted;
    wanted.name = subject;
    wanted.role = role;
    const Person person =
        app.parts().people->create(wanted, {"https://issuer", subject}, "hash", who).value();
    REQUIRE(app.parts().members->add(org, person.id, OrgRole::kOwner, who).ok());
    return person.id;
  };
  NewSession wanted;
  wanted.person_id = join("ada", AdminRole::kOwner);
  wanted.organization_id = org;
  wanted.project_id = names["project_id"];
  session = app.parts().sessions->start(wanted, who)->token.reveal();
  names["person_id"] = join("grace", AdminRole::kNone);
}

void ApiHouse::remake_key() {
  names["key_id"] = json_text(
      admin("POST", "/admin/users/" + user + "/api-keys", R"({"name":"k"})").body, "key_id");
}

std::string ApiHouse::path(std::string_view pattern) const {
  std::string out(pattern);
  for (const auto& [name, value] : names) {
    const std::string mark = "{" + name + "}";
    if (const size_t at = out.find(mark); at != out.npos) {
      out.replace(at, mark.size(), percent_encode(value));
    }
  }
  return out;
}

const Json& ApiHouse::operation(const http::Row& row) const {
  return api["paths"][row.pattern][lower_ascii(http::method_name(row.method))];
}

RawResponse ApiHouse::send(const http::Row& row, const std::string& body,
                           const std::string& query) const {
  const std::string who = operation(row).value("x-kvcs-who", "");
  const std::string bearer = who.starts_with("user key")      ? key
                             : who.starts_with("project key") ? project_admin
                             : who.starts_with("session")     ? session
                                                              : app.credential("admin_key");
  return app.as(bearer, std::string(http::method_name(row.method)),
                path(row.pattern) + (query.empty() ? "" : "?" + query), body);
}

Json ApiHouse::minimal(const Json& schema) const {
  Json body = Json::object();
  if (!schema.contains("properties")) return body;
  for (const auto& [name, member] : schema["properties"].items()) {
    if (!member.contains("examples")) continue;
    const Json& value = member["examples"][0];
    body[name] = value == "{org_id}" ? Json(org) : value;
  }
  return body;
}

std::vector<std::reference_wrapper<const http::Row>> ApiHouse::rows() {
  std::vector<std::reference_wrapper<const http::Row>> all;
  for (const http::Row& row : app.parts().route_table) {
    if (!row.summary.empty()) all.emplace_back(row);
  }
  return all;
}

}  // namespace kvcs::test
