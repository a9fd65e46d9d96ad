// Usage rows at the doors of the whole daemon: the filters of GET /admin/usage/requests, its CSV
// and pages, GET /v1/usage/{request_id} with its attempts, and every member of a record in each.
// Method: records are put into the outbox as a settlement would, and read back over HTTP.
#include <nlohmann/json.hpp>

#include <chrono>

#include "base/json.h"
#include "kv/outbox.h"
#include "support/ai_house.h"
#include "support/usage_walk.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

void put(AiHouse& house, const UsageRecord& record) {
  KvBatch batch;
  add_to_outbox(batch, "usage", record.request_id, record.ts_ms, usage_json(record));
  REQUIRE(house.app.parts().kv->write(batch, KvDurability::kSynced).ok());
}

// 2026-11-05T12:00:00Z and so many seconds.
int64_t at_s(int64_t seconds) {
  return 1'793'880'000'000 + seconds * 1000;
}

UsageRecord row(const std::string& id, int64_t seconds, int status, int64_t cost) {
  UsageRecord record;
  record.request_id = id;
  record.ts_ms = at_s(seconds);
  record.organization_id = "o1";
  record.user_id = "u1";
  record.key_id = "k1";
  record.provider = "openai";
  record.model = "gpt-4o-mini";
  record.period = "2026-11";
  record.status = status;
  record.cost_nano_usd = cost;
  return record;
}

// The ids of the rows that the query finds, newest first, or the refusal.
std::string found(const AiHouse& house, const std::string& query) {
  const RawResponse answer = house.admin("GET", "/admin/usage/requests?" + query);
  if (answer.status != 200) {
    return std::to_string(answer.status) + " " + json_text(answer.body, "error");
  }
  std::string ids;
  const Json page = parse_json(answer.body).value();
  for (const Json& one : page["requests"]) {
    ids += (ids.empty() ? "" : " ") + one["request_id"].get<std::string>();
  }
  return ids;
}

}  // namespace

TEST_CASE(
    "ai usage: every member of a record is in the admin's list, its CSV and the user's answer",
    "[contract][ai][records]") {
  AiHouse house;
  UsageRecord record = walked_record();
  record.user_id = house.user;
  put(house, record);
  const auto members = [](const Json& json) {
    OutsideMembers all;
    for (const auto& [name, value] : json.items()) {
      if (name == "attempts") continue;
      all.emplace_back(name, value.is_string() ? value.get<std::string>() : dump_json(value));
    }
    return all;
  };
  const std::string list = house.admin("GET", "/admin/usage/requests").body;
  INFO(list);
  const Json page = parse_json_exact(list).value();
  REQUIRE(page["requests"].size() == 1);
  CHECK(members(page["requests"][0]) == outside(record));
  const RawResponse own = house.app.as(house.key, "GET", "/v1/usage/" + record.request_id);
  INFO(own.body);
  const Json answer = parse_json_exact(own.body).value();
  CHECK(members(answer) == outside(record));
  REQUIRE(answer["attempts"].size() == 1);
  CHECK(members(answer["attempts"][0]) == outside(record));
  std::string header, line;
  for (const auto& [name, value] : outside(record)) {
    header += (header.empty() ? "" : ",") + name;
    line += (line.empty() ? "" : ",") + value;
  }
  CHECK(house.admin("GET", "/admin/usage/requests?format=csv").body ==
        header + "\r\n" + line + "\r\n");
}

