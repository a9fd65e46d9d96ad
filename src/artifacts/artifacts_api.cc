// Handlers of the portal's JSON routes for artifacts. The bytes themselves go through bytes_api.cc,
// lists through list_api.cc, search through search_api.cc. Every answer is private to the caller
// and not to be cached.
#include "artifacts/artifacts_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "artifacts/artifact_search.h"
#include "artifacts/rows.h"
#include "artifacts/slice_api.h"
#include "base/bytes.h"
#include "http/external_url.h"
#include "http/json_api.h"
#include "identity/access.h"

namespace kvcs {
namespace {

using artifact_json::artifact_id;
using artifact_json::Shape;
using http::Request;
using http::Response;

constexpr const char* kRestorableUntil = "x-kvcs-restorable-until";

// An empty body is an empty object: some clients confirm without one.
Result<Json> read_object(Request& request) {
  const std::string text = KVCS_TRY(request.body->read_all());
  if (trim(text).empty()) return Json::object();
  KVCS_TRY(http::keep_tree(request, text));
  Json body = KVCS_TRY(parse_json(text));
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  return body;
}

// An answer about artifacts is for its caller alone and may change with the next request, so that
// no cache may keep it.
Response reply(const Json& body) {
  Response response = http::json_response(200, dump_json(body));
  response.set("cache-control", "private, no-store");
  return response;
}

}  // namespace

ArtifactsApi::ArtifactsApi(ArtifactService& service, ArtifactSearch& search,
                           const Presigner& presigner, const Clock& clock,
                           ArtifactsApiConfig config, HolderOf holder_of)
    : service_(service),
      search_(search),
      presigner_(presigner),
      clock_(clock),
      config_(std::move(config)),
      holder_of_(std::move(holder_of)),
      slice_cache_(std::make_unique<SliceCache>()) {}
ArtifactsApi::~ArtifactsApi() = default;

namespace {

constexpr http::ApiType kTypes[] = {
    {"UploadAsk", R"(
name: string(1..1020) = "demo" # Required: here, as model_name or in metadata; 255 characters.
model_name: string(1..1020)
dtype!: string(1..32) = "F16"
num_tokens: integer(0..9223372036854775807)
visibility: public|private # Default: private.
size_bytes: integer(0..9223372036854775807)
project_id: string(1..64) # Required with an organization key; of a person: the active one.
sha256: string(0..64) # Hex digest of the bytes; checksum is another name for it.
checksum: string(0..64)
description: string(0..8000) # At most 2000 characters.
tags: [string] # At most 20, of 50 characters.
metadata: object # What else is known: name, sha256, model, tokenizer, … kept as given.
...)"},
    {"ArtifactEdit", R"(
name: string(1..1020) = "demo" # At most 255 characters.
description: string(0..8000) # At most 2000 characters.
tags: [string] # At most 20, of 50 characters.)"},
    {"UploadPlace", R"(
artifact_id!: id
url!: string # Good for the PUT of the bytes alone.
method!: string
expires_at!: time)"},
    {"ConfirmAsk", R"(
size_bytes: integer(0..9223372036854775807) # These must agree with what was sent.
sha256: string(0..64)
digest: string(0..64)
checksum: string(0..64)
...)"},
    {"Confirmed", R"(
artifact_id!: id
sha256!: string)"},
    {"VisibilityAsk", R"(
visibility!: public|private = "public"
...)"},
    {"MoveAsk", R"(
project_id!: string(1..64) = "x1" # Of the same organization.)"},
    {"Moved", R"(
artifact_id!: id
project_id!: id
project!: string
public_url!: string?)"},
    {"DownloadPlace", R"(
artifact_id!: id
download_url!: string)"},
    {"Artifact", R"(
id: id # Absent for callers that ask for ?shape=single.
artifact_id!: id
name!: string
model: string # model_name, of ?shape=single.
model_name: string
dtype!: string
storage_dtype!: string?
num_tokens!: integer
num_layers!: integer
quantized!: boolean
visibility!: public|private
status!: ready|pending
size_bytes!: integer
sha256: string
checksum: string
owner_id!: string
project!: string
description!: string
tags!: [string]
downloads!: integer # By everybody, of a public artifact, and by share links.
created_at!: time
public_url!: string?
download_url!: string?
metadata: object # As it was given at the upload.
common_prefix: integer # Of a search: how many tokens are alike.
without_bos: boolean
tokenizer: string)"},
    {"ArtifactPage", R"(
artifacts!: [Artifact]
total!: integer
total_is_least: boolean # With ?q=: there are more than were counted.
limit!: integer
offset!: integer
continuation_token: string)"},
    {"SearchAsk", R"(
tokens: any = [1, 2, 3] # Token ids; this or text is required.
text: string(1..131072) # Hashed as bytes, for files that were made of text.
model: string(0..255)
tokenizer: string(0..255)
limit: integer(1..100))"},
    {"SearchHits", R"(
hits!: [Artifact]
of!: text|tokens
query_length!: integer)"},
    {"VerifiedKey", R"(
customer_id!: string
project_id: id # Absent for an organization key.
organization_id!: id
permissions!: [string])"},
    {"Quota", R"(
customer_id!: string
quota!: Amounts # At most.
used!: Amounts
deleted!: DeletedAmounts # That can be restored; they count for none of the amounts above.
plan: PlanUse # All that the organization's plan limits.)"},
    {"Amounts", R"(
organizations!: integer
projects!: integer
artifacts!: integer
storage_bytes!: integer)"},
    {"DeletedAmounts", R"(
artifacts!: integer
storage_bytes!: integer)"},
    {"TelemetryAsk", R"(
command!: string(1..64)
version!: string(1..32)
duration_ms!: integer(0..9223372036854775807)
success!: boolean
error_kind: string
...)"},
};

constexpr std::string_view kListQuery =
    "q status:ready|pending|all visibility:public|private name:string(0..255) exact_name "
    "id_prefix:string(6..36) model:string(0..255) dtype:string(0..255) project:string(0..255) "
    "sha256:string(64..64) sort:created|-created|name|-name|size|-size limit:integer(0..) cursor "
    "continuation offset:integer(0..) shape:full|single";

}  // namespace

std::span<const http::ApiType> ArtifactsApi::types() {
  return kTypes;
}

void ArtifactsApi::add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  using http::OwnerFrom;
  constexpr uint64_t kSmall = kSmallBodyMaxBytes;
  const http::Access read_one = with_owner(access.read, OwnerFrom::kObject),
                     write_one = with_owner(access.write, OwnerFrom::kObject);
  http::Rows rows(table, *this);
  const std::string all = "/api/v1/artifacts", one = all + "/{id}";
  rows.add(kPost, all + "/upload-url", access.write, kUploadUrlBodyMaxBytes,
           &ArtifactsApi::create_upload,
           "Announce an upload: its id and a URL to PUT the bytes to.",
           {.id = "createArtifact", .body = "UploadAsk", .answer = "UploadPlace", .also = "404"});
  rows.add(kGet, all, access.read, kNoBody, &ArtifactsApi::list,
           "Artifacts; all of them without ?limit=.",
           {.id = "listArtifacts", .query = kListQuery, .answer = "ArtifactPage"});
  rows.add(kPost, all + "/search", access.read, kSearchBodyMaxBytes, &ArtifactsApi::search,
           "Artifacts that begin with these token ids, longest common prefix first.",
           {.id = "searchArtifacts",
            .query = "shape:full|single",
            .body = "SearchAsk",
            .answer = "SearchHits"});
  rows.add(kGet, one, read_one, kNoBody, &ArtifactsApi::get,
           "One artifact with a URL to its bytes.",
           {.id = "getArtifact", .query = "shape:full|single", .answer = "Artifact"});
  rows.add(kPatch, one, write_one, kUploadUrlBodyMaxBytes, &ArtifactsApi::edit,
           "Change its name, description or tags; what is absent stays.",
           {.id = "updateArtifact",
            .query = "shape:full|single",
            .body = "ArtifactEdit",
            .answer = "Artifact"});
  rows.add(kPost, one + "/confirm-upload", write_one, kSmall, &ArtifactsApi::confirm,
           "Make an uploaded artifact ready.",
           {.id = "confirmUpload", .body = "ConfirmAsk?", .answer = "Confirmed", .also = "409"});
  rows.add(kPost, one + "/download-url", read_one, kSmall, &ArtifactsApi::download_url,
           "A URL to GET the bytes from; ?tokens= and ?layers= go with it.",
           {.id = "createDownloadUrl", .query = "tokens layers", .answer = "DownloadPlace"});
  rows.add(kPost, one + "/visibility", write_one, kSmall, &ArtifactsApi::set_visibility,
           "Make it public or private.",
           {.id = "setVisibility", .body = "VisibilityAsk", .status = 204});
  rows.add(kPost, one + "/move", write_one, kSmall, &ArtifactsApi::move,
           "Move it to another project of the organization; not with a project key.",
           {.id = "moveArtifact", .body = "MoveAsk", .answer = "Moved", .also = "409"});
  rows.add(kDelete, one, write_one, kSmall, &ArtifactsApi::remove,
           "Delete an artifact. Until the time in the header x-kvcs-restorable-until it can be "
           "restored; without that header, and with ?permanent=true, it is gone.",
           {.id = "deleteArtifact", .query = "permanent:boolean", .status = 204});
  rows.add(kPost, "/v1/artifacts/upload-url", access.write, kUploadUrlBodyMaxBytes,
           &ArtifactsApi::create_upload, "The same as under /api/v1.",
           {.id = "createArtifactV1", .body = "UploadAsk", .answer = "UploadPlace", .also = "404"});
  rows.add(kPost, "/v1/artifacts/{id}/visibility", write_one, kSmall, &ArtifactsApi::set_visibility,
           "The same as under /api/v1.",
           {.id = "setVisibilityV1", .body = "VisibilityAsk", .status = 204});
  // Under /v1 for clients of before, which have all of their routes there.
  for (const std::string root : {"/api/v1", "/v1"}) {
    http::Rows of_root(table, *this, root, root == "/v1" ? "V1" : "");
    of_root.add(kPost, "/api-keys/verify", access.read, kSmall, &ArtifactsApi::verify_key,
                "Whose key this is.", {.id = "verifyApiKey", .answer = "VerifiedKey"});
    of_root.add(kGet, "/api-keys/verify", access.read, kNoBody, &ArtifactsApi::verify_key,
                "Whose key this is.", {.id = "getVerifiedApiKey", .answer = "VerifiedKey"});
    of_root.add(kGet, "/quota", access.read, kNoBody, &ArtifactsApi::quota,
                "What the organization has used and what it may.",
                {.id = "getQuota", .answer = "Quota"});
  }
  rows.add(kPost, "/api/v1/telemetry", http::everyone(), kSmall, &ArtifactsApi::take_telemetry,
           "Checks an event of a client and drops it.",
           {.id = "sendTelemetry", .body = "TelemetryAsk", .status = 204});
  add_byte_routes(table);
}

Result<std::string> ArtifactsApi::base_url(const Request& request) const {
  if (config_.public_url.empty()) return http::external_url(request, config_.own_url());
  return config_.own_url();
}

// A cache before the proxies is not to give the URLs of one caller, who told of another place, to
// the next.
std::string_view ArtifactsApi::vary_by_place() const {
  if (!config_.public_url.empty()) return {};
  return ", X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Prefix, X-Forwarded-Proto";
}

// The signature covers method, id, size and digest, so that a URL to upload is good for these bytes
// alone. A size of 0 and an empty digest mean "announced without"; the PUT brings them.
// A stranger's URL is good while the artifact is public, and no longer.
std::string ArtifactsApi::signed_url(const std::string& base, const Principal& who,
                                     const char* method, const Artifact& artifact) const {
  const bool is_own = access::owns(
      who, {.organization_id = artifact.organization_id, .project_id = artifact.project_id});
  return base + presigner_.sign_path({method, artifact.id, artifact.size_bytes, artifact.sha256,
                                      clock_.unix_s() + service_.config().url_lifetime_s, !is_own});
}

std::string ArtifactsApi::own_signed_url(const Principal& who, const char* method,
                                         const Artifact& artifact) const {
  return signed_url(config_.own_url(), who, method, artifact);
}

std::string ArtifactsApi::public_url(const std::string& base, const Artifact& artifact,
                                     std::string_view organization) const {
  if (!artifact.is_public || !artifact.ready) return {};
  return base + "/" + std::string(organization) + "/" + artifact.project + "/" + artifact.id;
}

// What the caller's organization is called in public URLs, which a rename changes.
std::string ArtifactsApi::shown_organization(const Request& request) const {
  const Result<Holder> holder = holder_of_(request.principal.organization_id);
  return holder.ok() ? holder->slug : request.principal.organization;
}

// Another project than the key's own is one that is not there, as the service says it.
Status take_owner(const Principal& who, Artifact& wanted) {
  wanted.organization_id = who.organization_id;
  const std::string_view own = access::project_limit(who);
  if (wanted.project_id.empty()) wanted.project_id = who.project_id;
  if (wanted.project_id.empty()) {
    return invalid(
        "project_id: required with an organization key, which is of no project; name one of its "
        "organization's.");
  }
  if (!own.empty() && wanted.project_id != own) {
    return artifact_rows::not_found_project(wanted.project_id);
  }
  wanted.owner_id = customer_id_of(who.organization);
  return ok();
}

Result<Response> ArtifactsApi::create_upload(Request& request) {
  const std::string base = KVCS_TRY(base_url(request));  // No row without a URL for its bytes.
  const Json body = KVCS_TRY(read_object(request));
  Artifact wanted = KVCS_TRY(artifact_json::parse_upload(body));
  KVCS_TRY(take_owner(request.principal, wanted));
  const Artifact made = KVCS_TRY(service_.create(std::move(wanted)));
  const int64_t expires_ms = made.created_ms + int64_t{1000} * service_.config().url_lifetime_s;
  const std::string url = signed_url(base, request.principal, "PUT", made);
  return reply({{"artifact_id", made.id},
                {"url", url},
                {"method", "PUT"},
                {"expires_at", format_iso8601_ms(expires_ms)}});
}

Result<Response> ArtifactsApi::confirm(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Json body = KVCS_TRY(read_object(request));
  const ConfirmClaim claim = KVCS_TRY(artifact_json::parse_confirm(body));
  const Artifact row = KVCS_TRY(service_.confirm(request.principal, id, claim, request.request_id));
  // From now on the artifact is found by its first tokens. A failure here takes nothing from the
  // upload: the job "artifact-index" tries again.
  (void)search_.index(row);
  return reply({{"artifact_id", row.id}, {"sha256", row.sha256}});
}

Result<Response> ArtifactsApi::get(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Shape shape = KVCS_TRY(artifact_json::shape_for(request));
  const Artifact row = KVCS_TRY(service_.find_own(request.principal, id));
  return about(request, KVCS_TRY(base_url(request)), row, shape);
}

Response ArtifactsApi::about(const Request& request, const std::string& base, const Artifact& row,
                             Shape shape) const {
  artifact_json::Urls urls;
  if (row.ready) urls.download_url = signed_url(base, request.principal, "GET", row);
  urls.public_url = public_url(base, row, shown_organization(request));
  Json about = artifact_json::to_json(row, shape, urls);
  // The uploader's metadata is a member of its own, so that none of its names can meet ours.
  about["metadata"] = parse_json(row.metadata_json).value_or(Json::object());
  return reply(about);
}

Result<Response> ArtifactsApi::edit(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Shape shape = KVCS_TRY(artifact_json::shape_for(request));
  const Json body = KVCS_TRY(read_object(request));
  const ArtifactEdit wanted = KVCS_TRY(artifact_json::parse_edit(body));
  const std::string base = KVCS_TRY(base_url(request));
  const Artifact row = KVCS_TRY(service_.edit(request.principal, id, wanted, request.request_id));
  return about(request, base, row, shape);
}

Result<Response> ArtifactsApi::download_url(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Artifact row = KVCS_TRY(service_.find_own(request.principal, id));
  if (!row.ready) return invalid("Artifact upload is not confirmed");
  const std::string base = KVCS_TRY(base_url(request));
  std::string url = signed_url(base, request.principal, "GET", row);
  // The ranges stand outside of the signature: they choose among bytes that the URL opens anyway.
  KVCS_TRY(asked_slice(request).status());
  for (const char* const name : {"tokens", "layers"}) {
    if (const auto range = request.query_value(name)) url += "&" + (name + ("=" + *range));
  }
  return reply({{"artifact_id", row.id}, {"download_url", std::move(url)}});
}

Result<Response> ArtifactsApi::set_visibility(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Json body = KVCS_TRY(read_object(request));
  const bool is_public = KVCS_TRY(artifact_json::parse_visibility(body));
  KVCS_TRY(service_.set_visibility(request.principal, id, is_public, request.request_id));
  return http::empty_response(204);
}

// A project key has rights in one project, and a move needs them in two.
Result<Response> ArtifactsApi::move(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string project = reader.string("project_id", {.max_bytes = 64});
  KVCS_TRY(reader.finish());
  if (request.principal.kind == PrincipalKind::kProjectKey) {
    return forbidden(
        "A project key reaches its own project alone. Move with a key of the organization, or "
        "signed in.");
  }
  const std::string base = KVCS_TRY(base_url(request));
  const Artifact row = KVCS_TRY(service_.move(request.principal, id, project, request.request_id));
  const std::string url = public_url(base, row, shown_organization(request));
  return reply({{"artifact_id", row.id},
                {"project_id", row.project_id},
                {"project", row.project},
                {"public_url", http::text_or_null(url)}});
}

Result<Response> ArtifactsApi::remove(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  Response response = http::empty_response(204);
  if (KVCS_TRY(http::read_flag(request, "permanent"))) {
    KVCS_TRY(service_.remove(request.principal, id, request.request_id));
    return response;
  }
  const int64_t ends_ms =
      KVCS_TRY(service_.remove_later(request.principal, id, request.request_id));
  if (ends_ms != 0) response.set(kRestorableUntil, format_iso8601_ms(ends_ms));
  return response;
}

Result<Response> ArtifactsApi::verify_key(Request& request) {
  const Principal& who = request.principal;
  Json body{{"customer_id", customer_id_of(who.organization)},
            {"organization_id", who.organization_id},
            {"permissions", Json::array({access::scope_name(who.scope)})}};
  if (!who.project_id.empty()) body["project_id"] = who.project_id;
  return reply(body);
}

Result<Response> ArtifactsApi::quota(Request& request) {
  const Principal& who = request.principal;
  const ArtifactQuota limits = KVCS_TRY(service_.quota(who.organization_id));
  const ArtifactUsage used = KVCS_TRY(service_.usage(who.organization_id));
  const LabelUsage labels = KVCS_TRY(service_.label_usage(who.organization_id));
  Json body{
      {"customer_id", customer_id_of(who.organization)},
      {"quota",
       {{"organizations", limits.organizations},
        {"projects", limits.projects},
        {"artifacts", limits.artifacts},
        {"storage_bytes", limits.storage_bytes}}},
      {"used",
       {{"organizations", std::max(used.organizations, labels.organizations)},
        {"projects", std::max(used.projects, labels.projects)},
        {"artifacts", used.artifacts},
        {"storage_bytes", used.storage_bytes}}},
      {"deleted", {{"artifacts", used.deleted_artifacts}, {"storage_bytes", used.deleted_bytes}}}};
  if (config_.describe_use) {
    const std::string use = KVCS_TRY(config_.describe_use(who.organization_id));
    body["plan"] = KVCS_TRY(parse_json_exact(use));
  }
  return reply(body);
}

// Telemetry of the public command line. An event is checked and shows in the access log; nothing of
// it is kept.
Result<Response> ArtifactsApi::take_telemetry(Request& request) {
  const Status refused = invalid("Invalid telemetry event");
  const std::string text = KVCS_TRY(request.body->read_all());
  const auto body = parse_json(text);
  if (!body.ok() || !(*body).is_object()) return refused;
  JsonReader reader(*body);
  reader.ignore_unknown();
  reader.string("command", {.min_bytes = 1, .max_bytes = 64});
  reader.string("version", {.min_bytes = 1, .max_bytes = 32});
  reader.integer("duration_ms", 0, INT64_MAX);
  if (!reader.optional_boolean("success")) return refused;
  reader.optional_one_of("error_kind", {"auth_error", "network_error", "config_error",
                                        "usage_error", "runtime_error"});
  if (!reader.finish().ok()) return refused;
  return http::empty_response(204);
}

}  // namespace kvcs
