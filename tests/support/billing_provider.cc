// Answers requests in all the ways in which providers do, well and badly, and keeps the bills.
#include "support/billing_provider.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "base/money.h"
#include "support/billing_rules.h"

namespace kvcs::test {
namespace {

struct Event {
  std::string bytes;
  int64_t text = 0;  // The tokens of text in it.
  int64_t spoken = 0;
  bool is_end = false, is_mark = false;  // The end of the work; and a mark behind it.
};

std::string data(const Json& json) {
  return "data: " + json.dump() + "\n\n";
}
std::string named(const Json& json) {
  return "event: " + text_member(json, "type") + "\n" + data(json);
}

// Text of so many tokens: a token is a byte at least.
std::string words(Random& random, int64_t tokens) {
  return std::string(static_cast<size_t>(tokens * between(random, 1, 3)), 'x');
}

Json openai_usage(const Use& use, bool is_chat) {
  const std::string in = is_chat ? "prompt_tokens" : "input_tokens";
  const std::string out = is_chat ? "completion_tokens" : "output_tokens";
  return {{in, use.input()},
          {out, use.output()},
          {"total_tokens", use.input() + use.output()},
          {in + "_details",
           {{"cached_tokens", use.cached},
            {"cache_write_tokens", use.written},
            {"audio_tokens", use.heard}}},
          {out + "_details", {{"reasoning_tokens", use.reasoning}, {"audio_tokens", use.spoken}}}};
}

Json anthropic_input(const Use& use) {
  return {{"input_tokens", use.plain},
          {"cache_read_input_tokens", use.cached},
          {"cache_creation_input_tokens", use.written + use.written_1h},
          {"cache_creation",
           {{"ephemeral_5m_input_tokens", use.written},
            {"ephemeral_1h_input_tokens", use.written_1h}}}};
}

Json anthropic_usage(const Reading& reading) {
  const Use& use = reading.use;
  Json usage = anthropic_input(use);
  usage["output_tokens"] = use.output();
  usage["service_tier"] = "standard";
  usage["speed"] = use.is_fast ? "fast" : "standard";
  if (use.is_us) usage["inference_geo"] = "us";
  if (use.searches > 0) usage["server_tool_use"] = {{"web_search_requests", use.searches}};
  if (!reading.is_compacted) return usage;
  Json message = anthropic_input(use), compaction = anthropic_input(reading.compaction);
  message["output_tokens"] = use.output();
  compaction["output_tokens"] = reading.compaction.output();
  usage["iterations"] = {compaction, message};
  return usage;
}

std::string stated_tier(const Use& use) {
  return use.tier.empty() ? "default" : use.tier;
}

Json openai_items(const Use& use) {
  Json items = Json::array();
  for (int64_t i = 0; i < use.searches; i++) {
    items.push_back({{"type", "web_search_call"}, {"action", {{"type", "search"}}}});
    items.push_back({{"type", "web_search_call"}, {"action", {{"type", "open_page"}}}});
  }
  for (int64_t i = 0; i < use.files; i++) items.push_back({{"type", "file_search_call"}});
  for (int64_t i = 0; i < use.images; i++) items.push_back({{"type", "image_generation_call"}});
  for (int64_t i = 0; i < use.sessions * 2; i++) {
    items.push_back({{"type", "code_interpreter_call"}, {"container_id", "c1"}});
  }
  return items;
}

// Cuts the text of an answer into events.
void add_text(Reading& reading, std::vector<Event>& events,
              const std::function<std::string(const std::string&)>& event) {
  int64_t left = reading.use.text;
  while (left > 0) {
    const int64_t tokens = std::min(left, between(reading.random, 1, 120));
    events.push_back({event(words(reading.random, tokens)), tokens});
    left -= tokens;
  }
}

std::vector<Event> chat_events(Reading& reading, bool states) {
  std::vector<Event> events;
  int64_t turn = 0;
  const auto chunk = [&](int64_t index, const Json& delta, const Json& reason) {
    return data({{"model", reading.sheet->model},
                 {"service_tier", stated_tier(reading.use)},
                 {"choices", {{{"index", index}, {"delta", delta}, {"finish_reason", reason}}}}});
  };
  for (int64_t i = 0; i < reading.choices; i++) {
    events.push_back({chunk(i, {{"role", "assistant"}, {"content", ""}}, nullptr)});
  }
  if (reading.use.spoken > 0) {
    const std::string said = words(reading.random, reading.use.spoken);
    events.push_back(
        {chunk(0, {{"audio", {{"transcript", said}}}}, nullptr), 0, reading.use.spoken});
  }
  add_text(reading, events, [&](const std::string& text) {
    return chunk(turn++ % reading.choices, {{"content", text}}, nullptr);
  });
  for (int64_t i = 0; i < reading.choices; i++) {
    events.push_back({chunk(i, Json::object(), "stop"), 0, 0, true});
  }
  const Json& options = reading.body->value("stream_options", Json::object());
  if (states && options.value("include_usage", false)) {
    events.push_back(
        {data({{"choices", Json::array()}, {"usage", openai_usage(reading.use, true)}}), 0, 0,
         true});
  }
  events.push_back({"data: [DONE]\n\n", 0, 0, true, true});
  return events;
}

Json response_object(Reading& reading, bool states, const std::string& text) {
  Json output = openai_items(reading.use);
  output.push_back({{"type", "message"}, {"content", {{{"type", "output_text"}, {"text", text}}}}});
  return {{"id", "resp_1"},
          {"status", "completed"},
          {"model", reading.sheet->model},
          {"service_tier", stated_tier(reading.use)},
          {"output", output},
          {"usage", states ? openai_usage(reading.use, false) : Json()}};
}

std::vector<Event> responses_events(Reading& reading, bool states) {
  std::vector<Event> events;
  events.push_back({named({{"type", "response.created"}, {"response", {{"id", "resp_1"}}}})});
  std::string all;
  for (const Json& item : openai_items(reading.use)) {
    events.push_back({named({{"type", "response.output_item.done"}, {"item", item}})});
  }
  add_text(reading, events, [&](const std::string& text) {
    all += text;
    return named({{"type", "response.output_text.delta"}, {"delta", text}});
  });
  events.push_back(
      {named({{"type", "response.completed"}, {"response", response_object(reading, states, all)}}),
       0, 0, true});
  return events;
}

std::vector<Event> messages_events(Reading& reading, bool states) {
  std::vector<Event> events;
  Json usage = states ? anthropic_usage(reading) : Json();
  Json begun = usage;
  if (states) {
    begun["input_tokens"] = reading.first_input;
    begun["output_tokens"] = 1;
    begun.erase("server_tool_use");
    begun.erase("iterations");
  }
  events.push_back(
      {named({{"type", "message_start"}, {"message", {{"model", "due"}, {"usage", begun}}}})});
  add_text(reading, events, [&](const std::string& text) {
    return named({{"type", "content_block_delta"},
                  {"index", 0},
                  {"delta", {{"type", "text_delta"}, {"text", text}}}});
  });
  events.push_back(
      {named(
           {{"type", "message_delta"}, {"delta", {{"stop_reason", "end_turn"}}}, {"usage", usage}}),
       0, 0, true});
  events.push_back({named({{"type", "message_stop"}}), 0, 0, true, true});
  return events;
}

std::string whole_body(Reading& reading, bool states) {
  const Use& use = reading.use;
  const std::string text = words(reading.random, use.text + use.spoken);
  if (reading.api == "responses") return response_object(reading, states, text).dump();
  if (reading.api == "embeddings") {
    Json body = {{"data", Json::array()}, {"model", "vec"}};
    if (states) body["usage"] = {{"prompt_tokens", use.plain}, {"total_tokens", use.plain}};
    return body.dump();
  }
  if (reading.api == "messages") {
    return Json{{"type", "message"},
                {"content", {{{"type", "text"}, {"text", text}}}},
                {"stop_reason", "end_turn"},
                {"usage", states ? anthropic_usage(reading) : Json()}}
        .dump();
  }
  Json body = {{"model", reading.sheet->model}, {"service_tier", stated_tier(use)}};
  for (int64_t i = 0; i < reading.choices; i++) {
    body["choices"].push_back(
        {{"index", i},
         {"message", {{"role", "assistant"}, {"content", i == 0 ? text : ""}}},
         {"finish_reason", "stop"}});
  }
  if (states) body["usage"] = openai_usage(use, true);
  return body.dump();
}

std::string chunk_of(const std::string& bytes) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

std::string failure_event(const std::string& api) {
  if (api == "responses") {
    return named({{"type", "response.failed"},
                  {"response", {{"status", "failed"}, {"error", {{"code", "server_error"}}}}}});
  }
  const Json error = {{"type", "error"}, {"error", {{"type", "overloaded_error"}}}};
  return api == "messages" ? named(error) : data({{"error", error["error"]}});
}

std::string manner_of(Random& random) {
  static const std::pair<int, const char*> kManners[] = {
      {5, "429"},  {10, "500"},         {15, "529"},     {20, "silent"},    {25, "error first"},
      {33, "cut"}, {37, "error later"}, {45, "no mark"}, {49, "no stream"}, {53, "no usage"}};
  const int64_t drawn = between(random, 1, 100);
  for (const auto& [until, name] : kManners) {
    if (drawn <= until) return name;
  }
  return "whole";
}

struct Answer {
  std::string manner;
  int64_t nano_usd = 0;            // What it costs.
  std::vector<std::string> parts;  // The bytes, as they are sent.
  bool hangs_up = false;
};

std::string with_length(const std::string& status, const std::string& body, size_t length) {
  return "HTTP/1.1 " + status +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(length) +
         "\r\n\r\n" + body;
}

// A JSON answer. One that fails costs nothing; one that is cut was made all the same.
void answer_whole(Reading& reading, Answer& answer) {
  const std::string& manner = answer.manner;
  const bool fails = manner == "error first" || manner == "error later";
  if (fails) answer.nano_usd = 0;
  const std::string body = fails ? R"({"type":"error","error":{"message":"no"}})"
                                 : whole_body(reading, manner != "no usage");
  answer.hangs_up = manner == "cut";
  answer.parts = {with_length("200 OK", body, body.size() + (answer.hangs_up ? 9 : 0))};
}

// What a stream that fails has said of its use until then, which is what it costs.
int64_t stated_before_failure(const Reading& reading) {
  if (reading.api != "messages") return 0;
  Use said = reading.use;
  said.plain = reading.first_input;
  said.text = 1;
  said.reasoning = said.searches = 0;
  return amount_nano_usd(*reading.sheet, said);
}

// Leaves out a part of the events before the end of the work.
void cut_events(Reading& reading, std::vector<Event>& events) {
  const auto end =
      std::find_if(events.begin(), events.end(), [](const Event& event) { return event.is_end; });
  events.erase(events.begin() + between(reading.random, 1, end - events.begin()), events.end());
  reading.use.text = reading.use.spoken = 0;
  for (const Event& event : events) {
    reading.use.text += event.text;
    reading.use.spoken += event.spoken;
  }
}

void answer_stream(Reading& reading, Answer& answer) {
  const std::string& manner = answer.manner;
  const bool states = manner != "no usage";
  std::vector<Event> events = reading.api == "responses"  ? responses_events(reading, states)
                              : reading.api == "messages" ? messages_events(reading, states)
                                                          : chat_events(reading, states);
  answer.hangs_up = manner == "cut";
  if (manner == "error first") {
    events = {{failure_event(reading.api)}};
    answer.nano_usd = 0;
  } else if (manner == "cut") {
    cut_events(reading, events);
    answer.nano_usd = amount_nano_usd(*reading.sheet, billed_use(reading));
  } else if (manner == "error later") {
    cut_events(reading, events);
    events.push_back({failure_event(reading.api)});
    answer.nano_usd = stated_before_failure(reading);
  } else if (manner == "no mark" && events.back().is_mark) {
    events.pop_back();
  }
  answer.parts.emplace_back(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const Event& event : events) answer.parts.push_back(chunk_of(event.bytes));
  if (!answer.hangs_up) answer.parts.emplace_back("0\r\n\r\n");
}

Answer make_answer(Reading& reading) {
  Answer answer{.manner = manner_of(reading.random)};
  if (answer.manner == "429" || answer.manner == "500" || answer.manner == "529") {
    const std::string body = R"({"error":{"message":"no"}})";
    answer.parts = {with_length(answer.manner + " No", body, body.size())};
    return answer;
  }
  // Anthropic refuses an output that would end within the thinking.
  const int64_t thinking = reading.body->contains("thinking")
                               ? integer_member((*reading.body)["thinking"], "budget_tokens")
                               : 0;
  if (thinking > 0 && thinking >= integer_member(*reading.body, "max_tokens")) {
    answer.manner = "400";
    answer.parts = {with_length("400 Bad", "{}", 2)};
    return answer;
  }
  answer.hangs_up = answer.manner == "silent";
  // A stream that has not begun has no text yet.
  if (answer.hangs_up && reading.streams) reading.use.text = reading.use.spoken = 0;
  answer.nano_usd = amount_nano_usd(*reading.sheet, billed_use(reading));
  if (answer.hangs_up) return answer;
  if (reading.streams && answer.manner != "no stream") {
    answer_stream(reading, answer);
  } else {
    answer_whole(reading, answer);
  }
  return answer;
}

}  // namespace

BillingProvider::BillingProvider(uint64_t seed, std::function<void()> at_each_step)
    : seed_(seed),
      at_each_step_(std::move(at_each_step)),
      server_([this](LoopbackPeer& peer) { serve(peer); }) {}

std::string BillingProvider::url(const std::string& provider) const {
  return "http://127.0.0.1:" + std::to_string(server_.port()) + "/" + provider;
}

std::vector<BillingProvider::PriceRow> BillingProvider::price_rows() {
  std::vector<PriceRow> rows;
  for (const Sheet& sheet : sheets()) {
    Json row = {{"mode", sheet.mode}, {"max_input_tokens", sheet.context}};
    if (sheet.mode == "chat") row["max_output_tokens"] = sheet.output_max;
    if (sheet.image_tokens > 0) row["max_tokens_per_image"] = sheet.image_tokens;
    if (sheet.reasons) row["supports_reasoning"] = true;
    if (sheet.has_factors) row["provider_specific_entry"] = {{"fast", 6}, {"us", 1.1}};
    for (const auto& [member, pico] : sheet.pico) row[member] = format_pico_usd(pico);
    for (const auto& [size, pico] : sheet.by_size) {
      row["search_context_cost_per_query"]["search_context_size_" + size] = format_pico_usd(pico);
    }
    rows.push_back({sheet.provider + "/" + sheet.model, row.dump()});
  }
  return rows;
}

BillingProvider::Bills BillingProvider::bills() const {
  MutexLock lock(mutex_);
  return bills_;
}

bool BillingProvider::has_come(const std::string& marker) const {
  MutexLock lock(mutex_);
  return come_.contains(marker);
}

void BillingProvider::let_go(const std::string& marker) {
  MutexLock lock(mutex_);
  let_go_.insert(marker);
  changed_.notify_all();
}

void BillingProvider::wait_until_let_go(const std::string& marker) {
  MutexLock lock(mutex_);
  come_.insert(marker);
  if (!marker.ends_with("-held")) return;
  for (int turns = 0; !let_go_.contains(marker) && turns < 500; turns++) {
    changed_.wait_for_ms(mutex_, 10);
  }
}

void BillingProvider::bill(const std::string& marker, const std::string& provider, Bill bill) {
  MutexLock lock(mutex_);
  Bill& known = bills_[{marker, provider}];
  known.nano_usd += bill.nano_usd;
  known.manner = std::move(bill.manner);
  known.used = std::move(bill.used);
  known.sheet = bill.sheet;
}

std::optional<Reading> BillingProvider::read(const LoopbackPeer::Request& request,
                                             std::string& provider) const {
  Reading reading;
  const std::string line(request.line());
  const size_t begin = line.find('/') + 1, end = line.find('/', begin);
  provider = line.substr(begin, end - begin);
  reading.api = line.substr(end + 1, line.find(' ', end) - end - 1);
  reading.body = std::make_shared<Json>(parse_json(request.body).value());
  reading.marker = reading.api == "messages" ? text_member((*reading.body)["metadata"], "user_id")
                                             : text_member(*reading.body, "user");
  const std::string model = text_member(*reading.body, "model");
  for (const Sheet& sheet : sheets()) {
    if (sheet.provider == provider && sheet.model == model) reading.sheet = &sheet;
  }
  if (reading.sheet == nullptr || reading.marker.empty()) return std::nullopt;
  reading.random.seed(std::hash<std::string>()(reading.marker + provider) ^ seed_);
  reading.streams = reading.body->value("stream", false);
  reading.choices = std::max<int64_t>(integer_member(*reading.body, "n"), 1);
  draw_use(reading);
  return reading;
}

void BillingProvider::serve(LoopbackPeer& peer) {
  while (auto request = peer.read_request()) {
    std::string provider;
    std::optional<Reading> reading = read(*request, provider);
    if (!reading) return;
    const Answer answer = make_answer(*reading);
    bill(reading->marker, provider,
         {answer.nano_usd, answer.manner, billed_use(*reading), reading->sheet});
    at_each_step_();
    wait_until_let_go(reading->marker);
    for (const std::string& part : answer.parts) {
      at_each_step_();
      if (!peer.send(part)) return;
    }
    if (answer.hangs_up) return;
  }
}

}  // namespace kvcs::test
