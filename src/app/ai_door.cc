#include "app/ai_door.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <unordered_set>

#include "app/parts.h"
#include "app/share_files.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/yaml.h"
#include "kv/outbox.h"
#include "ledger/rows.h"
#include "ledger/usage_report.h"

namespace kvcs {
namespace {

constexpr size_t kPricesFileMaxBytes = 16u << 20;
constexpr size_t kKeyFileMaxBytes = 16u << 10;

// YAML scalars are texts; the record's reader wants numbers where numbers stand.
Json typed(Json provider) {
  if (provider.is_object() && provider.contains("timeout_ms")) {
    const Result<Json> number = parse_json(provider["timeout_ms"].get<std::string>());
    if (number.ok()) provider["timeout_ms"] = *number;
  }
  return provider;
}

// Takes api_key_env or api_key_file out of the entry and reads the key that it names.
Result<Secret> read_api_key(Json& provider) {
  if (!provider.is_object()) return Secret();
  if (provider.contains("api_key")) {
    return invalid("api_key: is secret; name a variable (api_key_env) or a file (api_key_file).");
  }
  const std::string variable = provider.value("api_key_env", "");
  const std::string file = provider.value("api_key_file", "");
  provider.erase("api_key_env");
  provider.erase("api_key_file");
  if (!variable.empty()) {
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr) return invalid("api_key_env: " + variable + " is not set.");
    return Secret(value);
  }
  if (file.empty()) return Secret();
  return Secret(std::string(trim(KVCS_TRY(read_small_file(file, kKeyFileMaxBytes)))));
}

Status add_provider(ai::Providers& providers, const std::string& name, Json entry) {
  const Secret api_key = KVCS_TRY(read_api_key(entry));
  std::optional<Secret> unused;
  ai::Provider provider = KVCS_TRY(ai::parse_provider(name, typed(std::move(entry)), unused));
  providers.add_configured(std::move(provider), api_key);
  return ok();
}

// With nothing configured, the keys that every SDK reads.
Status add_environment_providers(ai::Providers& providers) {
  const std::pair<const char*, const char*> known[] = {{"openai", "OPENAI_API_KEY"},
                                                       {"anthropic", "ANTHROPIC_API_KEY"}};
  for (const auto& [name, variable] : known) {
    const char* key = std::getenv(variable);
    if (key == nullptr || *key == '\0') continue;
    KVCS_TRY(add_provider(providers, name, Json{{"kind", name}, {"api_key_env", variable}}));
  }
  return ok();
}

Status add_providers(const AiSection& config, ai::Providers& providers) {
  if (config.providers.empty()) return add_environment_providers(providers);
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(config.providers, "ai.providers"));
  if (!document.root().is_object()) return invalid("ai.providers: must be a map.");
  for (const auto& [name, entry] : document.root().items()) {
    Status added = add_provider(providers, name, entry);
    if (!added.ok()) return std::move(added).with_context("ai.providers." + name);
  }
  return ok();
}

Status add_aliases(const AiSection& config, ai::Providers& providers) {
  if (config.aliases.empty()) return ok();
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(config.aliases, "ai.aliases"));
  if (!document.root().is_object()) return invalid("ai.aliases: must be a map.");
  for (const auto& [name, entry] : document.root().items()) {
    std::vector<std::string> targets;
    if (entry.is_string()) targets.push_back(entry.get<std::string>());
    if (entry.is_array()) {
      for (const Json& target : entry) {
        if (target.is_string()) targets.push_back(target.get<std::string>());
      }
    }
    if (targets.empty() || targets.size() > 16) {
      return invalid("ai.aliases." + name + ": must list 1 to 16 models.");
    }
    providers.add_alias(name, std::move(targets));
  }
  return ok();
}

ai::ProxyConfig proxy_config(const AiSection& config) {
  return {.output_tokens_default = config.output_tokens_default,
          .answer_max_bytes = config.answer_max_bytes,
          .event_max_bytes = static_cast<size_t>(config.event_max_bytes),
          .idle_timeout_ms = config.idle_timeout_ms,
          .body_log_max_bytes = static_cast<size_t>(config.body_log_max_bytes)};
}

// As people know them; the id when the store does not answer.
std::string budget_name(const Directory& directory, std::string_view kind, std::string_view id) {
  if (kind == "org") {
    const auto organization = directory.organization(id);
    return organization.ok() ? organization.value()->slug : std::string(id);
  }
  const auto user = directory.user(id);
  if (!user.ok()) return std::string(id);
  const std::string& organization_id = user.value()->organization_id;
  return budget_name(directory, "org", organization_id) + "/" + user.value()->email;
}

// Usage rows that are in SQL, or on their way there. (Not drained: the other sinks do not stand
// yet.)
class KnownRows final {
 public:
  explicit KnownRows(Parts& parts) : parts_(parts) {}

  Result<bool> contain(std::string_view request_id) {
    if (!waiting_) KVCS_TRY(read_outbox());
    if (waiting_->count(std::string(request_id)) > 0) return true;
    const Status found = find_usage_row(*parts_.ledger, request_id, "").status();
    if (!found.ok() && found.code() != Code::kNotFound) return found;
    return found.ok();
  }

