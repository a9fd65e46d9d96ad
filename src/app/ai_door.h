// The AI gateway's objects, in the order of construction.
#pragma once
#include <memory>

#include "ai/ai_admin_api.h"
#include "ai/ai_api.h"
#include "ai/budget/budget.h"
#include "ai/chat_proxy.h"
#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"

namespace kvcs {

struct Parts;

struct AiDoor {
  ai::Pricing pricing;
  std::unique_ptr<ai::PriceOverrides> overrides;
  std::unique_ptr<ai::Providers> providers;
  std::unique_ptr<ai::Budgets> budgets;
  std::unique_ptr<ai::ChatProxy> proxy;
  std::unique_ptr<ai::AiApi> api;
  std::unique_ptr<ai::AiAdminApi> admin_api;
};

// Fills parts.ai, whose prices have been read: reads providers, settles what a dead process left
// reserved. After identity and ledger.
Status build_ai_door(Parts& parts);
// Invalid leaves the table in force; the start and SIGHUP call it.
Status reload_prices(Parts& parts);
// Makes budget counters that the store could not read anew, from the rows of the ledger.
Status repair_counters(Parts& parts);

}  // namespace kvcs