TEST_CASE("ai usage: single requests are found by what they were, cost and became",
          "[contract][ai]") {
  AiHouse house;
  put(house, row("ok1", 1, 200, 1'000'000'000));
  put(house, row("client1", 2, 400, 0));
  put(house, row("rate1", 3, 429, 0));
  put(house, row("gone1", 4, 499, 20'000'000));
  put(house, row("down1", 5, 502, 30'000'000));
  put(house, row("late1", 6, 504, 40'000'000));
  put(house, row("broke1", 7, 529, 0));
  UsageRecord died = row("died1", 8, 500, 50'000'000);
  died.recovered = true;
  put(house, died);
  UsageRecord other = row("other1", 9, 200, 500);
  other.model = "claude";
  other.provider = "anthropic";
  other.user_id = "u2";
  other.key_id = "k2";
  other.organization_id = "o2";
  put(house, other);
  UsageRecord tried = row("tried1.1", 10, 502, 10);
  tried.attempt = 1;
  put(house, tried);
  UsageRecord last = row("tried1", 11, 200, 20);
  last.attempt = 2;
  put(house, last);

  CHECK(found(house, "") ==
        "tried1 tried1.1 other1 died1 broke1 late1 down1 gone1 rate1 client1 ok1");
  CHECK(found(house, "status=429") == "rate1");
  CHECK(found(house, "status=200&model=claude") == "other1");
  CHECK(found(house, "status=418").empty());
  CHECK(found(house, "outcome=ok") == "tried1 other1 ok1");
  CHECK(found(house, "outcome=client_error") == "client1");
  CHECK(found(house, "outcome=rate_limited") == "rate1");
  CHECK(found(house, "outcome=refused").empty());
  CHECK(found(house, "outcome=client_gone") == "gone1");
  CHECK(found(house, "outcome=timeout") == "late1");
  CHECK(found(house, "outcome=provider_error") == "tried1.1 broke1 down1");
  CHECK(found(house, "outcome=recovered") == "died1");
  CHECK(found(house, "outcome=failed") == "tried1.1 died1 broke1 late1 down1 gone1 rate1 client1");
  CHECK(found(house, "model=claude") == "other1");
  CHECK(found(house, "provider=anthropic") == "other1");
  CHECK(found(house, "user_id=u2") == "other1");
  CHECK(found(house, "key_id=k2") == "other1");
  CHECK(found(house, "org_id=o2") == "other1");
  CHECK(found(house, "org_id=o2&user_id=u1").empty());
  CHECK(found(house, "request_id=down1") == "down1");
  CHECK(found(house, "request_id=tried1") == "tried1 tried1.1");
  CHECK(found(house, "request_id=tried1.1") == "tried1.1");
  CHECK(found(house, "request_id=tried").empty());
  CHECK(found(house, "min_cost_usd=0.03") == "died1 late1 down1 ok1");
  CHECK(found(house, "max_cost_usd=0.00000002") == "tried1 tried1.1 broke1 rate1 client1");
  CHECK(found(house, "min_cost_usd=0.03&max_cost_usd=0.04") == "late1 down1");
  CHECK(found(house, "min_cost_usd=0.000000001&max_cost_usd=0.00000001") == "tried1.1");
  CHECK(found(house, "from=2026-11-05T12:00:09Z") == "tried1 tried1.1 other1");
  CHECK(found(house, "to=2026-11-05T12:00:03Z") == "client1 ok1");
  CHECK(found(house, "from=2026-11-05T12:00:02Z&to=2026-11-05T12:00:04Z") == "rate1 client1");
  // Empty fields of a form are no filters.
  CHECK(found(house, "status=&outcome=&model=claude&min_cost_usd=") == "other1");
  for (const char* bad :
       {"status=abc", "status=-1", "outcome=bad", "outcome=OK", "min_cost_usd=abc",
        "max_cost_usd=-1", "min_cost_usd=1e-12", "from=yesterday", "to=1", "limit=0", "limit=1001",
        "limit=x", "cursor=x", "format=xml", "request_ids=a", "cost_usd=1", "tries_of=a"}) {
    const std::string refused = found(house, bad);
    INFO(bad << ": " << refused);
    CHECK(refused.starts_with("400 "));
    CHECK(has(refused, std::string(bad).substr(0, std::string(bad).find('='))));
  }
  CHECK(has(found(house, "outcome=bad"), "ok, client_error, rate_limited, provider_error"));
  CHECK(has(found(house, "outcome=bad"), "refused, failed"));
}

TEST_CASE("ai usage: pages are complete and without overlap, as JSON and as CSV",
          "[contract][ai]") {
  AiHouse house;
  std::string all;
  for (int i = 0; i < 7; i++) {
    const std::string id = "r" + std::to_string(i);
    put(house, row(id, i / 2, i % 2 == 0 ? 200 : 502, 1));  // Two in one second.
    if (i % 2 == 0) all = id + (all.empty() ? "" : " ") + all;
  }
  std::string json, csv, cursor, csv_cursor;
  for (int page = 0; page < 2; page++) {
    const std::string query = "outcome=ok&limit=2";
    const RawResponse list = house.admin(
        "GET", "/admin/usage/requests?" + query + (page > 0 ? "&cursor=" + cursor : ""));
    const Json body = parse_json(list.body).value();
    CHECK(body["requests"].size() == 2);
    for (const Json& one : body["requests"]) {
      json += (json.empty() ? "" : " ") + one["request_id"].get<std::string>();
    }
    CHECK(body["cursor"].is_null() == (page == 1));
    cursor = text_member(body, "cursor");
    const RawResponse lines = house.admin("GET", "/admin/usage/requests?format=csv&" + query +
                                                     (page > 0 ? "&cursor=" + csv_cursor : ""));
    CHECK(lines.header("content-type") == "text/csv; charset=utf-8");
    csv_cursor = lines.header("x-next-cursor");
    CHECK(csv_cursor.empty() == (page == 1));
    size_t begin = lines.body.find("\r\n") + 2;
    for (size_t end; (end = lines.body.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
      csv +=
          (csv.empty() ? "" : " ") + lines.body.substr(begin, lines.body.find(',', begin) - begin);
    }
  }
  CHECK(json == all);
  CHECK(csv == all);
  // Without a limit a CSV has every row.
  const std::string whole = house.admin("GET", "/admin/usage/requests?format=csv").body;
  CHECK(std::count(whole.begin(), whole.end(), '\n') == 8);
}

TEST_CASE("ai usage: a request of several tries is one answer to its user, and nobody else's",
          "[contract][ai]") {
  AiHouse house;
  UsageRecord first = row("tried1.1", 1, 502, 30);
  first.attempt = 1;
  first.user_id = house.user;
  first.tokens.input = 10;
  first.tokens.estimated = true;
  UsageRecord last = row("tried1", 2, 200, 50);
  last.attempt = 2;
  last.user_id = house.user;
  last.tokens.input = 5;
  last.tokens.output = 7;
  put(house, first);
  put(house, last);
  put(house, row("foreign1", 3, 200, 1));
  const Json answer =
      parse_json_exact(house.app.as(house.key, "GET", "/v1/usage/tried1").body).value();
  CHECK(answer["input_tokens"] == 15);
  CHECK(answer["output_tokens"] == 7);
  CHECK(dump_json(answer["cost_usd"]) == "0.00000008");
  CHECK(answer["estimated"] == true);
  CHECK(answer["status"] == 200);
  REQUIRE(answer["attempts"].size() == 2);
  CHECK(answer["attempts"][0]["attempt"] == 1);
  CHECK(answer["attempts"][1]["attempt"] == 2);
  CHECK(house.app.as(house.key, "GET", "/v1/usage/foreign1").status == 404);
  CHECK(house.app.as(house.key, "GET", "/v1/usage/tried").status == 404);
  const Json sums = parse_json(house.admin("GET", "/admin/usage?group_by=day").body).value();
  CHECK(sums["usage"][0]["requests"] == 2);
  CHECK(sums["usage"][0]["failures"] == 0);
}

TEST_CASE("ai usage: days are split by what was called, and compared with the budget",
          "[contract][ai]") {
  AiHouse house;
  UsageRecord other = row("b", 2, 200, 70);
  other.model = "gpt-5";
  UsageRecord late = row("c", 90'000, 500, 20);
  late.user_id = house.user;
  put(house, row("a", 1, 200, 30));
  put(house, other);
  put(house, late);
  const auto report = [&](const std::string& query) {
    return parse_json_exact(house.admin("GET", "/admin/usage?" + query).body).value();
  };
  const Json split = report("group_by=day&split_by=model");
  CHECK(split["split_by"] == "model");
  REQUIRE(split["usage"].size() == 3);
  const auto is = [&](size_t at, const char* day, const char* model, const char* usd) {
    CHECK(split["usage"][at]["day"] == day);
    CHECK(split["usage"][at]["model"] == model);
    CHECK(dump_json(split["usage"][at]["cost_usd"]) == usd);
  };
  // The dearest of a day first.
  is(0, "2026-11-05", "gpt-5", "0.00000007");
  is(1, "2026-11-05", "gpt-4o-mini", "0.00000003");
  is(2, "2026-11-06", "gpt-4o-mini", "0.00000002");
  CHECK(report("group_by=day&split_by=model&user_id=" + house.user)["usage"].size() == 1);
  const std::string csv = house.admin("GET", "/admin/usage?split_by=model&format=csv").body;
  CHECK(csv.starts_with("day,model,requests,failures,input_tokens,"));
  CHECK(csv.find("2026-11-05,gpt-5,1,0,") != std::string::npos);

  for (const char* wrong : {"split_by=colour", "group_by=model&split_by=user", "split_by=day"}) {
    const RawResponse refused = house.admin("GET", "/admin/usage?" + std::string(wrong));
    CHECK(refused.status == 400);
    CHECK(json_text(refused.body, "error").starts_with("split_by: "));
  }

  // The only organization's budget, or that of the user who is asked for; none of a part of it.
  const auto budget_of = [&](const std::string& query) -> Json {
    return parse_json(house.admin("GET", "/admin/usage?group_by=day" + query).body)
        .value()
        .at("budget");
  };
  const Json budget = budget_of("");
  CHECK(budget == budget_of("&org_id=" + house.org));
  CHECK(budget["used_usd"] == 0);
  const std::string month = budget["month"].get<std::string>();
  const std::chrono::year year(std::stoi(month.substr(0, 4)));
  const std::chrono::year_month_day_last last =
      year / std::chrono::month(static_cast<unsigned>(std::stoi(month.substr(5)))) /
      std::chrono::last;
  CHECK(budget["limit_usd"] > 0);
  CHECK(budget["daily_usd"].get<double>() ==
        Approx(budget["limit_usd"].get<double>() / static_cast<unsigned>(last.day())));
  const Json own = budget_of("&user_id=" + house.user);
  CHECK(own["limit_usd"] == 5);
  CHECK(own["month"] == json_text(house.usage(), "current_month"));
  CHECK(budget_of("&model=gpt-5").is_null());
  CHECK(budget_of("&user_id=nobody").is_null());
  const std::string second = R"({"name":"second","slug":"second"})";
  REQUIRE(house.admin("POST", "/admin/organizations", second).status < 300);
  CHECK(budget_of("").is_null());
  CHECK(budget_of("&org_id=" + house.org) == budget);
}
