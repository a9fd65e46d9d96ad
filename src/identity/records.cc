// Identity's records as JSON and back: the one place that knows the names of their members. What is
// written here must be readable by the daemon before and the daemon after (rolling back an
// upgrade).
#include "identity/records.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/money.h"
#include "identity/sessions.h"

namespace kvcs {
namespace {

// Reads one record; the first member that does not fit is remembered. Absent members keep their
// defaults, since records of other systems lack some. It stands beside JsonReader because a stored
// record is read leniently: members that are not known, and texts of another type, are passed over.
class RecordReader final {
 public:
  RecordReader(std::string_view what, std::string_view text) : what_(what) {
    Result<Json> parsed = parse_json_exact(text);
    if (parsed.ok()) {
      json_ = std::move(parsed).value();
    } else {
      fault_ = parsed.status().message();
    }
    if (fault_.empty() && !json_.is_object()) fault_ = "not an object";
    if (!fault_.empty()) json_ = Json::object();
  }

  std::string text(const char* name) const {
    const auto it = json_.find(name);
    return it != json_.end() && it->is_string() ? it->get<std::string>() : "";
  }
  void nano_usd(const char* name, int64_t& out) {
    JsonReader reader(json_);
    if (const auto decimal = reader.optional_decimal(name)) {
      take(parse_nano_usd(*decimal, name), out);
    }
  }
  void pico_usd(const char* name, std::optional<int64_t>& out) {
    JsonReader reader(json_);
    if (const auto decimal = reader.optional_decimal(name)) {
      int64_t value = 0;
      take(parse_pico_usd(*decimal, name), value);
      out = value;
    }
  }
  // ISO text, or milliseconds as a number.
  void time(const char* name, int64_t& out) {
    const auto it = json_.find(name);
    if (it == json_.end() || it->is_null()) return;
    if (it->is_number_integer()) {
      out = it->get<int64_t>();
    } else if (it->is_string()) {
      take(parse_iso8601_ms(it->get_ref<const std::string&>()), out);
    } else {
      fault(name);
    }
  }
  void integer(const char* name, int64_t& out) {
    const auto it = json_.find(name);
    if (it == json_.end() || it->is_null()) return;
    if (!it->is_number_integer()) return fault(name);
    out = it->get<int64_t>();
  }
  void boolean(const char* name, bool& out) {
    const auto it = json_.find(name);
    if (it == json_.end() || it->is_null()) return;
    if (!it->is_boolean()) return fault(name);
    out = it->get<bool>();
  }
  void list(const char* name, std::vector<std::string>& out) {
    const auto it = json_.find(name);
    if (it == json_.end() || it->is_null()) return;
    if (!it->is_array()) return fault(name);
    for (const Json& item : *it) {
      if (!item.is_string()) return fault(name);
      out.push_back(item.get<std::string>());
    }
  }
  void required(const char* name, const std::string& value) {
    if (value.empty()) fault(name);
  }
  void fault(const char* name) {
    if (fault_.empty()) fault_ = std::string("member '") + name + "' is missing or damaged";
  }
  Status finish() const {
    if (fault_.empty()) return ok();
    return internal("damaged " + std::string(what_) + " record: " + fault_);
  }

