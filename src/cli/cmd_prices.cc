// `kvcs prices import`: the prices of LiteLLM's public JSON file,
// model_prices_and_context_window.json (github.com/BerriAI/litellm), written as overrides through
// the admin API. `kvcs admin prices import` is the same command beside its kin.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <utility>

#include "ai/prices/members.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/json_size.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

constexpr uint64_t kFileMaxBytes = 64 << 20;
constexpr int kAttemptsMax = 5;
// When the server says 429 without Retry-After.
constexpr int kDefaultPauseS = 1;
// Every price was written that can be, but rows were refused.
constexpr int kExitRefused = 3;

// LiteLLM's name of a provider, and ours.
constexpr std::pair<std::string_view, std::string_view> kKnownProviders[] = {
    {"openai", "openai"},   {"anthropic", "anthropic"}, {"gemini", "google"},
    {"mistral", "mistral"}, {"deepseek", "deepseek"},   {"groq", "groq"},
    {"xai", "xai"},
};
// The modes of models that the AI gateway serves; images, audio files and reranking have no route.
constexpr std::string_view kModes[] = {"chat", "embedding", "responses"};

// A row that is not written, and why.
struct Skipped {
  std::string model, reason;
};
// A row of a model that is served here, but that has prices which kvcs does not know or cannot
// read: with it requests would be charged less than they cost.
struct Refused {
  std::string model;
  std::vector<std::string> members;  // Or a sentence.
};
// The prices that will be written and the rows that will not, decided before the first request.
struct ImportPlan {
  std::vector<std::pair<std::string, Json>> prices;  // Full name and body.
  std::vector<Skipped> skipped;
  std::vector<Refused> refused;
  // Members of written rows that are left out, and in how many rows; facts are not among them.
  std::map<std::string, size_t> passed_over;
};

// Why a row is skipped; "" when it is to be written.
std::string why_not(const Json& row) {
  if (!row.is_object()) return "not an object";
  const std::string provider = text_member(row, "litellm_provider");
  const bool known = std::any_of(std::begin(kKnownProviders), std::end(kKnownProviders),
                                 [&](const auto& one) { return one.first == provider; });
  if (!known) return "provider " + (provider.empty() ? "not stated" : provider) + " is not known";
  const std::string mode = text_member(row, "mode");
  if (std::find(std::begin(kModes), std::end(kModes), mode) == std::end(kModes)) {
    return "mode " + (mode.empty() ? "not stated" : mode) + " is not served";
  }
  if (!row.contains("input_cost_per_token") && !row.contains("output_cost_per_token")) {
    return "no price per token";
  }
  return {};
}

// "gemini/gemini-2.5-pro" of the provider gemini becomes "google/gemini-2.5-pro"; a name without
// the provider's prefix gets ours.
std::string full_name(const std::string& model, const std::string& litellm_provider) {
  std::string_view bare = model;
  if (bare.starts_with(litellm_provider + "/")) bare.remove_prefix(litellm_provider.size() + 1);
  for (const auto& [theirs, ours] : kKnownProviders) {
    if (theirs == litellm_provider) return std::string(ours) + "/" + std::string(bare);
  }
  return model;
}

// The row as it is sent, and what is left out of it.
struct Reading {
  Json body = Json::object();
  std::vector<std::string> passed_over, missing;
};

Reading read_row(const std::string& model, const Json& row, const std::string& today) {
  using enum ai::MemberMeaning;
  Reading reading;
  for (const auto& [name, value] : row.items()) {
    if (value.is_null() || name == "litellm_provider" || name == "source") continue;
    switch (ai::meaning_of(name, row)) {
      case kUnderstood:
        reading.body[name] = value;
        break;
      case kFact:
        break;
      case kHarmless:
      case kUnknown:
        reading.passed_over.push_back(name);
        break;
      case kAddsCost:
        reading.missing.push_back(name);
        break;
    }
  }
  if (ai::lacks_search_price(model, row)) reading.missing.push_back("web_search_cost_per_call");
  const std::string source = text_member(row, "source");
  reading.body["source"] = source.empty() ? "LiteLLM" : "LiteLLM (" + source + ")";
  reading.body["date"] = today;
  return reading;
}

// Goes through the file in its own order. "sample_spec" explains the format and is no model.
ImportPlan plan_import(const Json& file, const std::string& today) {
  ImportPlan plan;
  std::map<std::string, bool> seen;
  for (const auto& [model, row] : file.items()) {
    if (model == "sample_spec") continue;
    std::string reason = why_not(row);
    if (!reason.empty()) {
      plan.skipped.push_back({model, std::move(reason)});
      continue;
    }
    std::string name = full_name(model, text_member(row, "litellm_provider"));
    // The file has many models twice, with and without the provider's prefix.
    if (!seen.emplace(name, true).second) {
      plan.skipped.push_back({model, "is " + name + ", which the file has already"});
      continue;
    }
    Reading reading = read_row(name, row, today);
    // The server reads it with the same words, so a dry run says what a real one will.
    const Status read = ai::check_row(name, reading.body);
    if (reading.missing.empty() && !read.ok()) reading.missing.push_back(read.message());
    if (!reading.missing.empty()) {
      plan.refused.push_back({std::move(name), std::move(reading.missing)});
      continue;
    }
    for (const std::string& member : reading.passed_over) plan.passed_over[member]++;
    plan.prices.emplace_back(std::move(name), std::move(reading.body));
  }
  return plan;
}

