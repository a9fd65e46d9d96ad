// Keeps the schedules of agents as they are given and, once a day, posts what is due to the agent
// worker, on the thread of its job.
#include "gateway/catalogue/agent_schedules.h"

#include <nlohmann/json.hpp>

#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/crypto.h"
#include "http/header_list.h"
#include "http/json_api.h"
#include "http/problem.h"
#include "identity/admin_common.h"
#include "identity/names.h"
#include "kv/if_match.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {

constexpr int kWorkerDeadlineMs = 30'000;
constexpr size_t kAnswerMaxBytes = 64u << 10;
constexpr size_t kMessageMaxBytes = 32u << 10;
// The action of failed posts in the error ledger; other systems read it by this name.
constexpr std::string_view kAction = "hermes_scheduled_job";
constexpr int kMonday = 1, kFriday = 5;

// 0 is Sunday; the epoch began on a Thursday.
int weekday_of(int64_t unix_s) {
  return static_cast<int>((unix_s / 86'400 + 4) % 7);
}

}  // namespace

struct AgentSchedules::Entry {
  std::string name, agent_type, message, cadence, callback_url;
  bool enabled = true;

  bool falls_on(int weekday) const {
    if (!enabled) return false;
    return cadence == "daily" || weekday == (cadence == "weekly_monday" ? kMonday : kFriday);
  }
};

AgentSchedules::AgentSchedules(KvStore& kv, AuditedKv& audited, const Tenants& tenants,
                               http::HttpUpstream& upstream, AgentWorker worker, const Clock& clock,
                               std::function<void(ErrorRecord)> record_error)
    : kv_(kv),
      audited_(audited),
      tenants_(tenants),
      upstream_(upstream),
      worker_(std::move(worker)),
      clock_(clock),
      record_error_(std::move(record_error)) {}

Result<std::vector<AgentSchedules::Entry>> AgentSchedules::parse(const Json& list) const {
  if (!list.is_array()) return invalid("The body must be an array of entries.");
  if (list.size() > kScheduleEntriesMax) {
    return invalid(std::to_string(list.size()) + " entries are over the limit of " +
                   std::to_string(kScheduleEntriesMax) + ".");
  }
  std::vector<Entry> entries;
  std::set<std::string> names;
  for (const Json& item : list) {
    JsonReader reader(item, "entry " + std::to_string(entries.size() + 1));
    Entry entry;
    entry.name = reader.string("name", {.max_bytes = 100});
    entry.agent_type = reader.string("agent_type", {.max_bytes = 64});
    entry.message = reader.string("message", {.max_bytes = kMessageMaxBytes});
    entry.enabled = reader.boolean_or("enabled", true);
    entry.cadence = reader.one_of("cadence", {"daily", "weekly_monday", "weekly_friday"});
    entry.callback_url = reader.optional_string("callback_url", {.max_bytes = 2048}).value_or("");
    const bool is_web =
        entry.callback_url.starts_with("https://") || entry.callback_url.starts_with("http://");
    if (!entry.callback_url.empty() && !is_web) {
      reader.fail("callback_url", "must begin with https:// or http://");
    }
    if (!names.insert(entry.name).second) reader.fail("name", "is another entry's, too");
    KVCS_TRY(reader.finish());
    entries.push_back(std::move(entry));
  }
  return entries;
}

namespace {

constexpr http::ApiType kTypes[] = {
    {"AgentRun", R"(
name!: string(1..100)
agent_type!: string(1..64)
message!: string(1..32768)
enabled: boolean # Default: true.
cadence!: daily|weekly_monday|weekly_friday
callback_url: string(1..2048))"},
};

}  // namespace

std::span<const http::ApiType> AgentSchedules::types() {
  return kTypes;
}

void AgentSchedules::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin/agent-schedules");
  rows.add(kGet, "/{tenant}", access.viewer, kNoBody, &AgentSchedules::get,
           "When its agents are to run.", {.id = "getAgentSchedule", .answer = "[AgentRun]"});
  rows.add(kPut, "/{tenant}", access.admin, kib(256), &AgentSchedules::put,
           "Replace the whole schedule by an array of entries.",
           {.id = "putAgentSchedule", .body = "[AgentRun]", .answer = "[AgentRun]"});
}

Result<http::Response> AgentSchedules::get(http::Request& request) {
  const std::string_view tenant = request.param("tenant");
  KVCS_TRY(tenants_.find(tenant));
  const std::string key = keyspace::agent_schedule(tenant);
  const std::string etag = KVCS_TRY(etag_of_record(kv_, KvFamily::kConfig, key));
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
  if (!entry.ok() && entry.code() != Code::kNotFound) return entry.status();
  return std::move(
      http::json_response(200, entry.ok() ? entry.value().value : "[]").set("etag", etag));
}

