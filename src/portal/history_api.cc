// Reads an organization's part of the audit, the newest first, page by page.
#include "portal/history_api.h"

#include <nlohmann/json.hpp>

#include <map>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "db/db.h"
#include "http/json_api.h"
#include "kv/keyspace.h"
#include "ledger/audit_place.h"

namespace kvcs::portal {
namespace {

// Of more projects the newest changes stand in the organization's other rows all the same.
constexpr size_t kProjectsMax = 1000;

constexpr http::ApiType kTypes[] = {
    {"HistoryEntry", R"(
id!: id
at!: time
actor!: string # A person or a key, by its id; of an operator an admin key; or a job.
name!: string? # Of the person, and for admins of the key, where there is one still.
subject!: string # What was changed: config, members, keys:<id>, invitation:<id>, project:<id>.
kind!: organization|members|key|tenant_token|ai_credential|invitation|billing|project|other
thing!: string? # Its name or address, if there is one still; of invitations and keys for admins.
action!: create|update|delete|restore
address!: string? # For admins and owners.
request_id!: string)"},
    {"History", R"(
audit!: [HistoryEntry]
cursor!: string?)"},
};

struct Entry {
  std::string id, family, key, action, source, actor, request_id, old_hash;
  int64_t ts_ms = 0, seq = 0;
};

// Keys of an organization are those between "org:{id}:" and "org:{id};".
Result<std::vector<Entry>> read_entries(Database& db, const std::string& organization_id,
                                        const std::vector<std::string>& projects,
                                        const AuditPlace& after, size_t limit) {
  std::string marks;
  for (size_t i = 0; i < projects.size(); i++) marks += i == 0 ? "?" : ", ?";
  Statement rows =
      KVCS_TRY(db.prepare("SELECT id, family, key, action, source, actor, request_id, old_hash, "
                          "ts_ms, seq FROM kv_audit WHERE ((key > ? AND key < ?) OR (key IN (" +
                          marks +
                          ") AND family = 'project')) AND (ts_ms, seq) < (?, ?) "
                          "ORDER BY ts_ms DESC, seq DESC LIMIT ?"));
  const std::string prefix = std::string(keyspace::kOrgPrefix) + organization_id;
  int at = 0;
  rows.bind(++at, prefix + ":");
  rows.bind(++at, prefix + ";");
  for (const std::string& project : projects) rows.bind(++at, project);
  rows.bind(++at, after.ts_ms);
  rows.bind(++at, after.seq);
  rows.bind(++at, static_cast<int64_t>(limit));
  std::vector<Entry> entries;
  while (KVCS_TRY(rows.step())) {
    entries.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3), rows.text(4),
                       rows.text(5), rows.text(6), rows.text(7), rows.integer(8), rows.integer(9)});
  }
  return entries;
}

std::string subject_of(const Entry& entry, const std::string& organization_id) {
  if (entry.family == "project") return "project:" + entry.key;
  return entry.key.substr(keyspace::kOrgPrefix.size() + organization_id.size() + 1);
}

// By the part of the key behind the organization's id.
constexpr std::pair<std::string_view, const char*> kKinds[] = {
    {"config", "organization"}, {"members", "members"},          {"keys", "key"},
    {"tokens", "tenant_token"}, {"credential", "ai_credential"}, {"invitation", "invitation"},
    {"billing", "billing"},     {"project", "project"}};

const char* kind_of(std::string_view subject) {
  const std::string_view part = subject.substr(0, subject.find(':'));
  for (const auto& [name, kind] : kKinds) {
    if (name == part) return kind;
  }
  return "other";
}

// The audit of KV says "put" whether there was a record before or not.
std::string_view action_of(const Entry& entry) {
  if (entry.action != "put") return entry.action;
  return entry.old_hash.empty() ? "create" : "update";
}

// Names that viewers and members may not list elsewhere: the address of an invitation, and what a
// key or a token is called.
bool is_for_admins(std::string_view subject) {
  const std::string_view part = subject.substr(0, subject.find(':'));
  return part == "invitation" || part == "keys" || part == "tokens";
}

// What stands behind the source's word, where by() has put it.
Json address_of(const Entry& entry) {
  const size_t space = entry.source.find(' ');
  return space == std::string::npos ? Json(nullptr) : Json(entry.source.substr(space + 1));
}

// By what is shown of the change, so that nobody finds what they may not see.
bool fits(const SearchText& search, const Json& shown) {
  for (const char* name :
       {"actor", "name", "subject", "kind", "thing", "action", "address", "request_id"}) {
    if (search.fits({text_member(shown, name)})) return true;
  }
  return false;
}

}  // namespace