 private:
  void take(const Result<int64_t>& value, int64_t& out) {
    if (value.ok()) {
      out = value.value();
    } else if (fault_.empty()) {
      fault_ = value.status().message();
    }
  }
  std::string_view what_;
  Json json_;
  std::string fault_;
};

// Both spellings are stored: ours with the underscore, and that of records which were imported.
bool is_fail_open(std::string_view mode) {
  return mode == "fail_open" || mode == "fail-open";
}

constexpr std::string_view kOrganizationKind = "organization";
constexpr std::string_view kSlugAlias = "alias:";

// For people who read the store; parse_key() takes the kind from the table that holds the record,
// and looks here only for what the table's other families do not have.
std::string_view kind_name(PrincipalKind kind) {
  switch (kind) {
    case PrincipalKind::kProjectKey:
      return "project";
    case PrincipalKind::kUserKey:
      return "user";
    case PrincipalKind::kTenantToken:
      return "tenant";
    case PrincipalKind::kAdminKey:
      return "admin";
    case PrincipalKind::kOrganizationKey:
      return kOrganizationKind;
    case PrincipalKind::kPerson:
    case PrincipalKind::kAnonymous:
      break;
  }
  return "anonymous";
}

bool shares_table(PrincipalKind family) {
  return family == PrincipalKind::kUserKey || family == PrincipalKind::kProjectKey ||
         family == PrincipalKind::kOrganizationKey;
}

}  // namespace

const std::string& shown_slug(const Organization& organization) {
  return organization.shown_slug.empty() ? organization.slug : organization.shown_slug;
}

bool has_slug(const Organization& organization, std::string_view slug) {
  const auto& more = organization.more_slugs;
  return organization.slug == slug || std::find(more.begin(), more.end(), slug) != more.end();
}

std::string slug_alias(std::string_view organization_id) {
  return std::string(kSlugAlias) + std::string(organization_id);
}

std::string_view parse_slug_alias(std::string_view value) {
  return value.starts_with(kSlugAlias) ? value.substr(kSlugAlias.size()) : std::string_view();
}

std::string_view key_status_name(KeyStatus status) {
  switch (status) {
    case KeyStatus::kActive:
      return "active";
    case KeyStatus::kSuspended:
      return "suspended";
    case KeyStatus::kRevoked:
      break;
  }
  return "revoked";
}

std::string_view admin_role_name(AdminRole role) {
  switch (role) {
    case AdminRole::kBilling:
      return "billing";
    case AdminRole::kViewer:
      return "viewer";
    case AdminRole::kAdmin:
      return "admin";
    case AdminRole::kOwner:
      return "owner";
    case AdminRole::kNone:
      break;
  }
  return "none";
}
// "none" is no role that a key may have.
Result<AdminRole> parse_admin_role(std::string_view name) {
  for (const AdminRole role :
       {AdminRole::kBilling, AdminRole::kViewer, AdminRole::kAdmin, AdminRole::kOwner}) {
    if (admin_role_name(role) == name) return role;
  }
  return invalid("'" + printable(name, kShownWord) +
                 "' is not one of: owner, admin, viewer, billing.");
}

PrincipalKind family_of_bearer(std::string_view bearer) {
  if (bearer.starts_with("ka_")) return PrincipalKind::kAdminKey;
  if (bearer.starts_with("kv_")) return PrincipalKind::kProjectKey;
  if (bearer.starts_with("gw_live_")) return PrincipalKind::kUserKey;
  if (bearer.starts_with(kSessionTokenPrefix)) return PrincipalKind::kPerson;
  return PrincipalKind::kTenantToken;
}

// A pattern is a name, or a beginning followed by one '*'.
bool model_allowed(const std::vector<std::string>& allowed, std::string_view model) {
  if (allowed.empty()) return true;
  for (const std::string_view pattern : allowed) {
    if (pattern == model) return true;
    if (pattern.ends_with('*') && model.starts_with(pattern.substr(0, pattern.size() - 1))) {
      return true;
    }
  }
  return false;
}

Json usd_json(int64_t nano_usd) {
  return json_decimal(format_usd(nano_usd));
}
Json time_json(int64_t unix_ms) {
  return unix_ms == 0 ? Json(nullptr) : Json(format_iso8601_ms(unix_ms));
}
Json limit_json(int64_t limit) {
  return limit < 0 ? Json(nullptr) : Json(limit);
}

std::string organization_to_json(const Organization& o) {
  Json json{{"org_id", o.id},
            {"slug", o.slug},
            {"name", o.name},
            {"status", o.active ? "active" : "suspended"},
            {"monthly_budget_usd", usd_json(o.monthly_budget_nano_usd)},
            {"failure_mode", o.fail_open ? "fail_open" : "fail_closed"},
            {"fallback_daily_limit", usd_json(o.fallback_daily_nano_usd)},
            {"requests_per_minute", limit_json(o.requests_per_minute)},
            {"tokens_per_minute", limit_json(o.tokens_per_minute)},
            {"allowed_models", o.allowed_models},
            {"max_output_tokens", limit_json(o.max_output_tokens)},
            {"log_bodies", o.log_bodies},
            {"output_fit", o.output_fit},
            {"version", o.version},
            {"created_at", time_json(o.created_ms)},
            {"updated_at", time_json(o.updated_ms)}};
  if (!o.plan.empty()) json["plan"] = o.plan;
  if (!o.paid_plan.empty()) json["paid_plan"] = o.paid_plan;
  if (o.deletion_ms != 0) {
    json["deletion_at"] = time_json(o.deletion_ms);
    json["status_before"] = o.active_before ? "active" : "suspended";
  }
  if (!o.shown_slug.empty()) json["shown_slug"] = o.shown_slug;
  if (!o.more_slugs.empty()) json["more_slugs"] = o.more_slugs;
  // One of the two would price half of a request.
  if (o.unknown_input_pico_usd && o.unknown_output_pico_usd) {
    json["unknown_input_cost_per_token"] = json_decimal(format_pico_usd(*o.unknown_input_pico_usd));
    json["unknown_output_cost_per_token"] =
        json_decimal(format_pico_usd(*o.unknown_output_pico_usd));
  }
  return dump_json(json);
}

Result<Organization> parse_organization(std::string_view json) {
  RecordReader reader("organization", json);
  Organization o;
  o.id = reader.text("org_id");
  reader.required("org_id", o.id);
  o.slug = reader.text("slug");
  o.shown_slug = reader.text("shown_slug");
  reader.list("more_slugs", o.more_slugs);
  o.name = reader.text("name");
  const std::string status = reader.text("status");
  o.active = status.empty() || status == "active";
  reader.time("deletion_at", o.deletion_ms);
  o.active_before = reader.text("status_before") != "suspended";
  reader.nano_usd("monthly_budget_usd", o.monthly_budget_nano_usd);
  o.fail_open = is_fail_open(reader.text("failure_mode"));
  reader.nano_usd("fallback_daily_limit", o.fallback_daily_nano_usd);
  reader.integer("requests_per_minute", o.requests_per_minute);
  reader.integer("tokens_per_minute", o.tokens_per_minute);
  reader.list("allowed_models", o.allowed_models);
  reader.integer("max_output_tokens", o.max_output_tokens);
  reader.pico_usd("unknown_input_cost_per_token", o.unknown_input_pico_usd);
  reader.pico_usd("unknown_output_cost_per_token", o.unknown_output_pico_usd);
  reader.boolean("log_bodies", o.log_bodies);
  reader.boolean("output_fit", o.output_fit);
  o.plan = reader.text("plan");
  o.paid_plan = reader.text("paid_plan");
  reader.integer("version", o.version);
  reader.time("created_at", o.created_ms);
  reader.time("updated_at", o.updated_ms);
  KVCS_TRY(reader.finish());
  return o;
}

std::string user_to_json(const User& u) {
  return dump_json(Json{{"user_id", u.id},
                        {"email", u.email},
                        {"monthly_limit_usd", usd_json(u.monthly_limit_nano_usd)},
                        {"org_id", u.organization_id},
                        {"status", u.active ? "active" : "suspended"},
                        {"requests_per_minute", limit_json(u.requests_per_minute)},
                        {"tokens_per_minute", limit_json(u.tokens_per_minute)},
                        {"allowed_models", u.allowed_models},
                        {"operator_set", u.operator_set},
                        {"version", u.version},
                        {"created_at", time_json(u.created_ms)},
                        {"updated_at", time_json(u.updated_ms)}});
}

Result<User> parse_user(std::string_view json) {
  RecordReader reader("user", json);
  User u;
  u.id = reader.text("user_id");
  reader.required("user_id", u.id);
  u.organization_id = reader.text("org_id");
  reader.required("org_id", u.organization_id);
  u.email = reader.text("email");
  const std::string status = reader.text("status");
  u.active = status.empty() || status == "active";
  reader.nano_usd("monthly_limit_usd", u.monthly_limit_nano_usd);
  reader.integer("requests_per_minute", u.requests_per_minute);
  reader.integer("tokens_per_minute", u.tokens_per_minute);
  reader.list("allowed_models", u.allowed_models);
  reader.list("operator_set", u.operator_set);
  reader.integer("version", u.version);
  reader.time("created_at", u.created_ms);
  reader.time("updated_at", u.updated_ms);
  KVCS_TRY(reader.finish());
  return u;
}

std::string key_to_json(const KeyRecord& k) {
  Json json{{"key_id", k.id},         {"kind", kind_name(k.kind)},
            {"name", k.name},         {"status", key_status_name(k.status)},
            {"key_hash", k.key_hash}, {"key_prefix", k.key_prefix}};
  if (!k.organization_id.empty()) json["org_id"] = k.organization_id;
  if (!k.project_id.empty()) json["project_id"] = k.project_id;
  if (!k.user_id.empty()) json["user_id"] = k.user_id;
  if (k.kind == PrincipalKind::kAdminKey) json["role"] = admin_role_name(k.role);
  if (!k.previous_key_hash.empty()) json["previous_key_hash"] = k.previous_key_hash;
  if (!k.scopes.empty()) json["scopes"] = k.scopes;
  // Members that only some kinds have are left out of the others, so that a record shows what it
  // is.
  if (k.kind == PrincipalKind::kUserKey) {
    if (k.limits.monthly_nano_usd >= 0) {
      json["monthly_limit_usd"] = usd_json(k.limits.monthly_nano_usd);
    }
    json["requests_per_minute"] = limit_json(k.limits.requests_per_minute);
    json["tokens_per_minute"] = limit_json(k.limits.tokens_per_minute);
    json["allowed_models"] = k.limits.allowed_models;
  }
  json["created_at"] = time_json(k.created_ms);
  json["expires_at"] = time_json(k.expires_ms);
  if (k.revoked_ms != 0) json["revoked_at"] = time_json(k.revoked_ms);
  return dump_json(json);
}

Result<KeyRecord> parse_key(std::string_view json, PrincipalKind family) {
  RecordReader reader("key", json);
  KeyRecord k;
  k.kind = family;
  k.id = reader.text("key_id");
  // A tenant token of another system names its tenant by slug and has no id; Directory knows both.
  const std::string tenant = reader.text("tenant_id");
  const bool foreign = family == PrincipalKind::kTenantToken && k.id.empty() && !tenant.empty();
  if (!foreign) reader.required("key_id", k.id);
  k.name = reader.text("name");
  k.organization_id = foreign ? std::string(kOrganizationBySlug) + tenant : reader.text("org_id");
  k.project_id = reader.text("project_id");
  k.user_id = reader.text("user_id");
  // The families of apikey:{hash} share one table: a record that says so is an organization's key,
  // and one that names a project is a project key.
  if (shares_table(family)) {
    if (reader.text("kind") == kOrganizationKind) {
      k.kind = PrincipalKind::kOrganizationKey;
    } else if (!k.project_id.empty() || family == PrincipalKind::kOrganizationKey) {
      k.kind = PrincipalKind::kProjectKey;
    }
  }
  // Members that a record of the kind cannot do without: a key without its owner would be nobody's,
  // and pass checks that look at the owner.
  if (k.kind == PrincipalKind::kUserKey) reader.required("user_id", k.user_id);
  if (k.kind == PrincipalKind::kTenantToken || k.kind == PrincipalKind::kOrganizationKey) {
    reader.required("org_id", k.organization_id);
  }
  if (k.kind == PrincipalKind::kAdminKey) {
    const Result<AdminRole> role = parse_admin_role(reader.text("role"));
    if (role.ok()) {
      k.role = role.value();
    } else {
      reader.fault("role");
    }
  }
  // An unknown status must not open a door.
  const std::string status = reader.text("status");
  k.status = status == "active"      ? KeyStatus::kActive
             : status == "suspended" ? KeyStatus::kSuspended
                                     : KeyStatus::kRevoked;
  k.key_hash = reader.text("key_hash");
  k.previous_key_hash = reader.text("previous_key_hash");
  k.key_prefix = reader.text("key_prefix");
  reader.list("scopes", k.scopes);
  reader.nano_usd("monthly_limit_usd", k.limits.monthly_nano_usd);
  reader.integer("requests_per_minute", k.limits.requests_per_minute);
  reader.integer("tokens_per_minute", k.limits.tokens_per_minute);
  reader.list("allowed_models", k.limits.allowed_models);
  reader.time("created_at", k.created_ms);
  reader.time("expires_at", k.expires_ms);
  reader.time("revoked_at", k.revoked_ms);
  KVCS_TRY(reader.finish());
  return k;
}

}  // namespace kvcs