// Writes one price. A file has hundreds of rows, so the server's limit of requests may stop it:
// then the command waits as long as Retry-After says and tries again.
Status write_price(ApiClient& api, const std::string& path, const Json& body) {
  for (int attempt = 1;; attempt++) {
    const Status written = api.call("PUT", path, body).status();
    if (written.code() != Code::kRateLimited || attempt == kAttemptsMax) return written;
    pause_ms(int64_t{std::max(written.retry_after_s(), kDefaultPauseS)} * 1000);
  }
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + printable(word);
  return all;
}

void report_json(const ImportPlan& plan, size_t written, bool dry_run, Console& console) {
  Json skipped = Json::array(), refused = Json::array(), models = Json::array();
  for (const Skipped& one : plan.skipped) {
    skipped.push_back({{"model", one.model}, {"reason", one.reason}});
  }
  for (const Refused& one : plan.refused) {
    refused.push_back({{"model", one.model}, {"members", one.members}});
  }
  for (const auto& [name, unused] : plan.prices) models.push_back(name);
  console.print_json({{"written", written},
                      {"dry_run", dry_run},
                      {"models", models},
                      {"refused_count", plan.refused.size()},
                      {"refused", refused},
                      {"passed_over", plan.passed_over},
                      {"skipped_count", plan.skipped.size()},
                      {"skipped", skipped}});
}

// Skipped rows and members that are passed over are counted; --json lists each skipped row.
int report(const ImportPlan& plan, size_t written, bool dry_run, Console& console) {
  const int code = plan.refused.empty() ? kExitOk : kExitRefused;
  if (console.mode().json) {
    report_json(plan, written, dry_run, console);
    return code;
  }
  if (dry_run) {
    for (const auto& [name, body] : plan.prices) {
      console.print(printable(name) + "  " + shown(body, "input_cost_per_token") + "  " +
                    shown(body, "output_cost_per_token"));
    }
  }
  std::map<std::string, size_t> reasons;
  for (const Skipped& one : plan.skipped) reasons[one.reason]++;
  console.print((dry_run ? "To write: " : "Written: ") +
                std::to_string(dry_run ? plan.prices.size() : written));
  console.print("Refused, for they have prices that kvcs does not know: " +
                std::to_string(plan.refused.size()));
  for (const Refused& one : plan.refused) {
    console.print("  " + printable(one.model) + ": " + joined(one.members));
  }
  console.print("Members passed over: " + std::to_string(plan.passed_over.size()));
  for (const auto& [member, count] : plan.passed_over) {
    console.print("  " + printable(member) + " ×" + std::to_string(count));
  }
  console.print("Skipped: " + std::to_string(plan.skipped.size()));
  for (const auto& [reason, count] : reasons) {
    console.print("  " + std::to_string(count) + "  " + printable(reason));
  }
  return code;
}

int run_import(const Invocation& in, Console& console) {
  const std::string path = in.text("file");
  const auto text = kvfile::read_small_file(path, kFileMaxBytes);
  if (!text.ok()) return console.fail(text.status());
  // Prices keep their digits: no double stands between the file and the server.
  const auto file = parse_long_json_exact(*text);
  if (!file.ok()) return console.fail(Status(file.status()).with_context(path));
  if (!(*file).is_object()) {
    return console.fail(invalid(path + " must be an object of models, as LiteLLM's file is."));
  }
  ImportPlan plan = plan_import(*file, format_day(make_system_clock()->unix_ms()));
  const bool dry_run = in.flag("dry-run");
  size_t written = 0;
  if (!dry_run) {
    ApiClient api(find_admin_settings(in));
    const std::string query = query_of(in, {{"org", "org_id"}});
    std::vector<std::pair<std::string, Json>> done;
    for (auto& [name, body] : plan.prices) {
      const Status status =
          write_price(api, "/admin/ai/prices/" + percent_encode(name) + query, body);
      if (status.code() == Code::kInvalid) {  // One odd row must not keep the others out.
        plan.refused.push_back({name, {status.message()}});
        continue;
      }
      if (!status.ok()) return console.fail(Status(status).with_context(name));
      done.emplace_back(name, std::move(body));
      written++;
    }
    plan.prices = std::move(done);
  }
  return report(plan, written, dry_run, console);
}

Command import_command(const std::string& name) {
  return {
      .name = name,
      .summary = "Take prices from LiteLLM's JSON file.",
      .options = {{.name = "FILE", .help = "LiteLLM's JSON.", .required = true},
                  {.name = "--dry-run",
                   .kind = ValueKind::kFlag,
                   .help = "Say what would be written; needs no server."},
                  {.name = "--org", .help = "For this organization only.", .value_name = "ORG_ID"}},
      .examples = {{"kvcs " + name + " model_prices_and_context_window.json --dry-run",
                    "What would be written."},
                   {"kvcs " + name + " model_prices_and_context_window.json", ""}},
      .run = run_import,
      .details =
          "Rows of OpenAI, Anthropic, Google (gemini), Mistral, DeepSeek, Groq and xAI "
          "in the modes chat, embedding and responses are written; the others are "
          "skipped and counted by reason. A row with a price that kvcs does not know or "
          "cannot read is refused and named with it, because requests would be charged less "
          "than they cost; discounts, batches and other members that are left out are counted. "
          "Exit codes: 0 all such rows were written, 1 the import failed, 3 rows were "
          "refused and the others were written."};
}

}  // namespace

std::vector<Command> prices_commands() {
  return {import_command("prices import"), import_command("admin prices import")};
}

}  // namespace kvcs::cli
