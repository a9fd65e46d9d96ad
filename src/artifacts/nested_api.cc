// The nested routes, in the shapes and words that their clients know.
#include "artifacts/nested_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "artifacts/artifact_search.h"
#include "artifacts/artifacts_api.h"
#include "artifacts/rows.h"
#include "base/bytes.h"
#include "base/printable.h"
#include "http/json_api.h"
#include "http/problem.h"
#include "identity/access.h"

namespace kvcs {
namespace {

using artifact_json::artifact_id;
using artifact_json::Shape;
using http::Request;
using http::Response;

constexpr size_t kStreamedPage = 500;
constexpr int64_t kTokensStandard = 32, kTokensMax = 256;

constexpr http::ApiType kTypes[] = {
    {"NestedUploadAsk", R"(
name!: string(1..1020) = "demo" # At most 255 characters.
dtype!: string(1..32) = "F16"
model_name: string(1..1020) # Default: the name.
storage_dtype: string(1..32)?
num_tokens: integer(0..9223372036854775807)
num_layers: integer(0..2147483647)
quantized: boolean
visibility: public|private # Default: private.
size_bytes: integer(0..9223372036854775807)
sha256: string(0..64) # Hex digest of the bytes; checksum is another name for it.
checksum: string(0..64)
description: string(0..8000) # At most 2000 characters.
tags: [string] # At most 20, of 50 characters.
...)"},
    {"NestedUploadPlace", R"(
artifact_id!: id
upload_url!: string # Good for the PUT of the bytes alone.)"},
    {"NestedArtifact", R"(
artifact_id!: id
customer_id!: string
org!: string
project!: string
name!: string
size_bytes!: integer
sha256: string
dtype!: string
storage_dtype: string
num_tokens!: integer
num_layers!: integer
quantized!: boolean
model_name: string # Absent for callers without a User-Agent.
visibility!: public|private
created_at!: time)"},
    {"NestedArtifactPage", R"(
artifacts!: [NestedArtifact]
continuation_token: string)"},
    {"InferAsk", R"(
question: string(0..100000)
n: any = 32 # How many tokens; 1 to 256, others are taken for the nearest.
...)"},
    {"Inferred", R"(
artifact_id!: id
tokens!: [integer]
token_count!: integer)"},
};

Result<std::string> label(const Request& request, std::string_view name) {
  const std::string text(request.param(name));
  const auto chars = static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
  if (chars <= kLabelMaxChars && is_printable(text)) return text;
  return invalid(std::string(name) + ": '" + printable(text, kShownName) + "' is no label: up to " +
                 std::to_string(kLabelMaxChars) +
                 " characters, without control characters, bidirectional marks and such without "
                 "width.");
}

Result<Json> read_object(Request& request) {
  Json body = KVCS_TRY(http::read_body(request));
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  return body;
}

Json to_json(const Artifact& a, Shape shape) {
  Json out{{"artifact_id", a.id},
           {"customer_id", a.owner_id},
           {"org", a.label_organization},
           {"project", a.label_project},
           {"name", a.name},
           {"size_bytes", a.size_bytes}};
  if (!a.sha256.empty()) out["sha256"] = a.sha256;
  out["dtype"] = a.dtype;
  if (a.storage_dtype) out["storage_dtype"] = *a.storage_dtype;
  out["num_tokens"] = a.num_tokens;
  out["num_layers"] = a.num_layers;
  out["quantized"] = a.quantized;
  // The public client takes name and model_name for one field, and refuses to read both.
  if (shape == Shape::kFull) out["model_name"] = a.model_name;
  out["visibility"] = a.is_public ? "public" : "private";
  out["created_at"] = format_iso8601_ms(a.created_ms);
  return out;
}

bool is_at(const Request& request, const Artifact& row) {
  return row.label_organization == request.param("org") &&
         row.label_project == request.param("project");
}

struct Question {
  std::string text;
  int64_t n = kTokensStandard;
};

Result<Question> read_question(const Json& body) {
  JsonReader reader(body);
  reader.ignore_unknown();
  Question question;
  question.text =
      reader.optional_string("question", {.min_bytes = 0, .max_bytes = 100'000}).value_or("");
  const Json* const n = reader.member("n");
  KVCS_TRY(reader.finish());
  if (n == nullptr || n->is_null()) return question;
  if (!n->is_number_integer()) return invalid("n: must be a whole number.");
  const int64_t asked =
      n->is_number_unsigned()
          ? static_cast<int64_t>(std::min<uint64_t>(n->get<uint64_t>(), kTokensMax))
          : n->get<int64_t>();
  question.n = std::clamp<int64_t>(asked, 1, kTokensMax);
  return question;
}

}  // namespace

std::span<const http::ApiType> NestedArtifactsApi::types() {
  return kTypes;
}

namespace {

// Earlier clients know one word for whoever is not let in.
http::Access refused_in_one_word(http::Access access) {
  access.guard = [inner = std::move(access.guard)](const Request& request) -> Result<Principal> {
    Result<Principal> caller = inner(request);
    if (caller.code() == Code::kUnauthenticated) return unauthenticated("Unauthorized");
    return caller;
  };
  return access;
}

}  // namespace

void NestedArtifactsApi::add_routes(std::vector<http::Row>& table,
                                    const http::ArtifactAccess& access,
                                    const http::Access& anybody) {
  using enum http::Method;
  using http::OwnerFrom;
  using A = NestedArtifactsApi;
  const http::Access read = refused_in_one_word(access.read);
  const http::Access write = refused_in_one_word(access.write);
  const http::Access write_one = with_owner(write, OwnerFrom::kObject);
  const http::Access open_one = with_owner(anybody, OwnerFrom::kObject);
  for (const std::string root : {"/api/v1", "/v1"}) {
    http::Rows rows(table, *this, root + "/orgs/{org}/projects/{project}/artifacts",
                    root == "/v1" ? "V1" : "");
    rows.add(kPost, "", write, kUploadUrlBodyMaxBytes, &A::create,
             "Announce an upload under two labels of the caller's own.",
             {.id = "createLabelledArtifact",
              .body = "NestedUploadAsk",
              .status = 201,
              .answer = "NestedUploadPlace"});
    rows.add(kGet, "", read, http::kNoBody, &A::list,
             "The artifacts under these labels, unconfirmed ones too, in order of id.",
             {.id = "listLabelledArtifacts",
              .query = "limit:integer(0..) continuation cursor shape:full|single",
              .answer = "NestedArtifactPage"});
    rows.add(kGet, "/{id}/download", open_one, http::kNoBody, &A::download,
             "A URL to GET the bytes from; of a public artifact for everybody.",
             {.id = "getLabelledArtifactDownload", .answer = "DownloadPlace", .also = "401 403"});
    rows.add(kPost, "/{id}/complete", write_one, kSmallBodyMaxBytes, &A::complete,
             "Make an uploaded artifact ready.",
             {.id = "completeLabelledArtifact",
              .body = "ConfirmAsk?",
              .answer = "Confirmed",
              .also = "409"});
    rows.add(kDelete, "/{id}", write_one, kSmallBodyMaxBytes, &A::remove,
             "Delete an artifact. For as long as deleted ones are kept, /api/v1/artifacts can "
             "restore it.",
             {.id = "deleteLabelledArtifact", .status = 204});
    rows.add(kPost, "/{id}/infer", open_one, kInferBodyMaxBytes, &A::infer,
             "Ask the inference engine to go on from an artifact; 501 without one.",
             {.id = "inferFromLabelledArtifact",
              .body = "InferAsk?",
              .answer = "Inferred",
              .also = "401 403 501 502 504"});
  }
}

Result<Response> NestedArtifactsApi::create(Request& request) {
  const Principal& who = request.principal;
  const Json body = KVCS_TRY(read_object(request));
  Artifact wanted = KVCS_TRY(artifact_json::parse_nested_upload(body));
  wanted.label_organization = KVCS_TRY(label(request, "org"));
  wanted.label_project = KVCS_TRY(label(request, "project"));
  wanted.organization_id = who.organization_id;
  wanted.project_id = who.project_id;
  if (wanted.project_id.empty()) {
    wanted.project_id = KVCS_TRY(s_.service.default_project(who.organization_id));
  }
  wanted.owner_id = customer_id_of(who.organization);
  // No row without a URL to send its bytes to.
  const std::string base = KVCS_TRY(s_.api.base_url(request));
  const Artifact made = KVCS_TRY(s_.service.create(std::move(wanted)));
  const std::string url = s_.api.signed_url(base, who, "PUT", made);
  return http::private_reply(201, Json{{"artifact_id", made.id}, {"upload_url", url}});
}

Result<Response> NestedArtifactsApi::list(Request& request) {
  ArtifactFilter filter = KVCS_TRY(artifact_json::parse_filter(request));
  const Shape shape = KVCS_TRY(artifact_json::shape_for(request));
  filter.organization_id = request.principal.organization_id;
  filter.only_project_id = access::project_limit(request.principal);
  filter.label_organization = request.param("org");
  filter.label_project = request.param("project");
  filter.status = "all";
  filter.sort = ArtifactSort::kId;
  filter.descending = false;
  const bool is_whole = !request.query_value("limit") && filter.cursor.empty();
  if (is_whole) filter.limit = kStreamedPage;
  ArtifactPage first = KVCS_TRY(s_.service.list(filter));
  Response response = http::json_response(200, "");
  response.set("cache-control", "private, no-store");
  response.stream = [this, filter = std::move(filter), shape, is_whole,
                     page = std::move(first)](http::BodyWriter& out) mutable -> Status {
    std::string text = "{\"artifacts\":[";
    bool is_first = true;
    for (;;) {
      for (const Artifact& item : page.items) {
        if (!is_first) text += ',';
        is_first = false;
        text += dump_json(to_json(item, shape));
      }
      if (!is_whole || page.next_cursor.empty()) break;
      KVCS_TRY(out.write(text));
      text.clear();
      filter.cursor = page.next_cursor;
      page = KVCS_TRY(s_.service.list(filter));
    }
    text += "]";
    if (!page.next_cursor.empty()) text += ",\"continuation_token\":\"" + page.next_cursor + "\"";
    return out.write(text + "}");
  };
  return response;
}

Result<Artifact> NestedArtifactsApi::find_own(const Request& request) const {
  const std::string id = KVCS_TRY(artifact_id(request));
  Artifact row = KVCS_TRY(s_.service.find_own(request.principal, id));
  if (!is_at(request, row)) return artifact_rows::not_found_artifact();
  return row;
}

Result<Artifact> NestedArtifactsApi::find_readable(const Request& request) const {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Principal& who = request.principal;
  const Result<Artifact> row = s_.service.find(id);
  if (row.ok() && is_at(request, *row)) {
    const bool is_own =
        access::owns(who, {.organization_id = row->organization_id, .project_id = row->project_id});
    if (is_own) return row;
    const Status open = s_.api.check_public(*row);
    if (open.ok()) return row;
    if (open.code() != Code::kForbidden) return open;
  } else if (!row.ok() && row.code() != Code::kNotFound) {
    return row;
  }
  if (who.kind == PrincipalKind::kAnonymous) return unauthenticated("Unauthorized");
  return artifact_rows::not_found_artifact();
}

Result<Response> NestedArtifactsApi::download(Request& request) {
  const Artifact row = KVCS_TRY(find_readable(request));
  if (!row.ready) return invalid("Artifact upload is not confirmed");
  const std::string base = KVCS_TRY(s_.api.base_url(request));
  const std::string url = s_.api.signed_url(base, request.principal, "GET", row);
  return http::private_reply(200, Json{{"artifact_id", row.id}, {"download_url", url}});
}

Result<Response> NestedArtifactsApi::complete(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Json body = KVCS_TRY(read_object(request));
  const ConfirmClaim claim = KVCS_TRY(artifact_json::parse_confirm(body));
  KVCS_TRY(find_own(request).status());
  const Artifact row =
      KVCS_TRY(s_.service.confirm(request.principal, id, claim, request.request_id));
  // As after a confirmation by the flat route: the job "artifact-index" tries again.
  (void)s_.search.index(row);
  return http::private_reply(200, Json{{"artifact_id", row.id}, {"sha256", row.sha256}});
}

Result<Response> NestedArtifactsApi::remove(Request& request) {
  const Artifact row = KVCS_TRY(find_own(request));
  KVCS_TRY(s_.service.remove_later(request.principal, row.id, request.request_id));
  return http::empty_response(204);
}

Result<Response> NestedArtifactsApi::infer(Request& request) {
  KVCS_TRY(artifact_id(request).status());
  const Json body = KVCS_TRY(read_object(request));
  const Question question = KVCS_TRY(read_question(body));
  const Artifact row = KVCS_TRY(find_readable(request));
  if (!row.ready) return invalid("Artifact upload is not confirmed");
  if (!s_.engine.is_there()) {
    const Status none =
        unavailable(
            "No inference engine is configured: this daemon stores artifacts, and runs "
            "no models. Its operator can name a server that does in "
            "artifacts.engine_url.")
            .with_reason("inference_disabled");
    return http::problem_response(501, none, http::Dialect::kPortal, request.request_id);
  }
  if (request.principal.kind == PrincipalKind::kAnonymous) KVCS_TRY(s_.take_question(request));
  if (const auto bytes = s_.service.open_bytes(row); !bytes.ok()) {
    return upstream_failed("Failed to fetch artifact", bytes.status().to_string());
  }
  // Not of the caller's Host: the engine would be sent to whatever host the caller names.
  const std::string url = s_.api.own_signed_url(request.principal, "GET", row);
  const std::vector<int64_t> tokens =
      KVCS_TRY(s_.engine.ask({row, url, question.text, question.n}));
  Json ids = Json::array();
  for (const int64_t id : tokens) ids.push_back(id);
  return http::private_reply(
      200,
      Json{{"artifact_id", row.id}, {"tokens", std::move(ids)}, {"token_count", tokens.size()}});
}

}  // namespace kvcs
