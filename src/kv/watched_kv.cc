// The store that tells listeners which keys were written, on the writer's thread and before the
// write returns: a caller that reads after its own write never sees a stale cache.
#include "kv/kv.h"

namespace kvcs {
namespace {

class WatchedStore final : public WatchedKv {
 public:
  explicit WatchedStore(KvStore& base) : base_(base) {}

  void add_listener(KvListener listener) override { listeners_.push_back(std::move(listener)); }

  Result<KvEntry> get(KvFamily family, std::string_view key) const override {
    return base_.get(family, key);
  }
  Status write(const KvBatch& batch, KvDurability durability) override {
    KVCS_TRY(base_.write(batch, durability));
    tell(batch);
    return ok();
  }
  Status compare_and_swap(KvFamily family, std::string_view key,
                          std::optional<std::string_view> expected, const KvBatch& batch,
                          KvDurability durability) override {
    KVCS_TRY(base_.compare_and_swap(family, key, expected, batch, durability));
    tell(batch);
    return ok();
  }
  Result<KvPage> scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                      size_t limit) const override {
    return base_.scan(family, prefix, cursor, limit);
  }
  Status sync() override { return base_.sync(); }
  Status writable() const override { return base_.writable(); }
  Status checkpoint(const std::string& directory) override { return base_.checkpoint(directory); }

 private:
  void tell(const KvBatch& batch) const {
    for (const KvBatch::Op& op : batch.ops()) {
      for (const KvListener& listener : listeners_) listener(op.family, op.key);
    }
  }

  KvStore& base_;
  std::vector<KvListener> listeners_;
};

}  // namespace

std::unique_ptr<WatchedKv> make_watched_kv(KvStore& base) {
  return std::make_unique<WatchedStore>(base);
}

}  // namespace kvcs
