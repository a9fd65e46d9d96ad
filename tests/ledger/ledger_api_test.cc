// The admin API over the ledger, called as the router would.
#include "ledger/ledger_api.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/entropy.h"
#include "base/json.h"
#include "http/text_body.h"
#include "kv/audited_kv.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"

using namespace kvcs;
using test::LedgerFixture;

namespace {

class TextWriter final : public http::BodyWriter {
 public:
  Status write(std::string_view bytes) override {
    text += bytes;
    return ok();
  }
  bool client_gone() const override { return false; }
  std::string text;
};

struct ApiFixture : LedgerFixture {
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  AuditedKv audited{kv, clock, *entropy};
  LedgerApi api{*ledger, audited, clock};

  using Handler = Result<http::Response> (LedgerApi::*)(http::Request&);
  Result<http::Response> get(Handler handler, std::string_view query) {
    http::Request request;
    request.query = query;
    return (api.*handler)(request);
  }
  Json get_json(Handler handler, std::string_view query) {
    auto response = get(handler, query);
    INFO(response.status().to_string());
    REQUIRE(response.ok());
    auto json = parse_json(response->body);
    REQUIRE(json.ok());
    return *json;
  }
  Result<http::Response> patch(const std::string& id, const std::string& body) {
    http::Request request;
    http::TextBody text(body);
    request.body = &text;
    request.params = {{"id", id}};
    request.principal.kind = PrincipalKind::kAdminKey;
    request.principal.key_id = "k1";
    return api.decide_decision(request);
  }
};

ErrorRecord make_error(int64_t ts_ms, const std::string& tenant) {
  ErrorRecord record;
  record.ts_ms = ts_ms;
  record.tenant = tenant;
  record.message = "m" + std::to_string(ts_ms);
  return record;
}

}  // namespace

TEST_CASE("ledger api: a list sees what was just recorded, filtered and paged", "[unit][ledger]") {
  ApiFixture f;
  const int64_t day = 1'767'225'600'000;  // 2026-01-01
  for (int i = 0; i < 5; i++) f.ledger->record_error(make_error(day + i * 1000, "acme"));
  f.ledger->record_error(make_error(day, "other one"));
  Json page = f.get_json(&LedgerApi::list_errors, "tenant=acme&limit=3&provider=");
  REQUIRE(page["errors"].size() == 3);
  CHECK(page["errors"][0]["ts"] == "2026-01-01T00:00:04.000Z");
  const std::string cursor = page["cursor"];
  page = f.get_json(&LedgerApi::list_errors, "tenant=acme&limit=3&cursor=" + cursor);
  CHECK(page["errors"].size() == 2);
  CHECK(page["cursor"].is_null());
  CHECK(f.get_json(&LedgerApi::list_errors, "tenant=other+one")["errors"].size() == 1);
  CHECK(f.get_json(&LedgerApi::list_errors,
                   "from=2026-01-01T00:00:01Z&to=2026-01-01T00%3A00%3A03Z")["errors"]
            .size() == 2);
  CHECK(f.get_json(&LedgerApi::list_job_runs, "")["job_runs"].empty());
  CHECK(f.get_json(&LedgerApi::list_alerts, "")["alerts"].empty());
  CHECK(f.get_json(&LedgerApi::list_outbox_dead, "")["outbox_dead"].empty());
}

TEST_CASE("ledger api: a parameter that is wrong is named", "[unit][ledger]") {
  ApiFixture f;
  for (const auto& [query, word] :
       {std::pair{"colour=red", "colour"}, std::pair{"from=yesterday", "from"},
        std::pair{"limit=2000", "limit"}, std::pair{"limit=x", "limit"},
        std::pair{"format=xml", "format"}, std::pair{"cursor=1", "cursor"},
        std::pair{"format=csv&limit=1000001", "limit"}}) {
    INFO(query);
    const auto response = f.get(&LedgerApi::list_errors, query);
    CHECK(response.code() == Code::kInvalid);
    CHECK(response.status().message().find(word) != std::string::npos);
  }
}

TEST_CASE("ledger api: a CSV export runs over all pages, or up to its limit", "[unit][ledger]") {
  ApiFixture f;
  for (int i = 0; i < 2500; i++) f.ledger->record_error(make_error(i, "acme"));
  const auto lines = [&](std::string_view query) {
    auto response = f.get(&LedgerApi::list_errors, query);
    REQUIRE(response.ok());
    CHECK(response->headers[0].second == "text/csv; charset=utf-8");
    CHECK(response->headers[1].second.find("errors.csv") != std::string::npos);
    TextWriter out;
    REQUIRE(response->stream(out).ok());
    CHECK(out.text.starts_with("id,ts,"));
    return std::count(out.text.begin(), out.text.end(), '\n');
  };
  CHECK(lines("format=csv") == 2501);
  CHECK(lines("format=csv&limit=1700") == 1701);
  CHECK(lines("format=csv&limit=10") == 11);
  CHECK(lines("format=csv&tenant=nobody") == 1);
}

