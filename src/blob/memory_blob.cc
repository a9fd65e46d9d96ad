// The stores of tests: blobs in memory, and blobs that fail as a plan says. The first passes the
// contract test of the files; the second gives no descriptor, so that every read asks the plan.
#include <map>
#include <optional>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mutex.h"
#include "blob/blob.h"
#include "blob/upload_checks.h"

namespace kvcs {
namespace {

struct StoredBlob {
  std::shared_ptr<const std::string> bytes;  // Owners: the store and every open reader.
  int64_t written_us = 0;
};

struct MemoryState {
  std::unique_ptr<Clock> clock = make_system_clock();
  Mutex mutex;
  using Blobs = std::map<std::string, StoredBlob, std::less<>>;
  Blobs blobs KVCS_GUARDED_BY(mutex), trash KVCS_GUARDED_BY(mutex), damaged KVCS_GUARDED_BY(mutex);
  Blobs& shelf(BlobShelf which) KVCS_REQUIRES(mutex) {
    return which == BlobShelf::kTrash ? trash : damaged;
  }
};

class MemoryWriter final : public BlobWriter {
 public:
  MemoryWriter(MemoryState& state, std::string_view expected, uint64_t size)
      : state_(state), expected_(expected), size_(size) {}
  Status append(std::string_view bytes) override {
    if (bytes.size() > size_ - bytes_.size()) return over_size(size_);
    bytes_ += bytes;
    return ok();
  }
  Status finish() override {
    if (bytes_.size() != size_) return size_mismatch(size_, bytes_.size());
    digest_ = kvcs::sha256_hex(bytes_);
    if (!expected_.empty() && digest_ != expected_) return digest_mismatch(expected_, digest_);
    MutexLock lock(state_.mutex);
    state_.blobs[digest_] = {std::make_shared<const std::string>(bytes_), state_.clock->mono_us()};
    return ok();
  }
  uint64_t written_bytes() const override { return bytes_.size(); }
  const std::string& sha256_hex() const override { return digest_; }

 private:
  MemoryState& state_;
  const std::string expected_;
  const uint64_t size_;
  std::string bytes_, digest_;
};

class MemoryReader final : public BlobReader {
 public:
  explicit MemoryReader(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size_bytes() const override { return bytes_->size(); }
  Result<size_t> read(uint64_t offset, char* out, size_t size) const override {
    if (offset >= bytes_->size()) return size_t{0};
    return bytes_->copy(out, size, offset);
  }
  int descriptor() const override { return -1; }

 private:
  std::shared_ptr<const std::string> bytes_;
};

class MemoryBlobs final : public BlobStore {
 public:
  Result<std::unique_ptr<BlobWriter>> begin_write(std::string_view sha256_hex, uint64_t size_bytes,
                                                  std::string_view) override {
    if (!sha256_hex.empty()) KVCS_TRY(check_digest(sha256_hex));
    return std::unique_ptr<BlobWriter>(
        std::make_unique<MemoryWriter>(state_, sha256_hex, size_bytes));
  }
  Result<std::unique_ptr<BlobReader>> open(std::string_view sha256_hex) const override {
    KVCS_TRY(check_digest(sha256_hex));
    MutexLock lock(state_.mutex);
    const auto it = state_.blobs.find(sha256_hex);
    if (it == state_.blobs.end()) return not_found("No such blob.");
    return std::unique_ptr<BlobReader>(std::make_unique<MemoryReader>(it->second.bytes));
  }
  Result<uint64_t> stat(std::string_view sha256_hex) const override {
    return KVCS_TRY(open(sha256_hex))->size_bytes();
  }
  Status remove(std::string_view sha256_hex) override {
    KVCS_TRY(check_digest(sha256_hex));
    MutexLock lock(state_.mutex);
    const auto it = state_.blobs.find(sha256_hex);
    if (it != state_.blobs.end()) state_.blobs.erase(it);
    return ok();
  }
  Status set_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(check_digest(sha256_hex));
    MutexLock lock(state_.mutex);
    return move(sha256_hex, state_.blobs, state_.shelf(shelf));
  }
  Status put_back(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(check_digest(sha256_hex));
    MutexLock lock(state_.mutex);
    return move(sha256_hex, state_.shelf(shelf), state_.blobs);
  }
  Status remove_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(check_digest(sha256_hex));
    MutexLock lock(state_.mutex);
    MemoryState::Blobs& from = state_.shelf(shelf);
    if (const auto it = from.find(sha256_hex); it != from.end()) from.erase(it);
    return ok();
  }
  Status for_each_aside(
      BlobShelf shelf,
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    MemoryState::Blobs copy;
    {
      MutexLock lock(state_.mutex);
      copy = state_.shelf(shelf);
    }
    return visit_all(copy, visit);
  }
  Status for_each(
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    MemoryState::Blobs copy;
    {
      MutexLock lock(state_.mutex);
      copy = state_.blobs;
    }
    return visit_all(copy, visit);
  }
  Result<size_t> remove_stale_temps() override { return size_t{0}; }

