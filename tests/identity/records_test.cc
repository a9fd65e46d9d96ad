// Goal: no member of an organization, a user or a key of any family is lost between its writer and
// its reader. Method: every member has a value of its own and goes through the record in KV.
#include "identity/records.h"

#include "support/members.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kTimeMs = 1'793'880'000'123;

Members members_of(const Organization& organization) {
  const auto& [id, slug, shown_slug, more_slugs, name, active, deletion_ms, active_before,
               monthly_budget_nano_usd, fail_open, fallback_daily_nano_usd, requests_per_minute,
               tokens_per_minute, allowed_models, max_output_tokens, unknown_input_pico_usd,
               unknown_output_pico_usd, log_bodies, output_fit, plan, paid_plan, version,
               created_ms, updated_ms] = organization;
  return name_members(
      "id slug shown_slug more_slugs name active deletion_ms active_before "
      "monthly_budget_nano_usd fail_open fallback_daily_nano_usd "
      "requests_per_minute tokens_per_minute allowed_models max_output_tokens "
      "unknown_input_pico_usd unknown_output_pico_usd log_bodies output_fit plan paid_plan version "
      "created_ms updated_ms",
      id, slug, shown_slug, more_slugs, name, active, deletion_ms, active_before,
      monthly_budget_nano_usd, fail_open, fallback_daily_nano_usd, requests_per_minute,
      tokens_per_minute, allowed_models, max_output_tokens, unknown_input_pico_usd,
      unknown_output_pico_usd, log_bodies, output_fit, plan, paid_plan, version, created_ms,
      updated_ms);
}

Members members_of(const User& user) {
  const auto& [id, organization_id, email, active, monthly_limit_nano_usd, requests_per_minute,
               tokens_per_minute, allowed_models, operator_set, version, created_ms, updated_ms] =
      user;
  return name_members(
      "id organization_id email active monthly_limit_nano_usd requests_per_minute "
      "tokens_per_minute allowed_models operator_set version created_ms updated_ms",
      id, organization_id, email, active, monthly_limit_nano_usd, requests_per_minute,
      tokens_per_minute, allowed_models, operator_set, version, created_ms, updated_ms);
}

Members members_of(const KeyRecord& key) {
  const auto& [kind, id, name, organization_id, project_id, user_id, role, status, key_hash,
               previous_key_hash, key_prefix, scopes, limits, created_ms, expires_ms, revoked_ms,
               last_used_ms] = key;
  const auto& [monthly_nano_usd, requests_per_minute, tokens_per_minute, allowed_models] = limits;
  (void)last_used_ms;  // Has a key of its own in the store.
  return name_members(
      "kind id name organization_id project_id user_id role status key_hash previous_key_hash "
      "key_prefix scopes monthly_nano_usd requests_per_minute tokens_per_minute allowed_models "
      "created_ms expires_ms revoked_ms",
      kind, id, name, organization_id, project_id, user_id, role, status, key_hash,
      previous_key_hash, key_prefix, scopes, monthly_nano_usd, requests_per_minute,
      tokens_per_minute, allowed_models, created_ms, expires_ms, revoked_ms);
}

Organization full_organization() {
  return {.id = "id",
          .slug = "slug",
          .shown_slug = "shown",
          .more_slugs = {"old", "shown"},
          .name = "name \"quoted\"",
          .deletion_ms = kTimeMs + 2,
          .monthly_budget_nano_usd = 1'000'000'001,
          .fallback_daily_nano_usd = 2'000'000'002,
          .requests_per_minute = 303,
          .tokens_per_minute = 404,
          .allowed_models = {"gpt-4o*", "claude"},
          .max_output_tokens = 505,
          .unknown_input_pico_usd = 606,
          .unknown_output_pico_usd = 707,
          .plan = "given",
          .paid_plan = "paid",
          .version = 808,
          .created_ms = kTimeMs,
          .updated_ms = kTimeMs + 1};
}

void check_round_trip(const Organization& written) {
  const Result<Organization> read = parse_organization(organization_to_json(written));
  INFO(read.status().to_string());
  REQUIRE(read.ok());
  check_same(members_of(written), members_of(*read), members_of(Organization{}));
}

}  // namespace