std::span<const http::ApiType> HistoryApi::types() {
  return kTypes;
}

void HistoryApi::add_routes(std::vector<http::Row>& table, const PersonAccess& access) {
  for (const std::string path : {"/api/v1/organizations/{org_id}/audit", "/api/v1/audit"}) {
    http::Rows rows(table, *this, "", id_end_of(path));
    rows.add(http::Method::kGet, path, at_path(access.viewer, path), http::kNoBody,
             &HistoryApi::list,
             "Who changed what in the organization, the newest first. ?q= looks at actor, name, "
             "subject, kind, thing, action, address and request_id.",
             {.id = "listHistory", .query = "q:inside limit cursor", .answer = "History"});
  }
}

// Of no other member of the record than these two, neither of which is secret.
std::string HistoryApi::name_of_record(const std::string& key) const {
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
  if (!entry.ok()) return {};
  const Result<Json> record = parse_json(entry->value);
  if (!record.ok() || !record->is_object()) return {};
  std::string name = text_member(*record, "name");
  return name.empty() ? text_member(*record, "email") : name;
}

std::string HistoryApi::name_of_actor(const std::string& organization_id, const std::string& actor,
                                      bool is_admin) const {
  const std::string person = person_actor(""), key = "projectkey:";
  if (actor.starts_with(person)) {
    const Result<Person> found = people_.find(actor.substr(person.size()));
    return found.ok() ? found->name : std::string();
  }
  if (!is_admin || !actor.starts_with(key)) return {};
  return name_of_record(keyspace::org_key(organization_id, actor.substr(key.size())));
}

Result<http::Response> HistoryApi::list(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const SearchText search = KVCS_TRY(http::read_search(request));
  const AuditPlace after = KVCS_TRY(parse_audit_place(ask.cursor));
  const Principal& caller = request.principal;
  std::vector<std::string> projects = KVCS_TRY(projects_.list_ids(caller.organization_id));
  if (projects.size() > kProjectsMax) projects.resize(kProjectsMax);
  std::map<std::string, std::string> things;  // Names, by subject.
  for (const Project& project : KVCS_TRY(projects_.list(caller.organization_id))) {
    things.emplace("project:" + project.id, project.name);
  }
  std::vector<Entry> entries;
  // A caller who has just changed something expects to see it.
  (void)ledger_.drain();
  const size_t looked_max = search.empty() ? ask.limit : kSearchedRowsMax;
  // One more than that tells whether there is a next page.
  const Status read = ledger_.read([&](Database& db) -> Status {
    entries = KVCS_TRY(read_entries(db, caller.organization_id, projects, after, looked_max + 1));
    return ok();
  });
  KVCS_TRY(Status(read));
  const bool is_admin = caller.org_role >= OrgRole::kAdmin;
  std::map<std::string, std::string> names;  // Of actors.
  std::string cursor;
  Json list = Json::array();
  for (size_t looked = 0; looked < entries.size(); looked++) {
    if (looked == looked_max || list.size() == ask.limit) {
      const Entry& last = entries[looked - 1];
      cursor = audit_cursor({last.ts_ms, last.seq});
      break;
    }
    const Entry& entry = entries[looked];
    const auto [name, is_new_actor] = names.try_emplace(entry.actor);
    if (is_new_actor) {
      name->second = name_of_actor(caller.organization_id, entry.actor, is_admin);
    }
    const std::string subject = subject_of(entry, caller.organization_id);
    const auto [thing, is_new_thing] = things.try_emplace(subject);
    const bool has_record = entry.family != "project" && (is_admin || !is_for_admins(subject));
    if (is_new_thing && has_record) thing->second = name_of_record(entry.key);
    Json shown{{"id", entry.id},
               {"at", format_iso8601_ms(entry.ts_ms)},
               {"actor", entry.actor},
               {"name", http::text_or_null(name->second)},
               {"subject", subject},
               {"kind", kind_of(subject)},
               {"thing", http::text_or_null(thing->second)},
               {"action", action_of(entry)},
               {"address", is_admin ? address_of(entry) : Json(nullptr)},
               {"request_id", entry.request_id}};
    if (fits(search, shown)) list.push_back(std::move(shown));
  }
  return http::private_reply(
      200, Json{{"audit", std::move(list)}, {"cursor", http::cursor_json(cursor)}});
}

}  // namespace kvcs::portal
