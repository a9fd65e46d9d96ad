// The store of fault tests: asks its plan before each operation of the store below.
#include "kv/kv.h"

namespace kvcs {
namespace {

std::string_view first_key(const KvBatch& batch) {
  return batch.empty() ? std::string_view() : std::string_view(batch.ops().front().key);
}

class FaultyKv final : public KvStore {
 public:
  FaultyKv(KvStore& base, KvFaultPlan plan) : base_(base), plan_(std::move(plan)) {}

  Result<KvEntry> get(KvFamily family, std::string_view key) const override {
    KVCS_TRY(plan_("get", key));
    return base_.get(family, key);
  }
  Status write(const KvBatch& batch, KvDurability durability) override {
    KVCS_TRY(plan_("write", first_key(batch)));
    return base_.write(batch, durability);
  }
  Status compare_and_swap(KvFamily family, std::string_view key,
                          std::optional<std::string_view> expected, const KvBatch& batch,
                          KvDurability durability) override {
    KVCS_TRY(plan_("cas", key));
    return base_.compare_and_swap(family, key, expected, batch, durability);
  }
  Result<KvPage> scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                      size_t limit) const override {
    KVCS_TRY(plan_("scan", prefix));
    return base_.scan(family, prefix, cursor, limit);
  }
  Status sync() override {
    KVCS_TRY(plan_("sync", {}));
    return base_.sync();
  }
  Status writable() const override {
    KVCS_TRY(plan_("writable", {}));
    return base_.writable();
  }
  Status checkpoint(const std::string& directory) override {
    KVCS_TRY(plan_("checkpoint", directory));
    return base_.checkpoint(directory);
  }

 private:
  KvStore& base_;
  const KvFaultPlan plan_;
};

}  // namespace

std::unique_ptr<KvStore> make_faulty_kv(KvStore& base, KvFaultPlan plan) {
  return std::make_unique<FaultyKv>(base, std::move(plan));
}

}  // namespace kvcs
