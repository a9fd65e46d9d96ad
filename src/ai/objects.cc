// Notes of ids in the key-value store, one record each, and the routes by which admins change them.
#include "ai/objects.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "kv/keyspace.h"

namespace kvcs::ai {
namespace {

bool is_object_id(std::string_view id) {
  return !id.empty() && id.size() <= kObjectIdMaxBytes &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

constexpr http::ApiType kTypes[] = {
    {"AiObject", R"(
provider!: string
id!: string
assigned!: boolean # By an admin; false: made through this daemon.
since!: time
expires_at!: time?)"},
    {"AiObjectPage", R"(
objects!: [AiObject]
cursor!: string?)"},
};

bool is_assigned(const Result<KvEntry>& entry) {
  if (!entry.ok()) return false;
  const Result<Json> record = parse_json(entry->value);
  if (!record.ok()) return false;
  const auto assigned = record->find("assigned");
  return assigned != record->end() && *assigned == true;
}

Json describe(const KvItem& item) {
  const auto parts = keyspace::parse_ai_object(item.key);
  const Result<Json> record = parse_json(item.entry.value);
  const int64_t expires_s = item.entry.expires_at_s;
  return Json{
      {"provider", parts ? parts->provider : ""},
      {"id", parts ? parts->id : ""},
      {"assigned", record.ok() && record->value("assigned", false)},
      {"since", format_iso8601_s(record.ok() ? integer_member(*record, "since") * 1000 : 0)},
      {"expires_at", expires_s == 0 ? Json(nullptr) : Json(format_iso8601_s(expires_s * 1000))}};
}

}  // namespace

Status AiObjects::check(std::string_view organization_id, std::string_view provider,
                        const std::vector<std::string>& ids) const {
  for (const std::string& id : ids) {
    Status known = is_object_id(id) ? kv_.get(KvFamily::kSystem,
                                              keyspace::ai_object(organization_id, provider, id))
                                          .status()
                                    : not_found("");
    if (known.code() != Code::kNotFound) {
      KVCS_TRY(std::move(known));
      continue;
    }
    return not_found("There is no '" + printable(id, kShownValue) +
                     "' of your organization at this provider. What was not made through this "
                     "gateway, or longer than 30 days ago, an admin can assign with PUT "
                     "/admin/organizations/{org_id}/ai-objects/{provider}/{id}.")
        .with_reason("object_not_found");
  }
  return ok();
}

void AiObjects::remember(std::string_view organization_id, std::string_view provider,
                         std::span<const std::string> ids) {
  const std::string value = dump_json(Json{{"since", clock_.unix_s()}, {"assigned", false}});
  KvBatch batch;
  for (const std::string& id : ids) {
    if (!is_object_id(id)) continue;
    const std::string key = keyspace::ai_object(organization_id, provider, id);
    // What an admin has assigned stays so, without an end.
    if (is_assigned(kv_.get(KvFamily::kSystem, key))) continue;
    batch.put(KvFamily::kSystem, key, KvEntry{value, "", clock_.unix_s() + kMadeKeptS});
  }
  if (batch.empty()) return;
  const Status noted = kv_.write(batch, KvDurability::kBuffered);
  if (!noted.ok()) log::warn("ai.objects_not_noted", {{"error", noted.to_string()}});
  // A deletion takes the organization first and looks for its records then, so that one of the two
  // sees a record of a request that was under way.
  const Status owner = kv_.get(KvFamily::kConfig, keyspace::org_config(organization_id)).status();
  if (owner.code() != Code::kNotFound) return;
  KvBatch forget;
  for (const KvBatch::Op& op : batch.ops()) forget.remove(op.family, op.key);
  const Status forgotten = kv_.write(forget, KvDurability::kBuffered);
  if (!forgotten.ok()) log::warn("ai.objects_not_forgotten", {{"error", forgotten.to_string()}});
}

std::span<const http::ApiType> AiObjects::types() {
  return kTypes;
}

void AiObjects::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  http::Rows rows(table, *this, "/admin/organizations/{org_id}/ai-objects");
  rows.add(kGet, "", with_owner(access.own_viewer, http::OwnerFrom::kPathOrganization),
           http::kNoBody, &AiObjects::list,
           "Responses, files and other things at shared providers that are the organization's.",
           {.id = "listAiObjects", .query = "limit cursor", .answer = "AiObjectPage"});
  rows.add(kPut, "/{provider}/{id}", access.admin, http::kib(1), &AiObjects::assign,
           "Assign a thing at a provider to the organization.",
           {.id = "assignAiObject", .answer = "AiObject"});
  rows.add(kDelete, "/{provider}/{id}", access.admin, http::kNoBody, &AiObjects::remove,
           "Take it away from the organization; at the provider it stays.",
           {.id = "removeAiObject", .status = 204});
}

Result<std::string> AiObjects::key_of(const http::Request& request) const {
  const std::string_view provider = request.param("provider"), id = request.param("id");
  KVCS_TRY(organizations_(request.param("org_id")));
  if (!is_slug(provider) || !is_object_id(id)) {
    return invalid("'" + printable(provider, kShownName) + "/" + printable(id, kShownName) +
                   "' is no provider and id: 1 to 200 of A-Z a-z 0-9 _ . -");
  }
  return keyspace::ai_object(request.param("org_id"), provider, id);
}

Result<http::Response> AiObjects::list(http::Request& request) {
  KVCS_TRY(organizations_(request.param("org_id")));
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const KvPage page =
      KVCS_TRY(kv_.scan(KvFamily::kSystem, keyspace::ai_object_prefix(request.param("org_id")),
                        ask.cursor, ask.limit));
  Json objects = Json::array();
  for (const KvItem& item : page.items) objects.push_back(describe(item));
  return http::reply(
      200, Json{{"objects", std::move(objects)}, {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> AiObjects::assign(http::Request& request) {
  const std::string key = KVCS_TRY(key_of(request));
  KvBatch batch;
  batch.put(KvFamily::kSystem, key,
            dump_json(Json{{"since", clock_.unix_s()}, {"assigned", true}}));
  KVCS_TRY(audited_.write(batch, admin_api::who(request)));
  return http::reply(200, describe({key, KVCS_TRY(kv_.get(KvFamily::kSystem, key))}));
}

Result<http::Response> AiObjects::remove(http::Request& request) {
  const std::string key = KVCS_TRY(key_of(request));
  const Status known = kv_.get(KvFamily::kSystem, key).status();
  if (known.code() == Code::kNotFound) {
    return not_found("The organization has no such thing at this provider.");
  }
  KVCS_TRY(Status(known));
  KvBatch batch;
  batch.remove(KvFamily::kSystem, key);
  KVCS_TRY(audited_.write(batch, admin_api::who(request)));
  return http::empty_response(204);
}

}  // namespace kvcs::ai
