// Makes the keys of KVCS_API_KEY_SEED: at the start for every organization of the list, and for one
// of them on demand.
#include "identity/seeded_keys.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/log.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

// The project that uploads go to which name none.
constexpr std::string_view kProjectSlug = "default";

constexpr http::ApiType kTypes[] = {
    {"SeededKeyAsk", R"(
org_slug!: string(1..64) = "acme" # One of the list in the configuration.)"},
    {"SeededKey", R"(
api_key!: string
customer_id!: string
org_slug!: string)"},
};

std::string normal_slug(std::string_view text) {
  return lower_ascii(trim(text));
}

Status unauthorized() {
  return unauthenticated("Unauthorized").with_reason("invalid_api_key");
}

// The secret of the configuration, or whoever `next` lets in. Whatever is wrong is answered alike,
// but for who asks too often.
http::Guard with_secret(const Secret& secret, http::Guard next) {
  return [digest = secret.empty() ? std::string() : sha256_hex(secret.reveal()),
          next = std::move(next)](const http::Request& request) -> Result<Principal> {
    const Result<std::string_view> bearer = request.bearer();
    const bool is_secret =
        bearer.ok() && !digest.empty() && constant_time_equal(sha256_hex(bearer.value()), digest);
    if (is_secret) {
      Principal principal;
      principal.kind = PrincipalKind::kAdminKey;
      principal.key_id = "configured-secret";
      return principal;
    }
    Result<Principal> admitted = next(request);
    const bool is_refused =
        admitted.code() == Code::kUnauthenticated || admitted.code() == Code::kForbidden;
    return is_refused ? Result<Principal>(unauthorized()) : std::move(admitted);
  };
}

}  // namespace

Secret seeded_key(const Secret& seed, std::string_view organization) {
  const std::string pseudo_random = hmac_sha256(std::string(32, '\0'), seed.reveal());
  const std::string info = "kvcdn/api-key/v1/" + normal_slug(organization);
  return Secret("kv_" + to_hex(hmac_sha256(pseudo_random, info + '\x01')));
}

SeededKeys::SeededKeys(SeededKeysConfig config, Services services)
    : config_([](SeededKeysConfig given) {
        for (std::string& slug : given.organizations) slug = normal_slug(slug);
        return given;
      }(std::move(config))),
      s_(std::move(services)) {}

std::span<const http::ApiType> SeededKeys::types() {
  return kTypes;
}

void SeededKeys::add_routes(std::vector<http::Row>& table, const http::Access& admin) {
  http::Rows rows(table, *this);
  http::Access access = admin;
  access.guard = with_secret(config_.admin_secret, access.guard);
  access.dialect = http::Dialect::kPortal;
  rows.add(http::Method::kPost, "/api/v1/admin/api-keys", access, http::kib(1), &SeededKeys::give,
           "The key of an organization that is made of KVCS_API_KEY_SEED, for whoever has "
           "KVCS_API_KEY_ADMIN_SECRET.",
           {.id = "createSeededApiKey",
            .body = "SeededKeyAsk",
            .status = 201,
            .answer = "SeededKey",
            .also = "409"});
}

void SeededKeys::make_all() {
  if (config_.seed.empty()) return;
  const AuditContext who{"seeded-keys", "start", ""};
  for (const std::string& slug : config_.organizations) {
    const Status made = make(slug, who).status();
    if (made.ok()) continue;
    log::warn("seeded_keys.not_made",
              {{"organization", printable(slug, kShownName)}, {"error", made.to_string()}});
  }
}

Result<KeyOwner> SeededKeys::owner(const std::string& slug, const AuditContext& who) {
  Result<Organization> organization = s_.organizations.find_by_slug(slug);
  if (organization.code() == Code::kNotFound) {
    Organization wanted;
    wanted.name = wanted.slug = slug;
    organization = s_.organizations.create(std::move(wanted), who);
  }
  if (!organization.ok()) return organization.status();
  for (const Project& project : KVCS_TRY(s_.projects.list(organization->id))) {
    if (project.slug == kProjectSlug) {
      return KeyOwner{PrincipalKind::kOrganizationKey, organization->id, project.id, ""};
    }
  }
  Project wanted;
  wanted.organization_id = organization->id;
  wanted.slug = wanted.name = kProjectSlug;
  const Project made = KVCS_TRY(s_.projects.create(std::move(wanted), who));
  return KeyOwner{PrincipalKind::kOrganizationKey, organization->id, made.id, ""};
}

// The record under the hash is the lock: who creates it first has made the key.
Result<Secret> SeededKeys::make(const std::string& slug, const AuditContext& who) {
  const KeyOwner owner = KVCS_TRY(this->owner(slug, who));
  Secret key = seeded_key(config_.seed, slug);
  const std::string name = keyspace::api_key(sha256_hex(key.reveal()));
  Result<KvEntry> stored = s_.kv.get(KvFamily::kAuth, name);
  if (stored.code() == Code::kNotFound) {
    NewKey wanted;
    wanted.name = "seeded key";
    wanted.scopes = {"write"};
    KvBatch batch;
    (void)s_.keys.prepare(owner, wanted, batch, Secret(key.reveal()));
    const Status put = s_.audited.compare_and_swap(KvFamily::kAuth, name, std::nullopt, batch, who);
    if (put.ok()) return key;
    if (put.code() != Code::kConflict || !put.reason().empty()) return put;
    stored = s_.kv.get(KvFamily::kAuth, name);
  }
  KVCS_TRY(stored.status());
  const KeyRecord record = KVCS_TRY(parse_key(stored->value, PrincipalKind::kOrganizationKey));
  if (record.status == KeyStatus::kRevoked) {
    return conflict("The key of '" + slug + "' is revoked; make it another one.")
        .with_reason("key_revoked");
  }
  return key;
}

// The words for what is missing or not in the list are the bundled backend's.
Result<http::Response> SeededKeys::give(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string slug = normal_slug(
      reader.optional_string("org_slug", {.min_bytes = 0, .max_bytes = 64}).value_or(""));
  KVCS_TRY(reader.finish());
  if (config_.organizations.empty()) {
    return invalid(
        "No organizations are configured; set identity.seeded_organizations, or "
        "KVCDN_API_KEY_ORGS.");
  }
  if (config_.seed.empty()) {
    return invalid("No seed is configured; set KVCS_API_KEY_SEED, or KVCDN_API_KEY_SEED.");
  }
  if (slug.empty()) return invalid("missing org_slug");
  const auto& known = config_.organizations;
  if (std::find(known.begin(), known.end(), slug) == known.end()) {
    return invalid("org_slug: '" + printable(slug, kShownName) +
                   "' is none of the configured organizations.");
  }
  const Secret key = KVCS_TRY(make(slug, admin_api::who(request)));
  return http::private_reply(201, Json{{"api_key", key.reveal()},
                                       {"customer_id", s_.customer_id_of(slug)},
                                       {"org_slug", slug}});
}

}  // namespace kvcs