 private:
  Status move(std::string_view digest, MemoryState::Blobs& from, MemoryState::Blobs& to)
      KVCS_REQUIRES(state_.mutex) {
    const auto it = from.find(digest);
    if (it == from.end()) return not_found("No such blob.");
    it->second.written_us = state_.clock->mono_us();
    to[std::string(digest)] = std::move(it->second);
    from.erase(it);
    return ok();
  }
  Status visit_all(const MemoryState::Blobs& blobs,
                   const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const {
    for (const auto& [digest, blob] : blobs) {
      const int64_t age_s = (state_.clock->mono_us() - blob.written_us) / 1'000'000;
      KVCS_TRY(visit(digest, blob.bytes->size(), age_s));
    }
    return ok();
  }

  mutable MemoryState state_;
};

class FaultyWriter final : public BlobWriter {
 public:
  FaultyWriter(std::unique_ptr<BlobWriter> base, const BlobFaultPlan& plan, std::string digest)
      : base_(std::move(base)), plan_(plan), digest_(std::move(digest)) {}
  Status append(std::string_view bytes) override {
    KVCS_TRY(plan_("append", digest_));
    return base_->append(bytes);
  }
  Status finish() override {
    KVCS_TRY(plan_("finish", digest_));
    return base_->finish();
  }
  uint64_t written_bytes() const override { return base_->written_bytes(); }
  const std::string& sha256_hex() const override { return base_->sha256_hex(); }

 private:
  std::unique_ptr<BlobWriter> base_;
  const BlobFaultPlan& plan_;
  const std::string digest_;
};

class FaultyReader final : public BlobReader {
 public:
  FaultyReader(std::unique_ptr<BlobReader> base, const BlobFaultPlan& plan, std::string digest)
      : base_(std::move(base)), plan_(plan), digest_(std::move(digest)) {}
  uint64_t size_bytes() const override { return base_->size_bytes(); }
  Result<size_t> read(uint64_t offset, char* out, size_t size) const override {
    KVCS_TRY(plan_("read", digest_));
    return base_->read(offset, out, size);
  }
  // No descriptor: sendfile would read past the plan.
  int descriptor() const override { return -1; }

 private:
  std::unique_ptr<BlobReader> base_;
  const BlobFaultPlan& plan_;
  const std::string digest_;
};

class FaultyBlobs final : public BlobStore {
 public:
  FaultyBlobs(BlobStore& base, BlobFaultPlan plan) : base_(base), plan_(std::move(plan)) {}
  Result<std::unique_ptr<BlobWriter>> begin_write(std::string_view sha256_hex, uint64_t size_bytes,
                                                  std::string_view owner) override {
    KVCS_TRY(plan_("begin_write", sha256_hex));
    auto writer = KVCS_TRY(base_.begin_write(sha256_hex, size_bytes, owner));
    return std::unique_ptr<BlobWriter>(
        std::make_unique<FaultyWriter>(std::move(writer), plan_, std::string(sha256_hex)));
  }
  Result<std::unique_ptr<BlobReader>> open(std::string_view sha256_hex) const override {
    KVCS_TRY(plan_("open", sha256_hex));
    auto reader = KVCS_TRY(base_.open(sha256_hex));
    return std::unique_ptr<BlobReader>(
        std::make_unique<FaultyReader>(std::move(reader), plan_, std::string(sha256_hex)));
  }
  Result<uint64_t> stat(std::string_view sha256_hex) const override {
    KVCS_TRY(plan_("stat", sha256_hex));
    return base_.stat(sha256_hex);
  }
  Status remove(std::string_view sha256_hex) override {
    KVCS_TRY(plan_("remove", sha256_hex));
    return base_.remove(sha256_hex);
  }
  Status for_each(
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    KVCS_TRY(plan_("for_each", ""));
    return base_.for_each(visit);
  }
  Status set_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(plan_("set_aside", sha256_hex));
    return base_.set_aside(sha256_hex, shelf);
  }
  Status put_back(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(plan_("put_back", sha256_hex));
    return base_.put_back(sha256_hex, shelf);
  }
  Status remove_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(plan_("remove_aside", sha256_hex));
    return base_.remove_aside(sha256_hex, shelf);
  }
  Status for_each_aside(
      BlobShelf shelf,
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    KVCS_TRY(plan_("for_each_aside", ""));
    return base_.for_each_aside(shelf, visit);
  }
  Result<size_t> remove_stale_temps() override {
    KVCS_TRY(plan_("remove_stale_temps", ""));
    return base_.remove_stale_temps();
  }

 private:
  BlobStore& base_;
  const BlobFaultPlan plan_;
};

}  // namespace

std::unique_ptr<BlobStore> make_memory_blobs() {
  return std::make_unique<MemoryBlobs>();
}

std::unique_ptr<BlobStore> make_faulty_blobs(BlobStore& base, BlobFaultPlan plan) {
  return std::make_unique<FaultyBlobs>(base, std::move(plan));
}

}  // namespace kvcs
