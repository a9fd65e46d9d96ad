// A Database over another that asks its plan before each operation, as the faulty KvStore does. It
// is the second engine that runs the modules above: what they do when SQL fails needs no broken
// disk.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "db/db.h"

namespace kvcs::test {

// Operations: "prepare" and "step" with the text of the statement, "execute" with its text, "begin"
// with "read" or "write", "commit", "rollback", "snapshot", "backup" with the path, "checkpoint",
// "schema" with "get" or "set", "table" and "number" with the table, "damage". A failure is
// returned in the operation's place. After a failed commit the transaction is still open, as after
// a full disk. Called on the thread that uses the database.
using DbFaultPlan = std::function<Status(std::string_view op, std::string_view what)>;

std::unique_ptr<Database> make_faulty_db(std::unique_ptr<Database> base, DbFaultPlan plan);
// Connections of the pool over `connect`, each with the same plan, which must be thread-safe.
DbReaders::Connect faulty_readers(DbReaders::Connect connect, DbFaultPlan plan);

}  // namespace kvcs::test
