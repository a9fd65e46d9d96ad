// The stores of a start are compared before they are used, in three steps between which App opens
// them: before anything is opened, once KV is, and once the databases are. Used by build_stores.cc.
#pragma once
#include <optional>

#include "app/store_marks.h"
#include "base/status.h"

namespace kvcs {

struct Parts;

class StoreStart final {
 public:
  // Nothing is open. Marks a directory in which nothing is as one of a first start. Conflict when a
  // store is missing; see store_marks.h for all failures.
  static Result<StoreStart> begin(Parts& parts);
  // KV is open, the databases are not.
  Status check_kv(Parts& parts) const;
  // All are open, and nobody works with them. Compares them, and raises their generation.
  Status finish(Parts& parts);

 private:
  StoreStart() = default;
  Status check_sums(Parts& parts) const;

  StoresThere there_;
  std::optional<DirectoryMark> directory_;
};

}  // namespace kvcs
