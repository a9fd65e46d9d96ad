// Blobs in memory, for tests: they pass the contract test of the files.
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
  std::map<std::string, std::string, std::less<>> staged KVCS_GUARDED_BY(mutex);
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

class MemoryStagedWriter final : public StagedWriter {
 public:
  MemoryStagedWriter(MemoryState& state, std::string_view id, uint64_t from, uint64_t more,
                     StagedMode mode)
      : state_(state), id_(id), from_(from), more_(more), mode_(mode) {}
  Status append(std::string_view bytes) override {
    if (bytes.size() > more_ - taken_) return over_size(from_ + more_);
    taken_ += bytes.size();
    if (mode_ == StagedMode::kAllOrNothing) {
      waiting_ += bytes;
      return ok();
    }
    MutexLock lock(state_.mutex);
    state_.staged[id_] += bytes;
    return ok();
  }
  Status keep() override {
    MutexLock lock(state_.mutex);
    state_.staged[id_] += waiting_;
    waiting_.clear();
    return ok();
  }
  uint64_t size_bytes() const override { return from_ + taken_; }

 private:
  MemoryState& state_;
  const std::string id_;
  const uint64_t from_, more_;
  const StagedMode mode_;
  uint64_t taken_ = 0;
  std::string waiting_;
};

class MemoryBlobs final : public BlobStore {
 public:
  Result<std::unique_ptr<BlobWriter>> begin_write(std::string_view sha256_hex, uint64_t size_bytes,
                                                  std::string_view) override {
    if (!sha256_hex.empty()) KVCS_TRY(check_digest(sha256_hex));
    return std::unique_ptr<BlobWriter>(
        std::make_unique<MemoryWriter>(state_, sha256_hex, size_bytes));
  }
  Status check_room(uint64_t) const override { return ok(); }
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
  Result<std::unique_ptr<StagedWriter>> open_staged(std::string_view id, uint64_t from,
                                                    uint64_t more_bytes, std::string_view,
                                                    StagedMode mode) override {
    KVCS_TRY(check_staged_id(id));
    MutexLock lock(state_.mutex);
    std::string& bytes = state_.staged[std::string(id)];
    if (bytes.size() < from) return invalid("There are fewer bytes.");
    bytes.resize(from);
    return std::unique_ptr<StagedWriter>(
        std::make_unique<MemoryStagedWriter>(state_, id, from, more_bytes, mode));
  }
  Result<uint64_t> staged_size(std::string_view id, StagedLook) override {
    KVCS_TRY(check_staged_id(id));
    MutexLock lock(state_.mutex);
    const auto it = state_.staged.find(id);
    return uint64_t{it == state_.staged.end() ? 0 : it->second.size()};
  }
  Result<std::string> staged_digest(std::string_view id) override {
    MutexLock lock(state_.mutex);
    const auto it = state_.staged.find(id);
    if (it == state_.staged.end()) return not_found("Nothing is staged under this id.");
    return kvcs::sha256_hex(it->second);
  }
  Result<std::unique_ptr<BlobReader>> read_staged(std::string_view id) const override {
    KVCS_TRY(check_staged_id(id));
    MutexLock lock(state_.mutex);
    const auto it = state_.staged.find(id);
    if (it == state_.staged.end()) return not_found("No such blob.");
    return std::unique_ptr<BlobReader>(
        std::make_unique<MemoryReader>(std::make_shared<const std::string>(it->second)));
  }
  Status publish_staged(std::string_view id, std::string_view sha256_hex) override {
    KVCS_TRY(check_digest(sha256_hex));
    MutexLock lock(state_.mutex);
    const auto it = state_.staged.find(id);
    if (it == state_.staged.end()) {
      const bool is_there = state_.blobs.find(sha256_hex) != state_.blobs.end();
      return is_there ? ok() : not_found("Nothing is staged under this id.");
    }
    state_.blobs[std::string(sha256_hex)] = {std::make_shared<const std::string>(it->second),
                                             state_.clock->mono_us()};
    state_.staged.erase(it);
    return ok();
  }
  Status remove_staged(std::string_view id) override {
    KVCS_TRY(check_staged_id(id));
    MutexLock lock(state_.mutex);
    const auto it = state_.staged.find(id);
    if (it != state_.staged.end()) state_.staged.erase(it);
    return ok();
  }
  Status for_each_staged(const std::function<Status(std::string_view)>& visit) const override {
    std::vector<std::string> ids;
    {
      MutexLock lock(state_.mutex);
      for (const auto& [id, bytes] : state_.staged) ids.push_back(id);
    }
    for (const std::string& id : ids) KVCS_TRY(visit(id));
    return ok();
  }

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

}  // namespace

std::unique_ptr<BlobStore> make_memory_blobs() {
  return std::make_unique<MemoryBlobs>();
}

}  // namespace kvcs
