// Single facts that the ledger keeps in its table ledger_state, each under a name of its own, read
// and written in the transaction of what they speak of. Functions without state.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

class Database;

Result<std::string> read_state(Database& db, std::string_view name);  // "" when there is none.
Status write_state(Database& db, std::string_view name, std::string_view value);
// The same for a number. Not below 0; 0 when there is none, Invalid when it is no number.
Result<int64_t> read_state_number(Database& db, std::string_view name);
Status write_state_number(Database& db, std::string_view name, int64_t number);

}  // namespace kvcs
