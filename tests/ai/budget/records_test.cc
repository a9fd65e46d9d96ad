// Goal: no member of a record of money is lost between its writer and its reader: rows of usage,
// reservations and charges in the journal, counters. Method: every member has a value of its own,
// the daemon's writer writes, the daemon's reader reads, and the two are compared.
#include <nlohmann/json.hpp>

#include <array>

#include "ai/budget/budget_book.h"
#include "ai/budget/budget_support.h"
#include "ai/budget/charge_journal.h"
#include "base/json.h"
#include "base/money.h"
#include "kv/outbox.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"
#include "support/members.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

constexpr int64_t kNoonMs = 1'793'880'000'123;  // In 2026-11.

// Every member has a value of its own; the flags are set apart.
UsageRecord full_record() {
  UsageRecord record;
  int64_t next = 101;
  for (const UsageMember& member : usage_members()) {
    const std::string word = "the " + std::string(member.name);
    if (member.text != nullptr) record.*member.text = word;
    if (member.token_text != nullptr) record.tokens.*member.token_text = word;
    if (member.number != nullptr) record.*member.number = next++;
    if (member.count != nullptr) record.tokens.*member.count = next++;
    if (member.small != nullptr) record.*member.small = static_cast<int>(next++);
  }
  record.ts_ms = kNoonMs;
  record.period = "2026-11";
  return record;
}

// By structured bindings, and not by the table of members, so that a field which the table lacks
// does not compile here.
Members members_of(const UsageRecord& record) {
  const auto& [request_id, attempt, ts_ms, organization_id, user_id, key_id, provider, model,
               tokens, cost_nano_usd, reserved_nano_usd, price_version, first_byte_ms, total_ms,
               status, grace, recovered, period] = record;
  const auto& [input, cache_read, cache_write_5m, cache_write_1h, input_audio, input_image, output,
               reasoning, output_audio, output_image, web_searches, file_searches, code_sessions,
               images_made, service_tier, speed, region, search_size, estimated] = tokens;
  return name_members(
      "request_id attempt ts_ms organization_id user_id key_id provider model input_tokens "
      "cache_read_tokens cache_write_5m_tokens cache_write_1h_tokens input_audio_tokens "
      "input_image_tokens output_tokens reasoning_tokens output_audio_tokens output_image_tokens "
      "web_searches file_searches code_sessions images_made service_tier speed region search_size "
      "cost_nano_usd reserved_nano_usd price_version first_byte_ms total_ms status estimated grace "
      "recovered period",
      request_id, attempt, ts_ms, organization_id, user_id, key_id, provider, model, input,
      cache_read, cache_write_5m, cache_write_1h, input_audio, input_image, output, reasoning,
      output_audio, output_image, web_searches, file_searches, code_sessions, images_made,
      service_tier, speed, region, search_size, cost_nano_usd, reserved_nano_usd, price_version,
      first_byte_ms, total_ms, status, estimated, grace, recovered, period);
}

// The same record with each of its flags set alone, and with none.
std::array<UsageRecord, 4> with_each_flag(const UsageRecord& record) {
  std::array<UsageRecord, 4> all = {record, record, record, record};
  all[1].tokens.estimated = true;
  all[2].grace = true;
  all[3].recovered = true;
  return all;
}

// A row as GET /admin/usage shows it, under the names and in the units of the record.
Members members_of_page(const std::string& row_json, const Members& like) {
  const Json row = parse_json_exact(row_json).value();
  CHECK(row.size() == like.size());
  Members members;
  for (const auto& [name, unused] : like) {
    INFO("member " << name << " of " << row_json);
    std::string text;
    if (name == "ts_ms") {
      text = std::to_string(parse_iso8601_ms(row.at("ts").get<std::string>()).value());
    } else if (const size_t unit = name.find("_nano_usd"); unit != name.npos) {
      JsonReader reader(row);
      const std::string amount = reader.decimal(name.substr(0, unit) + "_usd");
      text = std::to_string(parse_nano_usd(amount, name).value());
    } else {
      const Json& value = row.at(name);
      text = value.is_string() ? value.get<std::string>() : dump_json(value);
    }
    members.emplace_back(name, text);
  }
  return members;
}

