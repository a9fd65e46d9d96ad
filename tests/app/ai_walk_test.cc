// Money of random requests: limits are never passed, and the ledger, the counters and what the
// providers billed agree. Method: many clients at once make requests over all APIs with all that
// costs, leave when they like, and are answered well or badly by providers that bill by rules of
// their own (support/billing_provider.h). A request and its answer follow from the seed.
#include <nlohmann/json.hpp>
#include <poll.h>

#include <atomic>
#include <map>
#include <set>

#include "ai/budget/budget.h"
#include "base/json.h"
#include "base/money.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "support/ai_house.h"
#include "support/billing_provider.h"
#include "support/chance.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string one_of(Random& random, const std::vector<std::string>& words) {
  return words[static_cast<size_t>(between(random, 0, static_cast<int64_t>(words.size()) - 1))];
}
std::string text(Random& random, int64_t most) {
  return std::string(static_cast<size_t>(between(random, 1, most)), 'a');
}

// --- Requests ---

enum class Leave { kNever, kAtOnce, kBeforeHead, kInAnswer };

struct Ask {
  std::string path, body, marker;
  Leave leave = Leave::kNever;
};

Json picture(Random& random, const std::string& api) {
  const std::string url = "https://a.example/b.png", inside(1'000, 'A');
  const bool is_inside = chance(random, 50);
  if (api == "messages") {
    return {{"type", "image"},
            {"source",
             {{"type", is_inside ? "base64" : "url"},
              {is_inside ? "data" : "url", is_inside ? inside : url}}}};
  }
  const std::string address = is_inside ? "data:image/png;base64," + inside : url;
  if (api == "responses") return {{"type", "input_image"}, {"image_url", address}};
  return {{"type", "image_url"}, {"image_url", {{"url", address}}}};
}

Json file(const std::string& api) {
  if (api == "messages") {
    return {{"type", "document"}, {"source", {{"type", "file"}, {"file_id", "file_1"}}}};
  }
  if (api == "responses") return {{"type", "input_file"}, {"file_id", "file_1"}};
  return {{"type", "file"}, {"file", {{"file_id", "file_1"}}}};
}

Json function_tool(const std::string& api) {
  const Json schema = {{"type", "object"}, {"properties", {{"city", {{"type", "string"}}}}}};
  if (api == "messages") return {{"name", "weather"}, {"input_schema", schema}};
  if (api == "responses") {
    return {{"type", "function"}, {"name", "weather"}, {"parameters", schema}};
  }
  return {{"type", "function"}, {"function", {{"name", "weather"}, {"parameters", schema}}}};
}

Json content(Random& random, const std::string& api, const std::string& model) {
  if (chance(random, 40)) return text(random, chance(random, 20) ? 6'000 : 400);
  Json parts = Json::array();
  parts.push_back(
      {{"type", api == "responses" ? "input_text" : "text"}, {"text", text(random, 300)}});
  if (chance(random, 20)) parts.push_back(picture(random, api));
  if (chance(random, 5)) parts.push_back(file(api));
  if (api == "chat" && model != "alpha/tre" && chance(random, 20)) {
    parts.push_back({{"type", "input_audio"},
                     {"input_audio", {{"data", std::string(400, 'A')}, {"format", "wav"}}}});
  }
  if (api == "messages" && chance(random, 40)) {
    parts[0]["cache_control"] = {{"type", "ephemeral"}};
    if (chance(random, 50)) parts[0]["cache_control"]["ttl"] = one_of(random, {"5m", "1h"});
  }
  return parts;
}

void add_chat(Random& random, const std::string& model, Json& body) {
  if (chance(random, 25)) body["n"] = between(random, 1, 3);
  if (chance(random, 70)) {
    body[one_of(random, {"max_tokens", "max_completion_tokens"})] = between(random, -1, 1'500);
  }
  if (chance(random, 10)) body["max_tokens"] = between(random, -1, 300);
  if (body.contains("stream") && chance(random, 40)) {
    body["stream_options"] = {{"include_usage", true}};
  }
  if (chance(random, 15)) body["reasoning_effort"] = one_of(random, {"low", "high"});
  if (chance(random, 10)) {
    body["prediction"] = {{"type", "content"}, {"content", text(random, 200)}};
  }
  if (model == "alpha/tre") return;
  if (chance(random, 15)) body["modalities"] = {"text", "audio"};
  if (chance(random, 15)) {
    body["web_search_options"] = Json::object();
    if (chance(random, 60)) {
      body["web_search_options"]["search_context_size"] = one_of(random, {"low", "high"});
    }
  }
}

void add_responses(Random& random, const std::string& model, Json& body) {
  if (chance(random, 70)) body["max_output_tokens"] = between(random, 0, 1'500);
  if (chance(random, 15)) body["reasoning"] = {{"effort", "low"}};
  if (chance(random, 15)) body["previous_response_id"] = "resp_0";
  if (model == "alpha/tre" || chance(random, 60)) return;
  Json& tools = body["tools"];
  tools.push_back({{"type", one_of(random, {"web_search", "file_search", "image_generation"})}});
  if (chance(random, 30) && tools[0]["type"] == "web_search") {
    tools[0]["search_context_size"] = one_of(random, {"low", "medium", "high"});
  }
  if (chance(random, 30)) {
    tools.push_back({{"type", "code_interpreter"}, {"container", {{"type", "auto"}}}});
  }
  if (chance(random, 50)) body["max_tool_calls"] = between(random, 0, 4);
}

void add_messages(Random& random, Json& body) {
  body["max_tokens"] = between(random, 1, 1'500);
  if (chance(random, 15)) {
    body["max_tokens"] = between(random, 600, 1'000);
    body["thinking"] = {{"type", "enabled"}, {"budget_tokens", between(random, 100, 500)}};
  }
  if (chance(random, 15)) body["speed"] = "fast";
  if (chance(random, 15)) body["inference_geo"] = "us";
  if (chance(random, 20)) body["service_tier"] = one_of(random, {"auto", "standard_only"});
  if (chance(random, 10))
    body["context_management"] = {{"edits", {{{"type", "compact_20260112"}}}}};
  if (chance(random, 20)) {
    Json tool = {{"type", "web_search_20250305"}, {"name", "web_search"}};
    if (chance(random, 60)) tool["max_uses"] = between(random, 1, 3);
    body["tools"].push_back(tool);
  } else if (chance(random, 10)) {
    body["tools"].push_back({{"type", "web_fetch_20250910"}, {"name", "web_fetch"}});
  }
}

Ask make_ask(Random& random, const std::string& marker) {
  Ask ask{.path = {}, .body = {}, .marker = marker};
  if (chance(random, 25)) {
    ask.leave = static_cast<Leave>(between(random, 1, 3));
    if (ask.leave == Leave::kBeforeHead) ask.marker += "-held";
  }
  const std::string api = one_of(random, {"chat", "chat", "responses", "messages", "embeddings"});
  Json body;
  if (api == "messages") {
    body["metadata"] = {{"user_id", ask.marker}};
  } else {
    body["user"] = ask.marker;
  }
  if (api == "embeddings") {
    ask.path = "/v1/embeddings";
    body["model"] = "alpha/vec";
    for (int64_t i = between(random, 1, 4); i > 0; i--)
      body["input"].push_back(text(random, 5'000));
    ask.body = body.dump();
    return ask;
  }
  const std::string model = api == "messages" ? one_of(random, {"gamma/due", "pair"})
                                              : one_of(random, {"alpha/uno", "alpha/tre", "both"});
  body["model"] = model;
  if (chance(random, 60)) body["stream"] = true;
  const char* member = api == "responses" ? "input" : "messages";
  for (int64_t i = between(random, 1, 3); i > 0; i--) {
    body[member].push_back({{"role", "user"}, {"content", content(random, api, model)}});
  }
  if (chance(random, 15)) body["tools"].push_back(function_tool(api));
  if (api == "messages") {
    add_messages(random, body);
  } else if (api == "responses") {
    add_responses(random, model, body);
  } else {
    add_chat(random, model, body);
  }
  if (api != "messages" && model != "alpha/tre" && chance(random, 30)) {
    body["service_tier"] = one_of(random, {"auto", "default", "flex", "priority"});
  }
  ask.path = api == "chat" ? "/v1/chat/completions" : "/v1/" + api;
  ask.body = body.dump();
  return ask;
}

// --- The house ---

struct Limited {
  std::string kind, id;
  int64_t limit_nano_usd = -1;
};

struct WalkHouse {
  explicit WalkHouse(uint64_t seed)
      : provider(seed), house([](Config& config) {
          config.ai.aliases = "both: [alpha/uno, beta/uno]\npair: [gamma/due, delta/due]";
          config.alerts.quiet_s = 0;
        }) {
    for (const char* name : {"alpha", "beta"})
      house.put_provider(name, "openai", provider.url(name));
    for (const char* name : {"gamma", "delta"}) {
      house.put_provider(name, "anthropic", provider.url(name));
    }
    for (const BillingProvider::PriceRow& row : BillingProvider::price_rows()) {
      const RawResponse put = house.admin("PUT", "/admin/ai/prices/" + row.name, row.json);
      INFO(row.json << " -> " << put.body);
      REQUIRE(put.status == 200);
    }
    house.change_org(R"({"monthly_budget_usd":"0.9","log_bodies":true,"max_output_tokens":700})");
    limited.push_back({"org", house.org, parse_nano_usd("0.9", "").value()});
    for (int i = 0; i < 4; i++) add_user(i);
  }

  void add_user(int number) {
    const std::string limit = "0." + std::to_string(15 + 10 * number);
    const std::string user = json_text(house
                                           .admin("POST", "/admin/users",
                                                  R"({"email":"u)" + std::to_string(number) +
                                                      R"(@example.com","monthly_limit_usd":)" +
                                                      limit + R"(,"org_id":")" + house.org + "\"}")
                                           .body,
                                       "user_id");
    limited.push_back({"user", user, parse_nano_usd(limit, "").value()});
    for (const char* key_limit : {"", "0.06"}) {
      const std::string more =
          *key_limit == 0 ? "" : R"(,"monthly_limit_usd":)" + std::string(key_limit);
      const RawResponse made =
          house.admin("POST", "/admin/users/" + user + "/api-keys", R"({"name":"k")" + more + "}");
      keys.push_back(json_text(made.body, "api_key"));
      REQUIRE_FALSE(keys.back().empty());
      key_ids.push_back(json_text(made.body, "key_id"));
      limited.push_back(
          {"key", key_ids.back(), *key_limit == 0 ? -1 : parse_nano_usd(key_limit, "").value()});
    }
  }

  BillingProvider provider;
  AiHouse house;  // Ends first.
  std::vector<std::string> keys, key_ids;
  std::vector<Limited> limited;
};

bool has_input(int socket) {
  pollfd entry = {socket, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

// The status of the answer; 0: the client left.
int send(WalkHouse& walk, const std::string& key, const Ask& ask) {
  RawClient client(walk.house.app.port());
  client.send("POST " + ask.path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key +
              "\r\nContent-Length: " + std::to_string(ask.body.size()) + "\r\n\r\n" + ask.body);
  switch (ask.leave) {
    case Leave::kNever:
      return client.read_response().status;
    case Leave::kAtOnce:
      break;
    case Leave::kBeforeHead:
      // A refusal comes without the provider.
      (void)comes_true(
          [&] { return walk.provider.has_come(ask.marker) || has_input(client.socket()); });
      client.reset();
      walk.provider.let_go(ask.marker);
      return 0;
    case Leave::kInAnswer:
      client.read_some();
      break;
  }
  client.reset();
  return 0;
}

// --- What came of it ---

struct Row {
  std::string id, provider, user, key;
  int64_t cost = 0, reserved = 0;
  int status = 0;
  bool estimated = false, recovered = false;
  std::string text;
};

int64_t nano(const Json& row, const char* name) {
  if (!row.contains(name)) return 0;
  return parse_nano_usd(dump_json(row[name]), name).value();
}

std::vector<Row> rows_of(const AiHouse& house) {
  std::vector<Row> rows;
  std::string cursor;
  do {
    const std::string page = house
                                 .admin("GET", "/admin/usage/requests?limit=500" +
                                                   (cursor.empty() ? "" : "&cursor=" + cursor))
                                 .body;
    const Json list = parse_json_exact(page).value();
    for (const Json& one : list["requests"]) {
      rows.push_back({.id = text_member(one, "request_id"),
                      .provider = text_member(one, "provider"),
                      .user = text_member(one, "user_id"),
                      .key = text_member(one, "key_id"),
                      .cost = nano(one, "cost_usd"),
                      .reserved = nano(one, "reserved_usd"),
                      .status = static_cast<int>(integer_member(one, "status")),
                      .estimated = one.value("estimated", false),
                      .recovered = one.value("recovered", false),
                      .text = dump_json(one)});
    }
    cursor = text_member(list, "cursor");
  } while (!cursor.empty());
  return rows;
}

// The marker of the request with this row; "" when no body was kept (the client had left before the
// head of the answer).
std::string marker_of(const AiHouse& house, const std::string& row_id) {
  const std::string id = row_id.substr(0, row_id.find('.'));
  const RawResponse kept = house.admin("GET", "/admin/ai/bodies/" + id);
  const size_t at = kept.body.find("walk-");
  return at == std::string::npos ? "" : kept.body.substr(at, kept.body.find('\\', at) - at);
}

void check_counters(WalkHouse& walk, const std::vector<Row>& rows) {
  ai::Budgets& budgets = *walk.house.app.parts().ai.budgets;
  for (const Limited& one : walk.limited) {
    int64_t sum = 0;
    for (const Row& row : rows) {
      if (one.kind == "org" || row.user == one.id || row.key == one.id) sum += row.cost;
    }
    const ai::BudgetView view = budgets.view(one.kind, one.id, "").value();
    INFO(one.kind << " " << one.id);
    CHECK(view.used_nano_usd == sum);
    CHECK(view.reserved_nano_usd == 0);
    if (one.limit_nano_usd >= 0) CHECK(view.used_nano_usd <= one.limit_nano_usd);
    if (one.kind != "user") continue;
    const Json shown =
        parse_json_exact(walk.house.admin("GET", "/admin/users/" + one.id + "/usage").body).value();
    CHECK(nano(shown, "current_usage_usd") == sum);
    CHECK(nano(shown, "reserved_usd") == 0);
  }
}

using Senders = std::map<std::string, std::string>;  // Marker → id of the key.

// Each bill has its row. A row that is not estimated costs what was billed, one that is not less.
// Of requests that left no body behind, the sums by key and provider are compared.
void check_bills(const WalkHouse& walk, const std::vector<Row>& rows, const Senders& senders) {
  BillingProvider::Bills bills = walk.provider.bills();
  std::map<std::string, int64_t> left;
  size_t exact = 0, estimated = 0;
  for (const Row& row : rows) {
    CHECK_FALSE(row.recovered);
    const std::string marker = marker_of(walk.house, row.id);
    const auto bill = bills.find({marker, row.provider});
    INFO(marker << " " << row.text);
    if (bill == bills.end()) {
      left[row.key + " " + row.provider] += row.cost;
      continue;
    }
    INFO(bill->second.manner << " " << bill->second.use);
    (row.estimated ? estimated : exact)++;
    if (row.estimated) {
      CHECK(row.cost >= bill->second.nano_usd);
    } else {
      CHECK(row.cost == bill->second.nano_usd);
    }
    bills.erase(bill);
  }
  CHECK(exact > rows.size() / 2);
  CHECK(estimated > rows.size() / 20);
  std::string about;
  for (const auto& [name, bill] : bills) {
    left[senders.at(name.first) + " " + name.second] -= bill.nano_usd;
    about += name.first + " " + std::to_string(bill.nano_usd) + " " + bill.use + "\n";
  }
  INFO(about);
  for (const auto& [whose, nano_usd] : left) {
    INFO(whose);
    CHECK(nano_usd >= 0);
  }
}

// Walks once. Every kind of answer and of leaving must have happened.
void walk_once(uint64_t seed, int threads, int requests) {
  INFO("seed " << seed);
  WalkHouse walk(seed);
  Mutex mutex;
  Senders senders;
  std::atomic<int> next = 0, answered = 0, refused = 0, invalid = 0, left = 0;
  {
    std::vector<Thread> clients;
    for (int i = 0; i < threads; i++) {
      clients.emplace_back("walk-client", [&] {
        for (int number; (number = next++) < requests;) {
          Random random(seed * 1'000'003 + static_cast<uint64_t>(number));
          const Ask ask =
              make_ask(random, "walk-" + std::to_string(seed) + "-" + std::to_string(number));
          const size_t sender = static_cast<size_t>(random() % walk.keys.size());
          {
            MutexLock lock(mutex);
            senders[ask.marker] = walk.key_ids[sender];
          }
          const int status = send(walk, walk.keys[sender], ask);
          (status == 0 ? left : status == 200 ? answered : status == 400 ? invalid : refused)++;
        }
      });
    }
  }
  // Those who left are settled once their providers have been read to the end.
  ai::Budgets& budgets = *walk.house.app.parts().ai.budgets;
  wait_until([&] { return budgets.stats().open_reservations == 0; }, "every request is settled");
  const std::vector<Row> rows = rows_of(walk.house);
  CHECK(invalid == 0);
  CHECK(left > requests / 10);
  CHECK(answered > requests / 5);
  CHECK(refused > requests / 20);
  check_counters(walk, rows);
  check_bills(walk, rows, senders);
  std::set<std::string> manners;
  for (const auto& [marker, bill] : walk.provider.bills()) manners.insert(bill.manner);
  CHECK(manners.size() == 11);
  const std::string alerts = walk.house.admin("GET", "/admin/alerts?limit=1000").body;
  for (const char* event : {"ai.above_reservation", "ai.absurd_usage", "ai.unpriced_dimension"}) {
    INFO(alerts);
    CHECK_FALSE(has(alerts, event));
  }
}

}  // namespace

TEST_CASE("ai walk: no limit is passed, and rows, counters and bills agree",
          "[contract][ai][walk]") {
  walk_once(1, 24, 400);
}

// `build/release/kvcs_tests "[long-walk]"`, in about a minute.
TEST_CASE("ai walk: many more requests agree too", "[.][long-walk]") {
  for (uint64_t seed = 2; seed < 12; seed++) walk_once(seed, 64, 1'500);
}
