// Reports, history, models and deleted artifacts as answers. Every answer is private to the caller.
#include "artifacts/detail_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

#include "artifacts/artifact_json.h"
#include "artifacts/artifact_search.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "db/db.h"
#include "http/json_api.h"
#include "http/problem.h"
#include "identity/access.h"
#include "kv/audited_kv.h"
#include "ledger/audit_place.h"
#include "ledger/ledger.h"

namespace kvcs {
namespace {

using artifact_json::artifact_id;
using http::Request;
using http::Response;

constexpr int kUnprocessable = 422;
constexpr int64_t kModelsMax = 1000;

constexpr http::ApiType kTypes[] = {
    {"PartFigures", R"(
# Of the finite values that were read; null where there are none.
values!: integer # How many were read, others than finite ones too.
min!: number?
max!: number?
mean!: number?
rms!: number?
deviation!: number?
zeros!: integer
zero_share!: number # From 0 to 1.
nonfinite!: integer # NaN and infinities.)"},
    {"LayerFigures", R"(
layer!: integer
key_bytes!: integer
value_bytes!: integer
keys!: PartFigures? # Null where none was read.
values!: PartFigures?
key_shape: PartShape? # This and the next three: where the file is not uniform.
value_shape: PartShape? # Null: the layer has none, as with latent attention.
positions: string # Of a window: the absolute positions of its tokens, as 0:4,240:300.
states: [LayerState] # Of a recurrent layer.)"},
    {"PartShape", R"(
scheme!: string
kv_heads!: integer
tokens!: integer
head_dim!: integer)"},
    {"LayerState", R"(
name!: string
dtype!: string
shape!: [integer]
bytes!: integer)"},
    {"InspectRead", R"(
values!: integer # That the file holds.
values_read!: integer
is_sample!: boolean # False: every value was read.)"},
    {"TokensPreview", R"(
count!: integer? # Null where the file has no token ids.
preview!: [integer] # The first of them.
text!: string? # The beginning of the text that the file names.)"},
    {"Inspection", R"(
artifact_id!: id
sha256!: string
scheme!: string
dtype!: string # Of the values once dequantised.
storage_dtype!: string
layers!: integer
kv_heads!: integer? # Null where layers differ, like head_dim.
tokens!: integer
head_dim!: integer?
uniform!: boolean # True: all layers' keys and values have one shape.
size_bytes!: integer
quantized!: boolean
header_bytes!: integer
tensors!: integer
metadata!: object # Facts of the file's header, each cut at 200 bytes.
tokens_preview!: TokensPreview
read!: InspectRead
per_layer!: [LayerFigures] # Of the first 1024 layers.)"},
    {"ArtifactEvent", R"(
id!: id
at!: time
actor!: string # A person or a key, by its id; or a job.
name!: string? # Of a person, for people.
action!: confirm|update|visibility|move|delete|restore|purge|share|unshare
value!: string? # Of visibility: public or private.
request_id!: string)"},
    {"ArtifactHistory", R"(
history!: [ArtifactEvent]
cursor!: string?)"},
    {"ArtifactModel", R"(
model!: string
artifacts!: integer)"},
    {"ArtifactModels", R"(
models!: [ArtifactModel]
is_whole!: boolean # False: there are more models than ?limit=.)"},
    {"DeletedArtifact", R"(
artifact_id!: id
name!: string
model_name!: string
dtype!: string
num_tokens!: integer
size_bytes!: integer
sha256!: string
project!: string
created_at!: time
deleted_at!: time
ends_at!: time # From then on it can be gone.
deleted_by!: string)"},
    {"DeletedArtifacts", R"(
deleted!: [DeletedArtifact]
cursor!: string?
lifetime_s!: integer # How long a deleted artifact can be restored; 0: it is gone at once.
artifacts!: integer # Of the organization, that can be restored.
storage_bytes!: integer # Of these; they count for no quota.)"},
    {"Restored", R"(
artifact_id!: id
name!: string
project!: string
visibility!: public|private # Private, until somebody makes it public again.
size_bytes!: integer)"},
};

struct Event {
  std::string id, family, action, new_hash, actor, request_id;
  int64_t ts_ms = 0, seq = 0;
};

// Links of an artifact have its id before their own (shares.cc).
Result<std::vector<Event>> read_events(Database& db, const std::string& id, const AuditPlace& after,
                                       size_t limit) {
  auto rows = KVCS_TRY(
      db.prepare("SELECT id, family, action, new_hash, actor, request_id, ts_ms, seq FROM kv_audit "
                 "WHERE ((key = ? AND family = 'artifact') OR (key > ? AND key < ? AND "
                 "family = 'share')) AND (ts_ms, seq) < (?, ?) "
                 "ORDER BY ts_ms DESC, seq DESC LIMIT ?"));
  rows.bind(1, id).bind(2, id + ":").bind(3, id + ";").bind(4, after.ts_ms).bind(5, after.seq);
  rows.bind(6, static_cast<int64_t>(limit));
  std::vector<Event> events;
  while (KVCS_TRY(rows.step())) {
    events.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3), rows.text(4),
                      rows.text(5), rows.integer(6), rows.integer(7)});
  }
  return events;
}

std::string word_of(const Event& event) {
  if (event.family != "share") return event.action;
  return event.action == "create" ? "share" : "unshare";
}

// The audit keeps digests; of two words one can be told by its own.
Json value_of(const Event& event) {
  if (event.action != "visibility") return nullptr;
  return event.new_hash == sha256_hex("public") ? "public" : "private";
}

}  // namespace

std::span<const http::ApiType> ArtifactDetailApi::types() {
  return kTypes;
}

void ArtifactDetailApi::add_routes(std::vector<http::Row>& table,
                                   const http::ArtifactAccess& access) {
  using enum http::Method;
  using http::OwnerFrom;
  const http::Access read_one = with_owner(access.read, OwnerFrom::kObject),
                     write_one = with_owner(access.write, OwnerFrom::kObject);
  const std::string all = "/api/v1/artifacts", one = all + "/{id}";
  http::Rows rows(table, *this);
  rows.add(
      kGet, all + "/models", access.read, http::kNoBody, &ArtifactDetailApi::models,
      "The models of the caller's artifacts, and how many artifacts each has.",
      {.id = "listArtifactModels", .query = "limit:integer(1..1000)", .answer = "ArtifactModels"});
  rows.add(kGet, all + "/deleted", access.read, http::kNoBody, &ArtifactDetailApi::deleted,
           "Deleted artifacts that can be restored, the last deleted first.",
           {.id = "listDeletedArtifacts", .query = "limit cursor", .answer = "DeletedArtifacts"});
  rows.add(kPost, one + "/restore", write_one, kSmallBodyMaxBytes, &ArtifactDetailApi::restore,
           "Take a deletion back: the artifact is there again, private and without links.",
           {.id = "restoreArtifact", .answer = "Restored", .also = "409"});
  rows.add(kGet, one + "/inspect", read_one, http::kNoBody, &ArtifactDetailApi::inspect,
           "What is inside its bytes: geometry, and the figures of each layer, of a large file by "
           "a sample. 422 with code not_inspectable: they are no whole .kv file.",
           {.id = "inspectArtifact", .answer = "Inspection", .also = "422"});
  rows.add(kGet, one + "/history", read_one, http::kNoBody, &ArtifactDetailApi::history,
           "What has happened to it, by whom, the newest first; also of a deleted one.",
           {.id = "listArtifactHistory", .query = "limit cursor", .answer = "ArtifactHistory"});
}

Result<Response> ArtifactDetailApi::inspect(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Artifact row = KVCS_TRY(s_.service.find_own(request.principal, id));
  if (!row.ready) return invalid("Artifact upload is not confirmed");
  std::shared_ptr<const BlobReader> reader = KVCS_TRY(s_.service.open_bytes(row));
  auto report = s_.inspector.inspect(row, std::move(reader));
  if (report.status().reason() == "not_inspectable") {
    return http::problem_response(kUnprocessable, report.status(), http::Dialect::kPortal,
                                  request.request_id);
  }
  Json body = *KVCS_TRY(std::move(report));
  body["artifact_id"] = row.id;
  body["sha256"] = row.sha256;
  return http::private_reply(200, body);
}

Status ArtifactDetailApi::check_own(const Request& request, std::string_view id) const {
  const Status there = s_.service.find_own(request.principal, id).status();
  if (there.code() != Code::kNotFound) return there;
  return s_.service.find_deleted(request.principal, id).status();
}

Result<Response> ArtifactDetailApi::history(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const AuditPlace after = KVCS_TRY(parse_audit_place(ask.cursor));
  KVCS_TRY(check_own(request, id));
  // Where the stores cannot, the list shows the rows that are there.
  (void)s_.move_audit();
  std::vector<Event> events;
  // One more than asked for tells whether there is a next page.
  const Status read = s_.ledger.read([&](Database& db) -> Status {
    return db.run_within(kArtifactQueryMs, [&]() -> Status {
      events = KVCS_TRY(read_events(db, id, after, ask.limit + 1));
      return ok();
    });
  });
  if (!read.ok()) return read;
  std::string cursor;
  if (events.size() > ask.limit) {
    events.pop_back();
    cursor = audit_cursor({events.back().ts_ms, events.back().seq});
  }
  const bool knows_names = request.principal.kind == PrincipalKind::kPerson;
  const std::string person = person_actor("");
  std::map<std::string, Json> names;
  Json list = Json::array();
  for (const Event& event : events) {
    auto [name, is_new] = names.try_emplace(event.actor, nullptr);
    if (is_new && knows_names && event.actor.starts_with(person)) {
      name->second = http::text_or_null(s_.person_name(event.actor.substr(person.size())));
    }
    list.push_back({{"id", event.id},
                    {"at", format_iso8601_ms(event.ts_ms)},
                    {"actor", event.actor},
                    {"name", name->second},
                    {"action", word_of(event)},
                    {"value", value_of(event)},
                    {"request_id", event.request_id}});
  }
  return http::private_reply(
      200, Json{{"history", std::move(list)}, {"cursor", http::cursor_json(cursor)}});
}

Result<Response> ArtifactDetailApi::models(Request& request) {
  const auto limit = parse_u64(request.query_value("limit").value_or("200"), "limit");
  if (!limit.ok() || *limit < 1 || *limit > kModelsMax) {
    return invalid("limit: a whole number from 1 to " + std::to_string(kModelsMax) +
                   " is expected.");
  }
  const ModelCounts counts = KVCS_TRY(s_.service.count_models(
      {request.principal.organization_id, std::string(access::project_limit(request.principal)),
       static_cast<size_t>(*limit)}));
  Json models = Json::array();
  for (const ModelCount& one : counts.models) {
    models.push_back({{"model", one.model}, {"artifacts", one.artifacts}});
  }
  return http::private_reply(200,
                             Json{{"models", std::move(models)}, {"is_whole", counts.is_whole}});
}

Result<Response> ArtifactDetailApi::deleted(Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const Principal& who = request.principal;
  const DeletedPage page = KVCS_TRY(s_.service.list_deleted(
      {who.organization_id, std::string(access::project_limit(who)), ask.cursor, ask.limit}));
  const ArtifactUsage usage = KVCS_TRY(s_.service.usage(who.organization_id));
  Json list = Json::array();
  for (const DeletedArtifact& one : page.items) {
    const Artifact& a = one.artifact;
    list.push_back({{"artifact_id", a.id},
                    {"name", a.name},
                    {"model_name", a.model_name},
                    {"dtype", a.dtype},
                    {"num_tokens", a.num_tokens},
                    {"size_bytes", a.size_bytes},
                    {"sha256", a.sha256},
                    {"project", a.project},
                    {"created_at", format_iso8601_ms(a.created_ms)},
                    {"deleted_at", format_iso8601_ms(one.deleted_ms)},
                    {"ends_at", format_iso8601_ms(one.ends_ms)},
                    {"deleted_by", one.deleted_by}});
  }
  return http::private_reply(200, Json{{"deleted", std::move(list)},
                                       {"cursor", http::cursor_json(page.next_cursor)},
                                       {"lifetime_s", s_.service.config().deleted_lifetime_s},
                                       {"artifacts", usage.deleted_artifacts},
                                       {"storage_bytes", usage.deleted_bytes}});
}

Result<Response> ArtifactDetailApi::restore(Request& request) {
  const std::string id = KVCS_TRY(artifact_id(request));
  const Artifact row = KVCS_TRY(s_.service.restore(request.principal, id, request.request_id));
  // As after a confirmation: what fails here the job "artifact-index" tries again.
  (void)s_.search.index(row);
  return http::private_reply(200, Json{{"artifact_id", row.id},
                                       {"name", row.name},
                                       {"project", row.project},
                                       {"visibility", row.is_public ? "public" : "private"},
                                       {"size_bytes", row.size_bytes}});
}

}  // namespace kvcs
