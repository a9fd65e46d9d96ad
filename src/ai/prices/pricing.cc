// The table of prices: shipped file, overrides, and how a model's name finds its row.
#include "ai/prices/pricing.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <unordered_map>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/mutex.h"
#include "base/yaml.h"

namespace kvcs::ai {
namespace {

const Json kNoAliases = Json::object();

using PricePointer = std::shared_ptr<const Price>;  // Owners: see PricedModel.

struct Hash : std::hash<std::string_view> {
  using is_transparent = void;
};
template <typename T>
using ByName = std::unordered_map<std::string, T, Hash, std::equal_to<>>;

struct Table {
  ByName<PricePointer> by_full_name;  // "provider/model"
  ByName<PricePointer> by_bare_name;  // First in the file wins.
  ByName<std::string> aliases;
  std::vector<PricePointer> rows;
  std::string version;
};

struct Overrides {
  ByName<PricePointer> by_key;        // org_id "\n" model
  ByName<PricePointer> by_bare_name;  // org_id "\n" model, of those that name a provider.
  std::string version;                // "" when there are none.
};

// Takes the date off a versioned name: "-20250514" or "-2025-05-14" at the end. A new version of a
// model costs what the model costs, until the table has a row of its own for it.
std::string_view without_date(std::string_view model) {
  const auto digits = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  if (model.size() > 9) {
    const std::string_view tail = model.substr(model.size() - 9);
    if (tail[0] == '-' && digits(tail.substr(1))) return model.substr(0, model.size() - 9);
  }
  if (model.size() > 11) {
    const std::string_view tail = model.substr(model.size() - 11);
    if (tail[0] == '-' && tail[5] == '-' && tail[8] == '-' && digits(tail.substr(1, 4)) &&
        digits(tail.substr(6, 2)) && digits(tail.substr(9, 2))) {
      return model.substr(0, model.size() - 11);
    }
  }
  return model;
}

Status add_rows(Table& table, const YamlDocument& document, const Json& models) {
  for (const auto& [name, members] : models.items()) {
    const std::string where = document.where({"models", name});
    Result<PricePointer> price = parse_dated_price(name, members);
    if (!price.ok()) return std::move(price).status().with_context(where);
    if (name.find('/') == name.npos || name.front() == '/') {
      return invalid(where + ": write the model as provider/model, not '" + printable(name) + "'.");
    }
    PricePointer row = std::move(price).value();
    table.by_full_name.emplace(name, row);
    table.by_bare_name.emplace(row->model, row);
    table.rows.push_back(std::move(row));
  }
  return ok();
}

Result<Table> read_table(std::string_view text, std::string_view file_name) {
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(text, file_name));
  JsonReader reader(document.root(), std::string(file_name));
  const Json* models = reader.object("models");
  const Json* aliases = reader.object("aliases");
  KVCS_TRY(reader.finish());
  if (models == nullptr) return invalid(std::string(file_name) + ".models: required.");
  Table table;
  KVCS_TRY(add_rows(table, document, *models));
  for (const auto& [alias, target] : (aliases == nullptr ? kNoAliases : *aliases).items()) {
    const std::string name = target.is_string() ? target.get<std::string>() : "";
    if (table.by_full_name.find(name) == table.by_full_name.end()) {
      return invalid(document.where({"aliases", alias}) + ": the alias points to '" +
                     printable(name) + "', which has no price.");
    }
    table.aliases[alias] = name;
  }
  table.version = sha256_hex(text).substr(0, 12);
  return table;
}

// "provider/model" first, then `model` as a full name of its own, then a bare name.
PricePointer find_row(const Table& table, std::string_view provider, std::string_view model) {
  if (!provider.empty()) {
    const auto it = table.by_full_name.find(std::string(provider) + "/" + std::string(model));
    if (it != table.by_full_name.end()) return it->second;
  }
  if (const auto it = table.by_full_name.find(model); it != table.by_full_name.end()) {
    return it->second;
  }
  const auto it = table.by_bare_name.find(model);
  return it == table.by_bare_name.end() ? nullptr : it->second;
}

// The organization's own price beats everybody's, whether or not it names the provider.
PricePointer find_override(const Overrides& overrides, std::string_view organization_id,
                           std::string_view provider, std::string_view model) {
  if (overrides.by_key.empty()) return nullptr;
  const std::string names[] = {std::string(provider) + "/" + std::string(model),
                               std::string(model)};
  for (const std::string_view scope : {organization_id, std::string_view()}) {
    for (const std::string& name : names) {
      const auto it = overrides.by_key.find(std::string(scope) + "\n" + name);
      if (it != overrides.by_key.end()) return it->second;
    }
    if (scope.empty()) break;
  }
  return nullptr;
}

// What an override of "provider/model" is for whoever asks for "model".
PricePointer find_bare_override(const Overrides& overrides, std::string_view organization_id,
                                std::string_view model) {
  for (const std::string_view scope : {organization_id, std::string_view()}) {
    const auto it = overrides.by_bare_name.find(std::string(scope) + "\n" + std::string(model));
    if (it != overrides.by_bare_name.end()) return it->second;
  }
  return nullptr;
}

}  // namespace

struct Pricing::Impl {
  explicit Impl(const Clock& time) : clock(time) {}

