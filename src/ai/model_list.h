// The models that the holder of a key can call, and what is known of each. Thread-safe.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"
#include "base/json.h"
#include "base/principal.h"
#include "identity/directory.h"

namespace kvcs::ai {

struct ServedModel {
  std::string id;     // As a request names it.
  std::string owner;  // The provider's name; "alias" of a name that stands for several targets.
  // Null: the organization's own prices for models without one.
  std::shared_ptr<const Price> price;  // Owners: see PricedModel.
};

class ModelList final {
 public:
  ModelList(const Directory& directory, const Providers& providers, const Pricing& pricing,
            PriceOverrides& overrides);

  // Each model once: aliases, then by provider what it lists, or else all that has a price, and
  // what has a price of the operator's alone. A model is left out that the key, its user or its
  // organization may not use, whose provider has no key, that has no price, or whose price row says
  // that it has ended, unless the provider's own record names it.
  Result<std::vector<ServedModel>> list(const Principal& who) const;
  // The model that a request of this name reaches, also by names that list() does not have.
  // NotFound with reason model_not_found.
  Result<ServedModel> find(const Principal& who, std::string_view id) const;

 private:
  struct Caller;
  Result<Caller> caller_of(const Principal& who) const;
  Result<bool> may_call(const Caller& caller, std::string_view id, const ModelTarget& target,
                        std::shared_ptr<const Price>& price) const;
  // The names of the provider's models, without the provider.
  std::vector<std::string> names_at(const Provider& provider, const Caller& caller) const;

  const Directory& directory_;
  const Providers& providers_;
  const Pricing& pricing_;
  PriceOverrides& overrides_;
};

// One model as the APIs of OpenAI and Anthropic have it, with more members: context, prices (USD
// per token and per call, under the names of the price table) and what the model can do.
Json openai_model(const ServedModel& model);
Json anthropic_model(const ServedModel& model);

}  // namespace kvcs::ai
