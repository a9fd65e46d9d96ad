// The walk that seals everything anew with the current master key, so that an earlier one can be
// dropped. It knows every place where a sealed text stands (the table in reseal.cc); a text keeps
// what it is bound to. Functions without state; thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/status.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"

namespace kvcs {

// How many sealed texts each key holds, by the key's id in hex.
using SealedCounts = std::map<std::string, int64_t>;
Result<SealedCounts> count_sealed(const KvStore& kv);

struct ResealReport {
  int64_t resealed = 0;
  int64_t left = 0;        // Under another key: written meanwhile, or `cancelled`.
  int64_t unreadable = 0;  // They open with no key that is loaded, or were changed.
  std::vector<std::string> unreadable_keys;  // The first of them.
};
// Each text is written by compare-and-swap, credentials with their audit, so that the walk may stop
// anywhere and be repeated, while everybody else writes. The proof of the master key comes last,
// when nothing else needs an earlier one: until then a start without that key is refused.
Result<ResealReport> reseal_all(KvStore& kv, AuditedKv& audited, const Sealer& sealer,
                                const AuditContext& who, const std::function<bool()>& cancelled);

}  // namespace kvcs
