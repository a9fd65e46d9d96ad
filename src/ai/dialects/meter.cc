// Reads the counts of a usage object by the table of its dialect, and keeps the largest of each.
#include "ai/dialects/meter.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "ai/dialects/json_members.h"
#include "base/quick_json.h"

namespace kvcs::ai {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

// Larger counts are cut here, where sums of several cannot overflow; settlement bounds them further
// by what the model can do.
constexpr int64_t kCountMax = 1'000'000'000'000'000;

}  // namespace

Meter::Meter(const UsageRules& rules) : rules_(rules) {}
Meter::~Meter() = default;

// xAI states the calls of its tools in an object of their own, whose kinds cost alike.
void Meter::read_more_usage(const Members& usage) {
  object details;
  if (usage["server_side_tool_usage_details"].get(details) != simdjson::SUCCESS) return;
  const auto sum_of = [&](std::initializer_list<std::string_view> names) {
    int64_t sum = 0;
    for (const std::string_view name : names) {
      int64_t calls = 0;
      bool is_absurd = false;
      read_count(details, name, calls, is_absurd);
      sum += calls;
    }
    return sum;
  };
  raw_.web_searches = std::max(raw_.web_searches, sum_of({"web_search_calls", "x_search_calls"}));
  raw_.file_searches =
      std::max(raw_.file_searches, sum_of({"file_search_calls", "collections_search_calls"}));
}

bool Meter::read_count(const Members& from, std::string_view name, int64_t& out, bool& absurd) {
  element value;
  if (from[name].get(value) != simdjson::SUCCESS || value.is_null()) return false;
  double number;
  int64_t whole;
  if (value.get(whole) == simdjson::SUCCESS) {
    number = static_cast<double>(whole);
  } else if (value.get(number) != simdjson::SUCCESS) {
    absurd = true;
    return true;
  } else if (number == std::floor(number) && std::abs(number) < 9e15) {
    whole = static_cast<int64_t>(number);
  } else {
    absurd = true;
    return true;
  }
  if (number < 0) {
    absurd = true;
    return true;
  }
  out = std::max(out, std::min(whole, kCountMax));
  return true;
}

void Meter::on_json(std::string_view body) {
  complete_ = true;
  object parsed;
  if (!parse(body, parsed)) {
    // A list is how Google words an error.
    const size_t first = body.find_first_not_of(" \t\r\n");
    has_error_ = first != body.npos && body[first] == '[' && body.find("\"error\"") != body.npos;
    if (!has_error_) count_bytes(body.size());
    return;
  }
  const Members root(parsed);
  note_answer(root);
  if (says_error(root)) has_error_ = true;
  read_whole_answer(root);
  if (read_usage(root)) set_final();
}

bool Meter::says_error(const Members& from) {
  element error;
  if (from["error"].get(error) == simdjson::SUCCESS && !error.is_null()) {
    bool flag;
    std::string_view text;
    const bool is_none = (error.get(flag) == simdjson::SUCCESS && !flag) ||
                         (error.get(text) == simdjson::SUCCESS && text.empty());
    if (!is_none) return true;
  }
  for (const char* name : {"type", "object"}) {
    std::string_view word;
    if (from[name].get(word) == simdjson::SUCCESS && word == "error") return true;
  }
  for (const char* name : {"choices", "output", "content", "data", "usage", "type", "object"}) {
    if (from[name].error() == simdjson::SUCCESS) return false;
  }
  return from["detail"].error() == simdjson::SUCCESS || from["errors"].error() == simdjson::SUCCESS;
}

bool Meter::parse(std::string_view text, object& root) {
  // The parser is shared by all meters of the thread, so a meter whose stream pauses keeps no
  // memory, unless something large came: that gets a parser of its own, lest the shared one stay
  // as large.
  thread_local QuickParser kept;
  QuickParser* parser = &kept;
  if (text.size() > QuickParser::kKeptMaxBytes) {
    large_ = std::make_unique<QuickParser>();
    parser = large_.get();
  }
  return parser->parse_forgiving(text, root);
}

void Meter::note_answer(const Members& from) {
  std::string_view model;
  if (model_.empty() && from["model"].get(model) == simdjson::SUCCESS) {
    model_ = model.substr(0, 200);
  }
  note_tier(from);
}

