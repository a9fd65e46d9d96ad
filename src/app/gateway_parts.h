// The tool gateway's objects, built from the parts below it.
#pragma once
#include <memory>

#include "gateway/api/gateway_admin_api.h"
#include "gateway/api/gateway_api.h"
#include "gateway/call/pipeline.h"
#include "gateway/call/response_cache.h"
#include "gateway/catalogue/agent_schedules.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/tokens.h"

namespace kvcs {

struct Config;
struct Parts;

// In the order of construction.
struct GatewayParts {
  std::unique_ptr<gateway::TokenStore> tokens;
  std::unique_ptr<gateway::ProviderDirectory> providers;
  std::unique_ptr<gateway::Tenants> tenants;
  std::unique_ptr<gateway::ResponseCache> cache;
  std::unique_ptr<gateway::Pipeline> pipeline;
  std::unique_ptr<gateway::GatewayApi> api;
  std::unique_ptr<gateway::GatewayAdminApi> admin_api;
  std::unique_ptr<gateway::AgentSchedules> agent_schedules;
};

// Invalid names the file and line of the catalogue that does not fit.
Result<gateway::Catalogue> read_catalogue(const Config& config);
// Fills parts.gateway. After the stores and identity.
Status build_gateway(Parts& parts, gateway::Catalogue catalogue);

}  // namespace kvcs