  // The row of the file that holds today in place of `row`, and its version.
  PricedModel today(PricePointer row, const std::string& version) const {
    std::string dated = version;
    while (row->later != nullptr && format_day(clock.unix_ms()) >= row->later->from) {
      row = row->later;
      dated = version + "@" + row->from;
    }
    return PricedModel{std::move(row), std::move(dated)};
  }

  const Clock& clock;
  mutable SharedMutex mutex;
  // Shared by two owners: this object, and a find() that is under way while the table is swapped.
  std::shared_ptr<const Table> table KVCS_GUARDED_BY(mutex) = std::make_shared<Table>();
  std::shared_ptr<const Overrides> overrides KVCS_GUARDED_BY(mutex) = std::make_shared<Overrides>();

  std::pair<std::shared_ptr<const Table>, std::shared_ptr<const Overrides>> snapshot() const {
    ReadLock lock(mutex);
    return {table, overrides};
  }
};

Pricing::Pricing(const Clock& clock) : impl_(std::make_unique<Impl>(clock)) {}
Pricing::~Pricing() = default;

Status Pricing::load_yaml(std::string_view text, std::string_view file_name) {
  auto table = std::make_shared<const Table>(KVCS_TRY(read_table(text, file_name)));
  WriteLock lock(impl_->mutex);
  impl_->table = std::move(table);
  return ok();
}

void Pricing::set_overrides(std::vector<Override> overrides) {
  auto fresh = std::make_shared<Overrides>();
  std::string digest_input;
  for (Override& entry : overrides) {
    std::string key = entry.organization_id + "\n" + entry.model;
    digest_input += key + "\n" + dump_json(price_to_json(entry.price)) + "\n";
    auto price = std::make_shared<const Price>(std::move(entry.price));
    if (entry.model.find('/') != entry.model.npos) {
      fresh->by_bare_name.emplace(entry.organization_id + "\n" + price->model, price);
    }
    fresh->by_key[std::move(key)] = std::move(price);
  }
  if (!overrides.empty()) fresh->version = "+" + sha256_hex(digest_input).substr(0, 8);
  WriteLock lock(impl_->mutex);
  impl_->overrides = std::move(fresh);
}

Result<PricedModel> Pricing::find(std::string_view organization_id, std::string_view provider,
                                  std::string_view model) const {
  const auto [table, overrides] = impl_->snapshot();
  const std::string version = table->version + overrides->version;
  std::string_view bare = model;
  if (!provider.empty() && bare.size() > provider.size() && bare.starts_with(provider) &&
      bare[provider.size()] == '/') {
    bare.remove_prefix(provider.size() + 1);
  }
  for (const std::string_view name : {bare, without_date(bare)}) {
    PricePointer row = find_override(*overrides, organization_id, provider, name);
    if (row != nullptr) return PricedModel{std::move(row), version, true};
    row = find_row(*table, provider, name);
    if (row == nullptr) {
      const auto alias = table->aliases.find(name);
      if (alias != table->aliases.end()) row = table->by_full_name.find(alias->second)->second;
    }
    if (row != nullptr) return impl_->today(std::move(row), version);
  }
  if (provider.empty()) {
    PricePointer row = find_bare_override(*overrides, organization_id, bare);
    if (row != nullptr) return PricedModel{std::move(row), version, true};
  }
  const std::string full = printable(
      provider.empty() ? model : std::string(provider) + "/" + std::string(bare), kShownValue);
  return invalid("The model '" + full +
                 "' has no price here, so its cost cannot be bounded; an admin can set one with "
                 "PUT /admin/ai/prices/" +
                 full + ".")
      .with_reason("model_not_priced");
}

std::optional<PricedModel> Pricing::find_exact(std::string_view organization_id,
                                               std::string_view provider,
                                               std::string_view model) const {
  const auto [table, overrides] = impl_->snapshot();
  const std::string version = table->version + overrides->version;
  const std::string name = std::string(provider) + "/" + std::string(model);
  PricePointer row = find_override(*overrides, organization_id, "", name);
  if (row != nullptr) return PricedModel{std::move(row), version, true};
  const auto it = table->by_full_name.find(name);
  if (it == table->by_full_name.end()) return std::nullopt;
  return impl_->today(it->second, version);
}

std::vector<std::shared_ptr<const Price>> Pricing::list() const {
  std::vector<std::shared_ptr<const Price>> rows = impl_->snapshot().first->rows;
  for (PricePointer& row : rows) row = impl_->today(std::move(row), "").price;
  return rows;
}
bool Pricing::has_ended(const Price& price) const {
  return !price.deprecation_date.empty() &&
         format_day(impl_->clock.unix_ms()) >= price.deprecation_date;
}
std::vector<std::string> Pricing::overridden_names(std::string_view organization_id) const {
  const auto overrides = impl_->snapshot().second;
  std::vector<std::string> names;
  for (const auto& [key, unused] : overrides->by_key) {
    const size_t end = key.find('\n');
    const std::string_view scope = std::string_view(key).substr(0, end);
    if (scope.empty() || scope == organization_id) names.push_back(key.substr(end + 1));
  }
  std::sort(names.begin(), names.end());
  return names;
}
std::string Pricing::version() const {
  const auto [table, overrides] = impl_->snapshot();
  return table->version + overrides->version;
}

}  // namespace kvcs::ai