void Meter::note_made(const Members& from, std::string_view name) {
  std::string_view id;
  if (from[name].get(id) != simdjson::SUCCESS || id.empty() || id.size() > kMadeIdMaxBytes) return;
  if (made_ids_.size() >= kMadeIdsMax) return;
  if (std::find(made_ids_.begin(), made_ids_.end(), id) == made_ids_.end()) {
    made_ids_.emplace_back(id);
  }
}

void Meter::note_tier(const Members& from) {
  std::string_view tier;
  if (from["service_tier"].get(tier) != simdjson::SUCCESS) return;
  if (tier == "auto") return;  // It repeats the request and does not say what was taken.
  seen_.stated.service_tier = service_tier(tier.substr(0, 64));
  seen_.has_tier = true;
}

bool Meter::read_usage(const Members& from) {
  object stated;
  if (from["usage"].get(stated) != simdjson::SUCCESS) return false;
  const Members usage(stated);
  seen_.has_input |= read_count(usage, rules_.input, raw_.input, seen_.input_is_absurd);
  seen_.has_output |= read_count(usage, rules_.output, raw_.output, seen_.output_is_absurd);
  take_total(usage);
  // Several names may stand for one count: the first one that is there in this object counts.
  int64_t TokenUsage::*last = nullptr;
  Members holder;
  std::string_view held;  // The name of `holder`.
  for (const CountRule& rule : rules_.counts) {
    if (rule.count == last) continue;
    if (!rule.object.empty() && rule.object != held) {
      object inner;
      holder = usage[rule.object].get(inner) == simdjson::SUCCESS ? Members(inner) : Members();
      held = rule.object;
    }
    const Members& from_here = rule.object.empty() ? usage : holder;
    if (read_count(from_here, rule.member, raw_.*rule.count, seen_.input_is_absurd)) {
      last = rule.count;
    }
  }
  note_tier(usage);
  read_more_usage(usage);
  return true;
}

void Meter::take_total(const Members& usage) {
  if (rules_.total.empty()) return;
  bool ignored = false;
  read_count(usage, rules_.total, total_, ignored);
}

void Meter::count_text(const Members& from, std::string_view name) {
  std::string_view text;
  if (from[name].get(text) == simdjson::SUCCESS) count_bytes(text.size());
}

// Takes the subsets out of their totals, so that the kinds of TokenUsage do not overlap. A subset
// that is larger than what is left of its total is cut: the sum must stay what was billed.
const SeenUsage& Meter::seen() const {
  TokenUsage& stated = seen_.stated;
  const std::string tier = stated.service_tier, speed = stated.speed, region = stated.region;
  stated = raw_;
  stated.service_tier = tier;
  stated.speed = speed;
  stated.region = region;
  if (!rules_.is_subsets) return seen_;
  const auto take = [](int64_t& part, int64_t& left) {
    part = std::min(part, left);
    left -= part;
  };
  int64_t input = raw_.input;
  int64_t output = raw_.output;
  const int64_t beside = total_ - input - output;
  const int64_t cached = raw_.cache_read + raw_.cache_write_5m;
  if (beside > 0 && beside == cached) {
    input += cached;  // Some state the caches beside the input.
  } else if (beside > 0) {
    output += beside;  // Some leave thinking out of the output but count it in the total.
  } else if (total_ == 0 && raw_.reasoning > output) {
    output += raw_.reasoning;  // More thinking than output is no part of it.
  }
  take(stated.cache_read, input);
  take(stated.cache_write_5m, input);
  take(stated.cache_write_1h, stated.cache_write_5m);  // A part of all writes.
  take(stated.input_audio, input);
  take(stated.input_image, input);
  stated.input = input;
  take(stated.reasoning, output);
  take(stated.output_audio, output);
  take(stated.output_image, output);
  stated.output = output;
  return seen_;
}

// The member is looked for from the end: the text of the model may hold the same bytes, escaped
// quotes apart, and stands before.
bool cut_null_usage(std::string_view raw, std::string& out) {
  constexpr std::string_view kMember = "\"usage\":null";
  const size_t at = raw.rfind(kMember);
  if (at == raw.npos) return false;
  size_t from = at, to = at + kMember.size();
  if (from > 0 && raw[from - 1] == ',') {
    from--;
  } else if (to < raw.size() && raw[to] == ',') {
    to++;
  }
  out.assign(raw.substr(0, from)).append(raw.substr(to));
  return true;
}

}  // namespace kvcs::ai
