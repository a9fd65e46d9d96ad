// A KvStore in a SQLite file of its own, for the ledger's tests: its writes survive kill -9, and a
// plan can make any operation fail. Thread-safe by one lock.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "db/db.h"
#include "kv/kv.h"

namespace kvcs::test {

class SqlKv final : public KvStore {
 public:
  explicit SqlKv(const std::string& path);  // Or ":memory:".
  // Called with "get", "write", "scan" or "sync" before each; before threads start only.
  void set_plan(std::function<Status(std::string_view op)> plan) { plan_ = std::move(plan); }

  Result<KvEntry> get(KvFamily family, std::string_view key) const override;
  Status write(const KvBatch& batch, KvDurability durability) override;
  Status compare_and_swap(KvFamily family, std::string_view key,
                          std::optional<std::string_view> expected, const KvBatch& batch,
                          KvDurability durability) override;
  Result<KvPage> scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                      size_t limit) const override;
  Status sync() override { return check("sync"); }
  Status writable() const override { return ok(); }
  Status checkpoint(const std::string&) override { return internal("not in these tests"); }

  // Puts one record into the outbox.
  void put_outbox(std::string_view kind, std::string_view id, int64_t unix_ms,
                  std::string_view payload);
  size_t outbox_size() const;

 private:
  Status check(std::string_view op) const { return plan_ ? plan_(op) : ok(); }

  std::function<Status(std::string_view op)> plan_;
  mutable Mutex mutex_;
  std::unique_ptr<Database> db_;
};

}  // namespace kvcs::test