TEST_CASE("ledger api: a search of the audit looks at so many rows a page, and goes on",
          "[unit][ledger]") {
  ApiFixture f;
  const size_t rows = kSearchedRowsMax + 500;
  f.put_audit("first", "Needle-1", 500);
  for (size_t i = 1; i < rows; i++) f.put_audit("a" + std::to_string(i), "k");
  f.put_audit("last", "needle-2", 2000);
  Json page = f.get_json(&LedgerApi::list_audit, "q=NEEDLE&limit=10");
  REQUIRE(page["audit"].size() == 1);
  CHECK(page["audit"][0]["key"] == "needle-2");
  const std::string cursor = page["cursor"];
  page = f.get_json(&LedgerApi::list_audit, "q=NEEDLE&limit=10&cursor=" + cursor);
  REQUIRE(page["audit"].size() == 1);
  CHECK(page["audit"][0]["key"] == "Needle-1");
  CHECK(page["cursor"].is_null());
  // A page that is full ends there, and the next one begins behind it.
  page = f.get_json(&LedgerApi::list_audit, "q=needle&limit=1");
  CHECK(page["cursor"] != cursor);
  page = f.get_json(&LedgerApi::list_audit, "q=ab");
  CHECK(page["audit"].empty());  // Hashes are not looked at.
  CHECK(f.get(&LedgerApi::list_audit, "q=" + std::string(101, 'a')).code() == Code::kInvalid);

  // The header of a CSV goes on from the rows that it has.
  for (const std::string& after : {std::string(), "&cursor=" + cursor}) {
    const auto csv = f.get(&LedgerApi::list_audit, "q=needle&limit=10&format=csv" + after);
    REQUIRE(csv.ok());
    TextWriter out;
    REQUIRE(csv->stream(out).ok());
    CHECK((out.text.find("needle-2") != std::string::npos) == after.empty());
    CHECK((out.text.find("Needle-1") != std::string::npos) == !after.empty());
  }
}

TEST_CASE("ledger api: the audit chain is proven, or the broken row named", "[unit][ledger]") {
  ApiFixture f;
  f.put_audit("a1", "k1");
  f.put_audit("a2", "k2");
  const Json proof = f.get_json(&LedgerApi::verify_audit, "");
  CHECK(proof["ok"] == true);
  CHECK(proof["rows"] == 2);
  const Json list = f.get_json(&LedgerApi::list_audit, "key=k2");
  REQUIRE(list["audit"].size() == 1);
  CHECK(list["audit"][0]["chain_hash"] == proof["head"]);
  REQUIRE(f.execute("UPDATE kv_audit SET key='other' WHERE id='a1'").ok());
  const auto broken = f.get(&LedgerApi::verify_audit, "");
  CHECK(broken.code() == Code::kConflict);
  CHECK(broken.status().message().find("id a1") != std::string::npos);
}

TEST_CASE("ledger api: without the store a proof is refused but a list still answers",
          "[fault][ledger]") {
  ApiFixture f;
  f.kv.set_plan([](std::string_view) { return unavailable("store down"); });
  CHECK(f.get(&LedgerApi::verify_audit, "").code() == Code::kUnavailable);
  CHECK(f.get(&LedgerApi::list_audit, "").ok());
}

TEST_CASE("ledger api: a decision is patched by its id", "[unit][ledger]") {
  ApiFixture f;
  DecisionRecord record;
  record.id = "d1";
  record.subject = "slack fails";
  REQUIRE(f.ledger->write([&](Database& db) { return insert_decision(db, record); }).ok());
  auto response = f.patch("d1", "{\"status\":\"accepted\"}");
  INFO(response.status().to_string());
  REQUIRE(response.ok());
  auto json = parse_json(response->body);
  REQUIRE(json.ok());
  CHECK((*json)["status"] == "accepted");
  CHECK((*json)["decided_by"] == "adminkey:k1");
  CHECK((*json)["decided_at"] == "2026-01-01T00:00:00.000Z");
  CHECK(f.get_json(&LedgerApi::list_decisions, "status=accepted")["decisions"].size() == 1);
  CHECK(f.patch("d9", "{\"status\":\"accepted\"}").code() == Code::kNotFound);
  CHECK(f.patch("d1", "{\"status\":\"proposed\"}").code() == Code::kInvalid);
  CHECK(f.patch("d1", "{\"state\":\"applied\"}").code() == Code::kInvalid);
  CHECK(f.patch("d1", "[]").code() == Code::kInvalid);
  CHECK(f.patch("d1", "{").code() == Code::kInvalid);
  REQUIRE(f.patch("d1", "{\"status\":\"rejected\"}").ok());
  CHECK(f.patch("d1", "{\"status\":\"applied\"}").code() == Code::kConflict);
}
