// Builds the doors that stand on the artifact store: the nested routes of earlier clients, the
// public catalogue, links that share one artifact, and what its page shows of it.
#include "app/build.h"
#include "app/parts.h"
#include "artifacts/artifact_audit.h"
#include "artifacts/artifacts.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/catalogue_api.h"
#include "artifacts/detail_api.h"
#include "artifacts/inference.h"
#include "artifacts/nested_api.h"
#include "artifacts/share_api.h"
#include "artifacts/shares.h"
#include "base/address_block.h"
#include "base/kept_clock.h"
#include "http/client/upstream.h"
#include "identity/access.h"
#include "identity/directory.h"
#include "identity/keys.h"
#include "identity/people.h"
#include "ops/rate_limit.h"
#include "portal/passwords.h"

namespace kvcs {
namespace {

// Of one link's password from one address block.
constexpr int64_t kPasswordTriesPerMinute = 10;
// Questions to the inference engine from one address without a key.
constexpr int64_t kQuestionsPerMinute = 10;

// RateLimited when the address has asked for `what` too often.
Status take_of_address(RateLimiter& rates, std::string_view what, const http::Request& request,
                       int64_t per_minute, const char* refusal, int64_t cost = 1) {
  const RateDecision decision =
      rates.take(std::string(what) + ":" + address_block(request.remote_ip), per_minute, cost);
  if (decision.allowed) return ok();
  return rate_limited(refusal, static_cast<int>(decision.retry_after_s))
      .with_reason("rate_limited");
}

// Whether somebody is still a member who may write, or a key still works and has the scope.
Result<bool> maker_may(const Parts& parts, const ShareMaker& maker) {
  if (maker.kind == PrincipalKind::kPerson) {
    const auto person = parts.directory->person(maker.id);
    if (person.code() == Code::kNotFound) return false;
    KVCS_TRY(person.status());
    const auto roster = KVCS_TRY(parts.directory->roster(maker.organization_id));
    return person.value()->active &&
           access::scope_of_role(roster->role_of(maker.id)) >= Scope::kWrite;
  }
  KeyOwner owner{.kind = maker.kind, .organization_id = maker.organization_id};
  if (maker.kind == PrincipalKind::kProjectKey) owner.project_id = maker.project_id;
  const Result<KeyRecord> key = parts.keys->find(owner, maker.id);
  if (key.code() == Code::kNotFound) return false;
  KVCS_TRY(key.status());
  const bool has_ended =
      key->expires_ms != 0 && key->expires_ms <= parts.kept_clock->latest().unix_ms();
  return key->status == KeyStatus::kActive && !has_ended &&
         access::scope_of(key->scopes) >= Scope::kWrite;
}

void build_shares(Parts& parts) {
  ArtifactParts& artifacts = parts.artifacts;
  artifacts.shares = std::make_unique<ShareService>(
      *parts.portal_writer, *parts.portal_readers, parts.kept_clock->latest(), *parts.entropy,
      [&parts](const ShareMaker& maker) { return maker_may(parts, maker); });
  // The hasher is the portal's, which is built later, and before the first request.
  artifacts.share_api = std::make_unique<ShareApi>(ShareApi::Services{
      .shares = *artifacts.shares,
      .api = *artifacts.api,
      .hash_password =
          [&parts](const Secret& password, std::string_view whose) {
            return parts.portal.hasher->hash(password, whose);
          },
      .password_fits =
          [&parts](const Secret& password, std::string_view hash, std::string_view whose) {
            return parts.portal.hasher->fits(password, hash, whose);
          },
      .take_try =
          [rates = parts.rates.get()](const std::string& whose) {
            return rates->take(whose, kPasswordTriesPerMinute).retry_after_s;
          },
      .public_url = [&parts] { return parts.public_url(); }});
}

void build_details(Parts& parts) {
  ArtifactParts& artifacts = parts.artifacts;
  artifacts.inspector = std::make_unique<ArtifactInspector>();
  artifacts.detail_api = std::make_unique<ArtifactDetailApi>(ArtifactDetailApi::Services{
      *artifacts.service, *artifacts.search, *artifacts.inspector, *parts.ledger,
      [&parts] {
        return move_artifact_audit(*parts.portal_writer, *parts.portal_readers, *parts.ledger)
            .status();
      },
      [people = parts.people.get()](std::string_view person_id) {
        const Result<Person> found = people->find(person_id);
        return found.ok() ? found->name : std::string();
      }});
}

}  // namespace

void build_artifact_doors(Parts& parts) {
  ArtifactParts& artifacts = parts.artifacts;
  const ArtifactConfig& config = parts.config.artifacts;
  artifacts.engine = std::make_unique<InferenceEngine>(
      InferenceConfig{config.engine_url, config.engine_timeout_s}, *parts.upstream);
  artifacts.nested_api = std::make_unique<NestedArtifactsApi>(NestedArtifactsApi::Services{
      *artifacts.service, *artifacts.search, *artifacts.api, *artifacts.engine,
      [rates = parts.rates.get()](const http::Request& request) {
        return take_of_address(*rates, "infer", request, kQuestionsPerMinute,
                               "Too many questions from this address without a key.");
      }});
  artifacts.catalogue_api = std::make_unique<CatalogueApi>(
      *artifacts.service, *artifacts.api,
      [rates = parts.rates.get(), per_minute = config.requests_per_minute](
          const http::Request& request, int64_t cost) {
        // What a whole minute does not allow is not refused for good.
        return take_of_address(*rates, "catalogue", request, per_minute,
                               "Too many requests of the catalogue from this address.",
                               per_minute < 0 ? cost : std::min(cost, per_minute));
      });
  build_shares(parts);
  build_details(parts);
}

}  // namespace kvcs
