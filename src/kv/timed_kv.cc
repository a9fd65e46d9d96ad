// The store that times another: each operation is a lap from its call to its return.
#include "kv/kv.h"

namespace kvcs {
namespace {

class TimedKv final : public KvStore {
 public:
  TimedKv(KvStore& base, const Clock& clock, KvTimer took)
      : base_(base), clock_(clock), took_(std::move(took)) {}

  Result<KvEntry> get(KvFamily family, std::string_view key) const override {
    const Lap lap(*this, KvOp::kGet);
    return base_.get(family, key);
  }
  Status write(const KvBatch& batch, KvDurability durability) override {
    const Lap lap(*this, write_op(durability));
    return base_.write(batch, durability);
  }
  Status compare_and_swap(KvFamily family, std::string_view key,
                          std::optional<std::string_view> expected, const KvBatch& batch,
                          KvDurability durability) override {
    const Lap lap(*this, write_op(durability));
    return base_.compare_and_swap(family, key, expected, batch, durability);
  }
  Result<KvPage> scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                      size_t limit) const override {
    const Lap lap(*this, KvOp::kScan);
    return base_.scan(family, prefix, cursor, limit);
  }
  Status sync() override {
    const Lap lap(*this, KvOp::kSync);
    return base_.sync();
  }
  Status writable() const override { return base_.writable(); }
  Status checkpoint(const std::string& directory) override { return base_.checkpoint(directory); }

 private:
  struct Lap {
    Lap(const TimedKv& owner, KvOp what)
        : store(owner), op(what), begin_us(owner.clock_.mono_us()) {}
    ~Lap() { store.took_(op, store.clock_.mono_us() - begin_us); }
    const TimedKv& store;
    const KvOp op;
    const int64_t begin_us;
  };
  static KvOp write_op(KvDurability durability) {
    return durability == KvDurability::kSynced ? KvOp::kSyncedWrite : KvOp::kWrite;
  }

  KvStore& base_;
  const Clock& clock_;
  const KvTimer took_;
};

}  // namespace

std::string_view kv_op_name(KvOp op) {
  constexpr std::array<std::string_view, kKvOpCount> kNames = {"get", "scan", "write",
                                                               "synced_write", "sync"};
  return kNames[static_cast<size_t>(op)];
}

std::unique_ptr<KvStore> make_timed_kv(KvStore& base, const Clock& clock, KvTimer took) {
  return std::make_unique<TimedKv>(base, clock, std::move(took));
}

}  // namespace kvcs