Result<http::Response> AgentSchedules::put(http::Request& request) {
  const std::string_view tenant = request.param("tenant");
  KVCS_TRY(tenants_.find(tenant));
  const Json body = KVCS_TRY(http::read_body(request));
  const std::vector<Entry> entries = KVCS_TRY(parse(body));
  for (const Entry& entry : entries) KVCS_TRY(normal_name(entry.name).status());
  const std::string text = dump_json(body), key = keyspace::agent_schedule(tenant);
  KVCS_TRY(put_if_match(kv_, audited_, KvFamily::kConfig, key, text,
                        http::header_list(request, "if-match").value_or(""),
                        admin_api::who(request)));
  return get(request);
}

// The key is a hash of day, tenant and name: a job that runs twice a day starts nothing twice.
Status AgentSchedules::post(const std::string& tenant, const Entry& entry) const {
  Json body{{"tenant", tenant},
            {"name", entry.name},
            {"agent_type", entry.agent_type},
            {"message", entry.message}};
  if (!entry.callback_url.empty()) body["callback_url"] = entry.callback_url;
  const std::string day = format_day(clock_.unix_ms());
  http::UpstreamRequest wire;
  wire.method = "POST";
  wire.url = worker_.url;
  wire.body = dump_json(body);
  wire.headers = {{"content-type", "application/json"},
                  {"idempotency-key", sha256_hex(day + "\n" + tenant + "\n" + entry.name)}};
  if (!worker_.key.reveal().empty()) {
    wire.headers.emplace_back("authorization", "Bearer " + worker_.key.reveal());
  }
  wire.deadline_ms = kWorkerDeadlineMs;
  wire.allow_private_addresses = true;  // The operator's own service.
  const auto answer = KVCS_TRY(upstream_.open(wire));
  const Result<std::string> said = answer->read_all(kAnswerMaxBytes);
  if (answer->status() >= 200 && answer->status() < 300) return ok();
  return upstream_failed(
      "The agent worker answered " + std::to_string(answer->status()) +
      (said.ok() ? ": " + printable(said.value(), kShownText) : std::string(".")));
}

void AgentSchedules::note_failure(const std::string& tenant, const std::string& name,
                                  const Status& why) const {
  ErrorRecord record;
  record.ts_ms = clock_.unix_ms();
  record.tenant = tenant;
  record.action = kAction;
  record.method = "POST";
  record.code = why.code() == Code::kTimeout ? "TIMEOUT" : "UPSTREAM_ERROR";
  record.message = name + ": " + why.message();
  record.status = http::http_status(why);
  record_error_(std::move(record));
}

Result<std::string> AgentSchedules::run(const std::function<bool()>& cancelled) {
  const int weekday = weekday_of(clock_.unix_s());
  const std::string prefix = keyspace::agent_schedule("");
  // Collected first and posted then: the scan of the store is not kept open over minutes of
  // posting.
  std::vector<std::pair<std::string, Entry>> due;
  const auto collect = [&](const KvItem& item) -> Status {
    const std::string tenant = item.key.substr(prefix.size());
    const auto record = tenants_.find(tenant);
    if (!record.ok() || !record.value()->active) return ok();
    const Result<Json> list = parse_json(item.entry.value);
    // Imported as it was elsewhere; what does not fit is one tenant's trouble, not everybody's.
    Result<std::vector<Entry>> entries = list.ok() ? parse(list.value()) : list.status();
    if (!entries.ok()) {
      note_failure(tenant, "agent_job_schedule", entries.status());
      return ok();
    }
    for (Entry& entry : entries.value()) {
      if (entry.falls_on(weekday)) due.emplace_back(tenant, std::move(entry));
    }
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, prefix, collect));
  if (due.empty()) return std::string();
  if (worker_.url.empty()) {
    return dump_json(Json{{"due", due.size()}, {"note", "gateway.agent_worker_url is not set."}});
  }
  int64_t posted = 0, failed = 0;
  for (const auto& [tenant, entry] : due) {
    if (cancelled()) return unavailable("Stopped after " + std::to_string(posted) + " entries.");
    const Status sent = post(tenant, entry);
    ++(sent.ok() ? posted : failed);
    if (!sent.ok()) note_failure(tenant, entry.name, sent);
  }
  if (failed == 0) return dump_json(Json{{"posted", posted}});
  return upstream_failed(std::to_string(failed) + " of " + std::to_string(due.size()) +
                         " scheduled agent jobs failed; see the error ledger.");
}

}  // namespace kvcs::gateway
