// The tables that admins may read, column by column: what a row is called outside, how it is
// selected, filtered and printed. Nothing that is not in these lists reaches SQL as text.
// Immutable.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ledger/ledger.h"

namespace kvcs {

enum class ColumnKind : uint8_t {
  kText,
  kInteger,
  kBoolean,
  kTime,  // Unix ms in SQL, ISO 8601 outside.
  kJson,  // Text in SQL, embedded as it is outside.
  kName,  // A reference to ledger_name.
  kUsd,   // Nano-USD in SQL, a decimal outside; not for filters.
};
struct LedgerColumn {
  std::string name;  // Outside, and in filters.
  std::string sql;
  ColumnKind kind;
};
struct LedgerTable {
  std::string name;
  std::vector<LedgerColumn> columns;
};

// Invalid, listing the tables.
Result<const LedgerTable*> find_ledger_table(std::string_view name);
// Null when there is none.
const LedgerColumn* find_ledger_column(const LedgerTable& table, std::string_view name);

// One page, on a reader's connection; see Ledger::query.
Result<LedgerPage> read_ledger_page(Database& db, const LedgerQuery& query);

}  // namespace kvcs
