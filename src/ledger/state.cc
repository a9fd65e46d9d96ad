// The statements over ledger_state. On the thread of whoever holds the database.
#include "ledger/state.h"

#include "base/bytes.h"
#include "db/db.h"

namespace kvcs {

Result<std::string> read_state(Database& db, std::string_view name) {
  auto find = KVCS_TRY(db.prepare("SELECT value FROM ledger_state WHERE name=?"));
  const bool there = KVCS_TRY(find.bind(1, name).step());
  return there ? find.text(0) : std::string();
}

Status write_state(Database& db, std::string_view name, std::string_view value) {
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO ledger_state (name, value) VALUES (?, ?)"
                          " ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
  return put.bind(1, name).bind(2, value).run();
}

Result<int64_t> read_state_number(Database& db, std::string_view name) {
  const std::string text = KVCS_TRY(read_state(db, name));
  if (text.empty()) return int64_t{0};
  return static_cast<int64_t>(KVCS_TRY(parse_u64(text, name)));
}

Status write_state_number(Database& db, std::string_view name, int64_t number) {
  return write_state(db, name, std::to_string(number));
}

}  // namespace kvcs