TEST_CASE("records: an organization is read as it was written, member by member",
          "[unit][identity][records]") {
  Organization written = full_organization();
  check_round_trip(written);
  written.active = false;
  check_round_trip(written);
  written.active = true;
  written.fail_open = true;
  check_round_trip(written);
  written.fail_open = false;
  written.log_bodies = true;
  written.output_fit = false;
  written.active_before = false;
  check_round_trip(written);
}

TEST_CASE("records: a user is read as it was written, member by member",
          "[unit][identity][records]") {
  for (const bool active : {true, false}) {
    const User written{.id = "id",
                       .organization_id = "organization",
                       .email = "ada@example.com",
                       .active = active,
                       .monthly_limit_nano_usd = 1'000'000'001,
                       .requests_per_minute = 303,
                       .tokens_per_minute = 404,
                       .allowed_models = {"gpt-4o*", "claude"},
                       .operator_set = {"status"},
                       .version = 505,
                       .created_ms = kTimeMs,
                       .updated_ms = kTimeMs + 1};
    const Result<User> read = parse_user(user_to_json(written));
    INFO(read.status().to_string());
    REQUIRE(read.ok());
    check_same(members_of(written), members_of(*read), members_of(User{}));
  }
}

TEST_CASE("records: a key of each family is read as it was written, member by member",
          "[unit][identity][records]") {
  // What a family does not have stays plain, and so does what all have in common with a default.
  struct Family {
    PrincipalKind kind;
    std::set<std::string> not_its_own;
  };
  const std::set<std::string> limits = {"monthly_nano_usd", "requests_per_minute",
                                        "tokens_per_minute", "allowed_models"};
  const auto without = [&](std::set<std::string> names, bool has_limits) {
    if (!has_limits) names.insert(limits.begin(), limits.end());
    // These are numbers of enumerations, which may be like another's.
    names.insert({"kind", "role", "status"});
    return names;
  };
  const std::vector<Family> families = {
      {PrincipalKind::kProjectKey, without({"user_id"}, false)},
      {PrincipalKind::kUserKey, without({"project_id"}, true)},
      {PrincipalKind::kTenantToken, without({"project_id", "user_id"}, false)},
      {PrincipalKind::kAdminKey, without({"organization_id", "project_id", "user_id"}, false)}};
  for (const auto& [kind, not_its_own] : families) {
    for (const KeyStatus status :
         {KeyStatus::kActive, KeyStatus::kSuspended, KeyStatus::kRevoked}) {
      KeyRecord written{.kind = kind,
                        .id = "id",
                        .name = "name",
                        .status = status,
                        .key_hash = "hash",
                        .previous_key_hash = "previous",
                        .key_prefix = "prefix",
                        .scopes = {"read", "write"},
                        .created_ms = kTimeMs,
                        .expires_ms = kTimeMs + 1,
                        .revoked_ms = kTimeMs + 2};
      const auto has = [&not_its_own = not_its_own](const char* name) {
        return !not_its_own.contains(name);
      };
      if (has("organization_id")) written.organization_id = "organization";
      if (has("project_id")) written.project_id = "project";
      if (has("user_id")) written.user_id = "user";
      if (kind == PrincipalKind::kAdminKey) written.role = AdminRole::kViewer;
      if (has("monthly_nano_usd")) written.limits = {1'000'000'001, 303, 404, {"gpt-4o*"}};
      INFO("family " << static_cast<int>(kind));
      const Result<KeyRecord> read = parse_key(key_to_json(written), kind);
      INFO(read.status().to_string());
      REQUIRE(read.ok());
      check_same(members_of(written), members_of(*read), members_of(KeyRecord{}), not_its_own);
    }
  }
}

TEST_CASE("records: every role of an admin key is read as it was written",
          "[unit][identity][records]") {
  for (const AdminRole role :
       {AdminRole::kBilling, AdminRole::kViewer, AdminRole::kAdmin, AdminRole::kOwner}) {
    const KeyRecord written{.kind = PrincipalKind::kAdminKey, .id = "id", .role = role};
    CHECK(parse_key(key_to_json(written), PrincipalKind::kAdminKey).value().role == role);
  }
}