OpenReservation full_reservation() {
  return {.request_id = "request",
          .key_id = "key",
          .user_id = "user",
          .organization_id = "organization",
          .month = "2026-11",
          .estimate = 201,
          .input_only = 202,
          .created_ms = kNoonMs,
          .grace = true,
          .grace_day = format_day(kNoonMs),
          .provider = "provider",
          .model = "model",
          .price_version = "version",
          .attempt = 203,
          .output_token_pico = 204};
}

// What the journal holds. Limits, counters and the slot belong to the process.
Members members_of(const OpenReservation& open) {
  const auto& [request_id, key_id, user_id, organization_id, month, estimate, input_only,
               created_ms, grace, grace_day, provider, model, price_version, attempt,
               output_token_pico, limits, counters, slot, user_grace, tell_refusal] = open;
  (void)limits;
  (void)counters;
  (void)slot;
  (void)user_grace;
  (void)tell_refusal;
  return name_members(
      "request_id key_id user_id organization_id month estimate input_only created_ms grace "
      "grace_day provider model price_version attempt output_token_pico",
      request_id, key_id, user_id, organization_id, month, estimate, input_only, created_ms, grace,
      grace_day, provider, model, price_version, attempt, output_token_pico);
}

Members members_of(const BudgetView& view) {
  const auto& [used, reserved, request_count, error_count, month, rows] = view;
  (void)reserved;  // Never stored: it ends with the process.
  (void)rows;      // Of an organization alone.
  return name_members("used request_count error_count month", used, request_count, error_count,
                      month);
}

}  // namespace

TEST_CASE("records: a usage row is read with every member that the budget wrote",
          "[unit][ai][records]") {
  for (const UsageRecord& written : with_each_flag(full_record())) {
    UsageRecord read = full_record();  // What it held must go.
    const Status parsed = parse_usage(usage_json(written), read);
    INFO(parsed.to_string());
    REQUIRE(parsed.ok());
    check_same(members_of(written), members_of(read), members_of(UsageRecord{}));
  }
}

TEST_CASE("records: a usage row reaches the admin's list with every member",
          "[unit][ai][ledger][records]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  const auto written = with_each_flag(full_record());
  std::vector<std::string> ids, rows;
  for (size_t i = 0; i < written.size(); i++) {
    UsageRecord record = written[i];
    record.request_id += std::to_string(i);
    ids.push_back(record.request_id);
    rows.push_back(usage_json(record));
  }
  std::vector<OutboxPart> parts;
  for (size_t i = 0; i < ids.size(); i++) parts.push_back({ids[i], rows[i]});
  KvBatch batch;
  add_group_to_outbox(batch, "usage", kNoonMs, parts);
  REQUIRE(f.kv.write(batch, KvDurability::kSynced).ok());
  REQUIRE(f.ledger->drain().ok());
  for (size_t i = 0; i < written.size(); i++) {
    const auto page = f.ledger->query({.table = "usage", .equals = {{"request_id", ids[i]}}});
    REQUIRE(page.ok());
    REQUIRE(page->rows.size() == 1);
    UsageRecord record = written[i];
    record.request_id = ids[i];
    const Members wanted = members_of(record);
    check_same(wanted, members_of_page(page->rows[0], wanted), members_of(UsageRecord{}));
  }
}

