// Signs tokens for whoever is named. What is kept of a code or a refresh token is a sealed ticket.
#include "portal/dev_issuer.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/id.h"
#include "kv/keyspace.h"
#include "oauth/authorization.h"
#include "oauth/jwt.h"

namespace kvcs::portal {
namespace {

constexpr std::string_view kKeyId = "kvcdn-oidc-key-1";
constexpr std::string_view kOpenCode = "mock-auth-code-";
constexpr size_t kSubjectShownMax = 64;

Status bad_grant(std::string message) {
  return invalid(std::move(message)).with_reason("invalid_grant");
}

std::string record_of(const DevGrant& grant) {
  return dump_json(Json{{"client_id", grant.client_id},
                        {"subject", grant.subject},
                        {"scope", grant.scope},
                        {"redirect_uri", grant.redirect_uri},
                        {"challenge", grant.challenge},
                        {"nonce", grant.nonce}});
}

Result<DevGrant> parse_grant(const Secret& text) {
  const Json json = KVCS_TRY(parse_json(text.reveal()));
  DevGrant grant;
  grant.client_id = text_member(json, "client_id");
  grant.subject = text_member(json, "subject");
  grant.scope = text_member(json, "scope");
  grant.redirect_uri = text_member(json, "redirect_uri");
  grant.challenge = text_member(json, "challenge");
  grant.nonce = text_member(json, "nonce");
  return grant;
}

// Two starts cannot make two keys: the data directory has one daemon.
Result<Secret> find_or_make_key(KvStore& kv, const Sealer& sealer) {
  const std::string name(keyspace::kDevIssuerKey);
  const Result<KvEntry> entry = kv.get(KvFamily::kSystem, name);
  if (entry.ok()) return sealer.open(entry->value, name);
  if (entry.code() != Code::kNotFound) return entry.status();
  Secret key = KVCS_TRY(oauth::make_signing_key());
  KvBatch batch;
  batch.put(KvFamily::kSystem, name, sealer.seal(key.reveal(), name));
  KVCS_TRY(kv.write(batch, KvDurability::kSynced));
  return key;
}

bool has_scope(const DevGrant& grant, std::string_view wanted) {
  const auto words = split(grant.scope, ' ');
  return std::find(words.begin(), words.end(), wanted) != words.end();
}

}  // namespace

bool is_dev_subject(std::string_view text) {
  constexpr CharSet kChars("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-+");
  return !text.empty() && text.size() <= kSubjectShownMax && kChars.has_all(text);
}

DevIssuer::DevIssuer(Services services, Secret key, std::string jwk_set)
    : s_(std::move(services)),
      key_(std::move(key)),
      jwk_set_(std::move(jwk_set)),
      codes_("dev-code", s_.kv, s_.sealer, s_.clock),
      renewals_("dev-refresh", s_.kv, s_.sealer, s_.clock),
      devices_(s_.clock, s_.entropy, kDevDeviceLifetimeS, kDevDeviceIntervalS) {}

Result<std::unique_ptr<DevIssuer>> DevIssuer::create(Services services) {
  Secret key = KVCS_TRY(find_or_make_key(services.kv, services.sealer));
  std::string jwk_set = KVCS_TRY(oauth::public_jwk_set(key, kKeyId));
  return std::unique_ptr<DevIssuer>(
      new DevIssuer(std::move(services), std::move(key), std::move(jwk_set)));
}

Result<std::string> DevIssuer::give_code(const DevGrant& grant) {
  std::string code = oauth::make_one_time_secret(s_.entropy);
  KVCS_TRY(codes_.put(code, record_of(grant), kDevCodeLifetimeS));
  return code;
}

namespace {

Status check_redemption(const DevGrant& grant, const DevGrant& presented,
                        const std::string& verifier) {
  if (grant.client_id != presented.client_id || grant.redirect_uri != presented.redirect_uri) {
    return bad_grant("The code was given to another client_id or redirect_uri.");
  }
  if (!constant_time_equal(grant.challenge, oauth::pkce_challenge(verifier))) {
    return bad_grant("code_verifier does not fit the code_challenge (RFC 7636).");
  }
  return ok();
}

}  // namespace

Result<Json> DevIssuer::redeem_code(const std::string& code, const DevGrant& presented,
                                    const std::string& verifier) {
  Json answer;
  Status refused;
  // A wrong use spends the code, and a store that fails does not.
  const auto use = [&](const Secret& kept) -> Result<KvBatch> {
    const DevGrant grant = KVCS_TRY(parse_grant(kept));
    KvBatch records;
    refused = check_redemption(grant, presented, verifier);
    if (refused.ok()) answer = KVCS_TRY(make_tokens(grant, records));
    return records;
  };
  const Status taken = codes_.take(code, use).status();
  if (taken.code() == Code::kNotFound) {
    const std::string subject = code.starts_with(kOpenCode) ? code.substr(kOpenCode.size()) : "";
    if (!is_dev_subject(subject)) return bad_grant("The code is unknown, old or used.");
    DevGrant open = presented;
    open.subject = subject;
    return give_tokens(open);
  }
  KVCS_TRY(Status(taken));
  KVCS_TRY(std::move(refused));
  return answer;
}

Result<Json> DevIssuer::refresh(const std::string& refresh_token, const std::string& client_id) {
  Json answer;
  const auto renew = [&](const Secret& kept) -> Result<KvBatch> {
    const DevGrant grant = KVCS_TRY(parse_grant(kept));
    if (grant.client_id != client_id) {
      return bad_grant("The refresh token was given to another client_id.");
    }
    KvBatch records;
    answer = KVCS_TRY(make_tokens(grant, records));
    return records;
  };
  const Status taken = renewals_.take(refresh_token, renew).status();
  if (taken.code() == Code::kNotFound) {
    return bad_grant("The refresh token is unknown, old or used; each is good once.");
  }
  KVCS_TRY(Status(taken));
  return answer;
}

Result<Json> DevIssuer::give_tokens(const DevGrant& grant) {
  KvBatch records;
  Json answer = KVCS_TRY(make_tokens(grant, records));
  KVCS_TRY(s_.kv.write(records, KvDurability::kSynced));
  return answer;
}

Json DevIssuer::claims_of(const DevGrant& grant) const {
  const int64_t now_s = s_.clock.unix_s();
  return Json{{"iss", url()},
              {"sub", grant.subject},
              {"aud", grant.client_id},
              {"iat", now_s},
              {"exp", now_s + kDevTokenLifetimeS},
              {"email", grant.subject + "@localhost"},
              {"email_verified", false},
              {"name", grant.subject}};
}

Result<Json> DevIssuer::make_tokens(const DevGrant& grant, KvBatch& records) const {
  Json claims = claims_of(grant);
  claims["jti"] = make_uuid_v4(s_.entropy);
  claims["client_id"] = grant.client_id;
  claims["scope"] = grant.scope;
  const Secret access = KVCS_TRY(oauth::sign_jwt(key_, kKeyId, dump_json(claims), "at+jwt"));
  DevGrant renewal = grant;
  renewal.nonce = renewal.challenge = renewal.redirect_uri = "";
  const std::string refresh_token = oauth::make_one_time_secret(s_.entropy);
  records.append(renewals_.make(refresh_token, record_of(renewal), kDevRefreshLifetimeS));
  Json answer{{"access_token", access.reveal()},
              {"token_type", "Bearer"},
              {"expires_in", kDevTokenLifetimeS},
              {"refresh_token", refresh_token},
              {"scope", grant.scope}};
  if (!has_scope(grant, "openid")) return answer;
  Json identity = claims_of(grant);
  // OpenID Connect Core §3.1.3.6. It also tells an ID token from an access token, where it is sent
  // as a bearer.
  const Sha256Digest digest = sha256(access.reveal());
  identity["at_hash"] =
      to_base64url({reinterpret_cast<const char*>(digest.data()), digest.size() / 2});
  if (!grant.nonce.empty()) identity["nonce"] = grant.nonce;
  answer["id_token"] = KVCS_TRY(oauth::sign_jwt(key_, kKeyId, dump_json(identity))).reveal();
  return answer;
}

}  // namespace kvcs::portal
