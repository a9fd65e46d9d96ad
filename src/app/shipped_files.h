// The data files that are shipped with the daemon (config/ in a source tree): where they are at run
// time, and what App reads of them, prices and the catalogue of providers.
#pragma once
#include <string>
#include <string_view>

#include "ai/prices/pricing.h"
#include "app/config.h"
#include "base/status.h"
#include "gateway/catalogue/provider_directory.h"

namespace kvcs {

// The first that exists of $KVCS_SHARE_DIR/<name>, <binary's directory>/../share/kvcs/config/<name>
// (an installation) and <binary's directory>/../../config/<name> or one level up (a source tree).
// NotFound: names the places, and `setting`, the field of kvcs.yaml that may name the file instead.
Result<std::string> find_shipped_file(std::string_view name, std::string_view setting);

// Puts the prices of ai.prices_path, or the shipped ones, in force. Invalid leaves those in force
// that were. The start and SIGHUP call it. The log names the models that have ended by it.
Status load_prices(const Config& config, ai::Pricing& pricing);
// Invalid names the file and line of the catalogue that does not fit.
Result<gateway::Catalogue> read_catalogue(const Config& config);

}  // namespace kvcs
