// The master key: from KVCS_MASTER_KEY, else $CREDENTIALS_DIRECTORY/kvcs-master-key (systemd), else
// <data_dir>/master.key, which is made on the first start. Each holds base64 of 32 bytes per line
// (KVCS_MASTER_KEY also between spaces or commas); the first one seals, all open (rotation).
#pragma once
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"

namespace kvcs {

inline constexpr size_t kMasterKeyBytes = 32;

// The directory of systemd's credentials; "" = none.
std::string credentials_directory();

// Invalid: not base64 of 32 bytes, or a key file that others may read.
Result<std::vector<Secret>> load_master_keys(const std::string& data_dir, const Secret& from_env,
                                             const std::string& credentials_directory,
                                             Entropy& entropy);

// The keys of one file. Invalid: not base64 of 32 bytes, or others may read the file.
Result<std::vector<Secret>> read_master_key_file(const std::string& path);
// Where load_master_keys() finds them: the path of master.key, or "" for any other place.
std::string master_key_file(const std::string& data_dir, const Secret& from_env,
                            const std::string& credentials_directory);

}  // namespace kvcs
