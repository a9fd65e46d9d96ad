// Makes the house of the walks, and reads its books.
#include "support/walk_house.h"

#include <nlohmann/json.hpp>

#include "ai/budget/budget.h"
#include "base/json.h"
#include "base/money.h"

namespace kvcs::test {
namespace {

int64_t nano(const Json& row, const char* name) {
  if (!row.contains(name)) return 0;
  return parse_nano_usd(dump_json(row[name]), name).value();
}

WalkRow row_of(const Json& one) {
  return {.id = text_member(one, "request_id"),
          .provider = text_member(one, "provider"),
          .user = text_member(one, "user_id"),
          .key = text_member(one, "key_id"),
          .cost = nano(one, "cost_usd"),
          .reserved = nano(one, "reserved_usd"),
          .output_tokens = one.contains("output_tokens") ? integer_member(one, "output_tokens") : 0,
          .status = static_cast<int>(integer_member(one, "status")),
          .estimated = one.value("estimated", false),
          .recovered = one.value("recovered", false),
          .text = dump_json(one)};
}

}  // namespace

WalkHouse::WalkHouse(uint64_t seed, WalkSize walk_size, std::function<void()> at_each_step)
    : size(walk_size), provider(seed, std::move(at_each_step)), house([](Config& config) {
        config.ai.aliases = kAliases;
        config.alerts.quiet_s = 0;
      }) {
  for (const char* name : {"alpha", "beta"}) house.put_provider(name, "openai", provider.url(name));
  for (const char* name : {"gamma", "delta"}) {
    house.put_provider(name, "anthropic", provider.url(name));
  }
  for (const BillingProvider::PriceRow& row : BillingProvider::price_rows()) {
    const RawResponse put = house.admin("PUT", "/admin/ai/prices/" + row.name, row.json);
    INFO(row.json << " -> " << put.body);
    REQUIRE(put.status == 200);
  }
  // What the asks of the walks name, as if it had been made elsewhere.
  for (const char* name : {"alpha", "beta", "gamma", "delta"}) {
    for (const char* id : {"file_1", "resp_0"}) {
      REQUIRE(house
                  .admin("PUT",
                         "/admin/organizations/" + house.org + "/ai-objects/" + name + "/" + id,
                         "{}")
                  .status == 200);
    }
  }
  const std::string usd = limit_of(90);
  house.change_org(R"({"monthly_budget_usd":")" + usd +
                   R"(","log_bodies":true,"max_output_tokens":700})");
  limit("org", house.org, usd);
  for (int i = 0; i < 4; i++) add_user(i);
}

std::string WalkHouse::limit_of(int64_t cents) const {
  return format_usd(cents * size.budget_times * 10'000'000);
}

void WalkHouse::limit(const std::string& kind, const std::string& id, const std::string& usd) {
  limited.push_back({kind, id, usd.empty() ? -1 : parse_nano_usd(usd, "").value()});
}

void WalkHouse::add_user(int number) {
  const std::string usd = limit_of(15 + 10 * number);
  const std::string user = json_text(house
                                         .admin("POST", "/admin/users",
                                                R"({"email":"u)" + std::to_string(number) +
                                                    R"(@example.com","monthly_limit_usd":)" + usd +
                                                    R"(,"org_id":")" + house.org + "\"}")
                                         .body,
                                     "user_id");
  limit("user", user, usd);
  for (int i = 0; i < size.keys_per_user; i++) {
    const std::string key_usd = i % 2 == 0 ? "" : limit_of(6);
    const std::string more = key_usd.empty() ? "" : R"(,"monthly_limit_usd":)" + key_usd;
    const RawResponse made =
        house.admin("POST", "/admin/users/" + user + "/api-keys", R"({"name":"k")" + more + "}");
    keys.push_back(json_text(made.body, "api_key"));
    REQUIRE_FALSE(keys.back().empty());
    key_ids.push_back(json_text(made.body, "key_id"));
    limit("key", key_ids.back(), key_usd);
  }
}

std::vector<WalkRow> rows_of(const AiHouse& house) {
  std::vector<WalkRow> rows;
  std::string cursor;
  do {
    const std::string page = house
                                 .admin("GET", "/admin/usage/requests?limit=500" +
                                                   (cursor.empty() ? "" : "&cursor=" + cursor))
                                 .body;
    const Json list = parse_json_exact(page).value();
    for (const Json& one : list["requests"]) rows.push_back(row_of(one));
    cursor = text_member(list, "cursor");
  } while (!cursor.empty());
  return rows;
}

void check_counters(WalkHouse& walk, const std::vector<WalkRow>& rows) {
  ai::Budgets& budgets = *walk.house.app.parts().ai.budgets;
  for (const Limited& one : walk.limited) {
    int64_t sum = 0, requests = 0;
    for (const WalkRow& row : rows) {
      if (one.kind != "org" && row.user != one.id && row.key != one.id) continue;
      sum += row.cost;
      // The row of an earlier try has the request's id and its number.
      requests += row.id.find('.') == row.id.npos ? 1 : 0;
    }
    const ai::BudgetView view = budgets.view(one.kind, one.id, "").value();
    INFO(one.kind << " " << one.id);
    CHECK(view.used_nano_usd == sum);
    CHECK(view.request_count == requests);
    CHECK(view.reserved_nano_usd == 0);
    if (one.limit_nano_usd >= 0) CHECK(view.used_nano_usd <= one.limit_nano_usd);
    if (one.kind != "user") continue;
    const Json shown =
        parse_json_exact(walk.house.admin("GET", "/admin/users/" + one.id + "/usage").body).value();
    CHECK(nano(shown, "current_usage_usd") == sum);
    CHECK(nano(shown, "reserved_usd") == 0);
  }
}

void check_no_alerts(const WalkHouse& walk) {
  const std::string alerts = walk.house.admin("GET", "/admin/alerts?limit=1000").body;
  for (const char* event : {"ai.above_reservation", "ai.absurd_usage", "ai.unpriced_dimension"}) {
    INFO(alerts);
    CHECK_FALSE(has(alerts, event));
  }
}

}  // namespace kvcs::test