 private:
  Status read_outbox() {
    waiting_.emplace();
    return for_each_in_outbox(*parts_.kv, [this](const OutboxRecord& record) {
      waiting_->insert(record.id);
      return ok();
    });
  }

  Parts& parts_;
  std::optional<std::unordered_set<std::string>> waiting_;
};

Status load_prices(const AiSection& config, ai::Pricing& pricing) {
  std::string path = config.prices_path;
  if (path.empty()) path = KVCS_TRY(find_share_file("prices.yaml", "ai.prices_path"));
  const std::string text = KVCS_TRY(read_small_file(path, kPricesFileMaxBytes));
  return pricing.load_yaml(text, path);
}

void add_metrics(Metrics& metrics, const AiDoor& door) {
  const ai::ChatProxy& proxy = *door.proxy;
  const ai::Budgets& budgets = *door.budgets;
  metrics.gauge("kvcs_ai_open_streams", "Answers being streamed.",
                [&proxy] { return static_cast<double>(proxy.stats().open_streams); });
  metrics.counter_from("kvcs_ai_upstream_errors_total", "Providers that failed or refused.",
                       [&proxy] { return static_cast<double>(proxy.stats().upstream_errors); });
  metrics.counter_from("kvcs_ai_client_gone_total", "Clients that left before their answer's end.",
                       [&proxy] { return static_cast<double>(proxy.stats().client_gone); });
  metrics.gauge("kvcs_ai_open_reservations", "Requests with money set aside.",
                [&budgets] { return static_cast<double>(budgets.stats().open_reservations); });
  metrics.gauge("kvcs_ai_unwritten_charges", "Charges that the store has not taken.",
                [&budgets] { return static_cast<double>(budgets.stats().unwritten_settlements); });
  metrics.counter_from("kvcs_ai_grace_requests_total", "Requests admitted without the store.",
                       [&budgets] { return static_cast<double>(budgets.stats().grace_requests); });
  metrics.counter_from("kvcs_ai_recovered_charges_total", "Charges that a dead process left.",
                       [&budgets] { return static_cast<double>(budgets.stats().recovered); });
}

}  // namespace

Status reload_prices(Parts& parts) {
  return load_prices(parts.config.ai, parts.ai->pricing);
}

Status repair_counters(Parts& parts) {
  const auto recount = [&parts](std::string_view kind, std::string_view id,
                                std::string_view month) -> Result<ai::BudgetView> {
    // Before SQL is read, so that a row that moves meanwhile is in one of the two.
    std::vector<UsageRow> waiting;
    const auto look = [&](const OutboxRecord& record) -> Status {
      if (record.kind != "usage") return ok();
      UsageRow row = KVCS_TRY(parse_usage(record));
      const std::string& owner = kind == "key"    ? row.key_id
                                 : kind == "user" ? row.user_id
                                                  : row.organization_id;
      if (owner == id && row.period == month) waiting.push_back(std::move(row));
      return ok();
    };
    KVCS_TRY(for_each_in_outbox(*parts.kv, look));
    const UsageGroup sum = KVCS_TRY(recount_usage(*parts.ledger, kind, id, month, waiting));
    return ai::BudgetView{sum.cost_nano_usd, 0, sum.requests, sum.failures, std::string(month)};
  };
  return parts.ai->budgets->repair(recount);
}

Status build_ai_door(Parts& parts) {
  AiDoor* door = parts.ai.get();
  const AiSection& config = parts.config.ai;
  door->overrides =
      std::make_unique<ai::PriceOverrides>(*parts.kv, *parts.audited, *parts.kv, door->pricing);
  door->providers = std::make_unique<ai::Providers>(*parts.kv, *parts.audited, *parts.kv,
                                                    *parts.sealer, door->pricing);
  KVCS_TRY(add_providers(config, *door->providers));
  KVCS_TRY(add_aliases(config, *door->providers));
  parts.ledger->add_group_sink("usage", usage_sink);
  door->budgets = std::make_unique<ai::Budgets>(
      *parts.kv, parts.clock(),
      [directory = parts.directory.get()](std::string_view kind, std::string_view id) {
        return budget_name(*directory, kind, id);
      });
  parts.ledger->add_source([budgets = door->budgets.get()] { return budgets->reconcile(); });
  KVCS_TRY(door->budgets->recover(
      parts.config.data_dir + "/charges.journal",
      [rows = KnownRows(parts)](std::string_view id) mutable { return rows.contain(id); }));
  door->proxy = std::make_unique<ai::ChatProxy>(
      proxy_config(config), *parts.directory, *door->providers, door->pricing, *door->overrides,
      *door->budgets, *parts.rates, *parts.upstream, *parts.ledger, parts.clock());
  door->api = std::make_unique<ai::AiApi>(*parts.directory, *door->providers, door->pricing,
                                          *door->budgets, *parts.ledger, parts.clock());
  door->admin_api = std::make_unique<ai::AiAdminApi>(
      *parts.organizations, *parts.users, *door->budgets, door->pricing, *door->overrides,
      *door->providers, *parts.audited, *parts.ledger, parts.clock());
  add_metrics(*parts.metrics, *door);
  return ok();
}

}  // namespace kvcs