TEST_CASE("records: a reservation and a charge come back from the journal's file",
          "[unit][ai][records]") {
  const TempDir dir;
  const std::string path = dir.file("charges.journal");
  const OpenReservation open = full_reservation();
  UsageRecord record = full_record();
  record.grace = true;
  {
    ChargeJournal journal;
    REQUIRE(journal.open(path).ok());
    const Result<uint32_t> slot = journal.begin(reservation_json(open));
    REQUIRE(slot.ok());
    REQUIRE(journal.note_charge(*slot, usage_json(record)).ok());
  }
  const Result<ChargeJournal::Left> left = ChargeJournal::read(path);
  REQUIRE(left.ok());
  CHECK(left->damaged == 0);
  REQUIRE(left->all.size() == 1);
  const Result<OpenReservation> read = parse_reservation(left->all[0].reservation_json);
  INFO(read.status().to_string());
  REQUIRE(read.ok());
  // The day of grace is that of the time.
  check_same(members_of(open), members_of(*read), members_of(OpenReservation{}));

  const Result<ChargedRow> row = parse_charge(left->all[0].charge_json);
  INFO(row.status().to_string());
  REQUIRE(row.ok());
  check_same(members_of(record), members_of(row->charge), members_of(UsageRecord{}));
  const OpenReservation& whose = row->open;
  CHECK(whose.request_id == record.request_id);
  CHECK(whose.organization_id == record.organization_id);
  CHECK(whose.user_id == record.user_id);
  CHECK(whose.key_id == record.key_id);
  CHECK(whose.month == record.period);
  CHECK(whose.grace);
  CHECK(whose.grace_day == format_day(record.ts_ms));
}

TEST_CASE("records: a reservation without grace reads back without it", "[unit][ai][records]") {
  OpenReservation open = full_reservation();
  open.grace = false;
  CHECK_FALSE(parse_reservation(reservation_json(open)).value().grace);
}

TEST_CASE("records: counters are read from the store as they were settled", "[unit][ai][records]") {
  const ManualClock clock(kNoonMs);
  const auto kv = make_memory_kv(clock);
  BudgetView wanted;
  {
    Budgets budgets(*kv, clock);
    for (const int status : {200, 500, 200}) {
      Result<Reservation> held = budgets.reserve(ask("r" + std::to_string(status), 100));
      REQUIRE(held.ok());
      held->settle(charge(70, status));
    }
    wanted = budgets.view("user", ask("", 0).user_id, "").value();
  }
  const Budgets later(*kv, clock);
  const Members written = members_of(wanted);
  CHECK(written == members_of(BudgetView{210, 0, 3, 1, "2026-11"}));
  for (const std::string kind : {"key", "user", "org"}) {
    INFO(kind);
    const BudgetAsk who = ask("", 0);
    const std::string& id = kind == "key"    ? who.key_id
                            : kind == "user" ? who.user_id
                                             : who.organization_id;
    check_same(written, members_of(later.view(kind, id, "2026-11").value()),
               members_of(BudgetView{}));
  }
}

TEST_CASE("records: what is put into the outbox, alone or in a group, comes out whole",
          "[unit][kv][records]") {
  const ManualClock clock(kNoonMs);
  const auto kv = make_memory_kv(clock);
  const auto members = [](const OutboxRecord& record) {
    const auto& [id, unix_ms, kind, payload_json] = record;
    return name_members("id unix_ms kind payload_json", id, unix_ms, kind, payload_json);
  };
  const std::vector<OutboxRecord> written = {{"one", 11, "alert", "{\"a\":1}"},
                                             {"two", 22, "usage", "{\"b\":\"\\n\"}"},
                                             {"three:3", 22, "usage", "12 3\n{}"}};
  KvBatch batch;
  add_to_outbox(batch, written[0].kind, written[0].id, written[0].unix_ms, written[0].payload_json);
  const std::array<OutboxPart, 2> group = {
      {{written[1].id, written[1].payload_json}, {written[2].id, written[2].payload_json}}};
  add_group_to_outbox(batch, "usage", 22, group);
  REQUIRE(kv->write(batch, KvDurability::kSynced).ok());
  std::vector<OutboxRecord> read;
  REQUIRE(for_each_in_outbox(*kv, [&](const OutboxRecord& record) -> Status {
            read.push_back(record);
            return ok();
          }).ok());
  REQUIRE(read.size() == written.size());
  for (size_t i = 0; i < read.size(); i++) {
    check_same(members(written[i]), members(read[i]), members({}));
  }
}
