// What is found damaged in the directory of the key-value store, in words. Internal to kv/.
#pragma once
#include <cstdint>
#include <string>

#include "base/status.h"

namespace kvcs {

// The refusal to open a store that is damaged. `found` is what RocksDB or a check said; it names
// the file where that is known, and goes into the message, since only the operator reads it. Logs
// and other files have their own way out.
enum class KvDamagePlace : uint8_t { kLog, kFile };
Status kv_damaged(const std::string& directory, const std::string& found,
                  KvDamagePlace place = KvDamagePlace::kFile);
// Whether a database begins there: a directory without CURRENT is new.
bool has_kv_files(const std::string& directory);
// Not ok when CURRENT is missing, or empty, beside files that only a database makes: RocksDB would
// take the directory for a new one.
Status check_kv_files(const std::string& directory);

}  // namespace kvcs
