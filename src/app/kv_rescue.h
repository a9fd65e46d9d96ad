// The repair of a key-value store that is damaged. All before the damage of a log is kept, and all
// that can be read of files, in a copy that takes the store's place; and what the other stores know
// of the rest is applied again, above all which keys were revoked. Used by repair.cc; one thread,
// no daemon runs.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/store_marks.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/status.h"

namespace kvcs {

class Database;
class KvStore;
struct KvSalvage;

// Brings a store that lacks the last writes up to what is known of them from the audit, from the
// usage rows, and from `behind`, what could be read of the lost part (null: nothing). A key of
// which only is known that it was changed is revoked, since that is what the change may have been.
// `ledger` may be null too. Adds to `told` what was done and what is not known, a sentence each.
Status catch_up(KvStore& kv, const KvStore* behind, Database* ledger, const Clock& clock,
                Entropy& entropy, std::vector<std::string>& told);

// Only the counters: raised to the rows, and no longer sure how many rows there must be.
Status settle_counters(KvStore& kv, Database* ledger, const Clock& clock, Entropy& entropy);

class KvRescue final {
 public:
  // Makes the copy in `data_dir` and brings it up to date; the store stays as it is. Null:
  // nothing worth keeping can be read.
  static Result<std::unique_ptr<KvRescue>> prepare(const std::string& data_dir, Database* ledger,
                                                   const Clock& clock, Entropy& entropy);
  ~KvRescue();  // Removes the copy, unless it was put in place.
  KvRescue(const KvRescue&) = delete;
  KvRescue& operator=(const KvRescue&) = delete;

  const std::vector<std::string>& told() const { return told_; }
  // No admin key is left in the copy: the credentials of the first start are to be given up too.
  bool needs_first_start() const { return needs_first_start_; }
  // Exchanges store and copy in one step; the damaged store gets the name `given_up`,
  // which must be free.
  Status put_in_place(const StoreMark& mark, const std::string& given_up);

 private:
  KvRescue(std::string data_dir, const Clock& clock);
  Result<bool> fill(Database* ledger, Entropy& entropy);
  Result<bool> cut_is_whole() const;
  static Result<bool> has_begun(const KvStore& kv, bool values_are_lost);
  Status keep_a_way_in(KvStore& kv);
  void tell(const KvSalvage& salvage);

  const std::string store_, copy_;
  const std::string cut_;  // What is before the damage of a log, until it is known to be whole.
  const Clock& clock_;
  std::vector<std::string> told_;
  bool needs_first_start_ = false;
};

}  // namespace kvcs
