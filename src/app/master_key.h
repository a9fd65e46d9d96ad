// The master key: from KVCS_MASTER_KEY, else $CREDENTIALS_DIRECTORY/kvcs-master-key (systemd), else
// <data_dir>/master.key, which is made on the first start. A file holds base64 of 32 bytes per
// line; the first line seals, all open (rotation).
#pragma once
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"

namespace kvcs {

// The directory of systemd's credentials; "" = none.
std::string credentials_directory();

// Invalid: not base64 of 32 bytes, or a key file that others may read.
Result<std::vector<Secret>> load_master_keys(const std::string& data_dir, const Secret& from_env,
                                             const std::string& credentials_directory,
                                             Entropy& entropy);

}  // namespace kvcs
