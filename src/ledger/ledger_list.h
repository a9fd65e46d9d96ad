// A table of the ledger as the answer to GET: the query string becomes a LedgerQuery, and its page
// JSON or CSV. Shared by the lists of /admin; thread-safe.
//
// Every list takes from and to (ISO 8601; from ≤ time < to), limit (1 to 1000, default 100), cursor
// and format, besides the filters of its own, and answers newest first:
//   {"errors": [ … ], "cursor": "…" or null}
// With format=csv it answers text/csv instead: all rows that match, from the cursor on, at most
// kCsvRowsMax or `limit`. Where a limit of at most 1000 has cut the rows off, the header
// x-next-cursor has the cursor of the next page. Empty parameters are ignored.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "http/http.h"
#include "ledger/ledger.h"

namespace kvcs {

inline constexpr int64_t kCsvRowsMax = 1'000'000;

// Takes a parameter that is none of the five above. Its failures are Invalid.
using LedgerParameter =
    std::function<Status(LedgerQuery& query, std::string_view name, const std::string& value)>;

// `member` is the name of the list in JSON, and of the file in CSV. What is still on its way to SQL
// is brought there first; where the stores cannot, the list shows the rows that are there.
// `organization_id`: whose rows alone are shown, of a table that has the column; "" = everybody's.
// Invalid names the parameter. The ledger outlives the response.
Result<http::Response> list_ledger(Ledger& ledger, const http::Request& request,
                                   std::string_view table, std::string_view member,
                                   const LedgerParameter& other,
                                   const std::string& organization_id = {});

}  // namespace kvcs
