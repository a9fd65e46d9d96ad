// The blob store that times another: opening a blob, and finishing one, which is where the disk is
// waited for.
#include "blob/blob.h"

namespace kvcs {
namespace {

class TimedWriter final : public BlobWriter {
 public:
  TimedWriter(std::unique_ptr<BlobWriter> base, const Clock& clock, const BlobTimer& took)
      : base_(std::move(base)), clock_(clock), took_(took) {}
  Status append(std::string_view bytes) override { return base_->append(bytes); }
  Status finish() override {
    const int64_t begin_us = clock_.mono_us();
    Status finished = base_->finish();
    took_(BlobOp::kFinish, clock_.mono_us() - begin_us);
    return finished;
  }
  uint64_t written_bytes() const override { return base_->written_bytes(); }
  const std::string& sha256_hex() const override { return base_->sha256_hex(); }

 private:
  const std::unique_ptr<BlobWriter> base_;
  const Clock& clock_;
  const BlobTimer& took_;
};

class TimedBlobs final : public BlobStore {
 public:
  TimedBlobs(BlobStore& base, const Clock& clock, BlobTimer took)
      : base_(base), clock_(clock), took_(std::move(took)) {}
  Result<std::unique_ptr<BlobWriter>> begin_write(std::string_view sha256_hex, uint64_t size_bytes,
                                                  std::string_view owner) override {
    auto writer = KVCS_TRY(base_.begin_write(sha256_hex, size_bytes, owner));
    return std::unique_ptr<BlobWriter>(
        std::make_unique<TimedWriter>(std::move(writer), clock_, took_));
  }
  Status check_room(uint64_t size_bytes) const override { return base_.check_room(size_bytes); }
  Result<std::unique_ptr<BlobReader>> open(std::string_view sha256_hex) const override {
    const int64_t begin_us = clock_.mono_us();
    auto reader = base_.open(sha256_hex);
    took_(BlobOp::kOpen, clock_.mono_us() - begin_us);
    return reader;
  }
  Result<uint64_t> stat(std::string_view sha256_hex) const override {
    return base_.stat(sha256_hex);
  }
  Status remove(std::string_view sha256_hex) override { return base_.remove(sha256_hex); }
  Status for_each(
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    return base_.for_each(visit);
  }
  Status set_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    return base_.set_aside(sha256_hex, shelf);
  }
  Status put_back(std::string_view sha256_hex, BlobShelf shelf) override {
    return base_.put_back(sha256_hex, shelf);
  }
  Status remove_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    return base_.remove_aside(sha256_hex, shelf);
  }
  Status for_each_aside(
      BlobShelf shelf,
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    return base_.for_each_aside(shelf, visit);
  }
  Result<size_t> remove_stale_temps() override { return base_.remove_stale_temps(); }
  Result<std::unique_ptr<StagedWriter>> open_staged(std::string_view id, uint64_t from,
                                                    uint64_t more_bytes, std::string_view owner,
                                                    StagedMode mode) override {
    return base_.open_staged(id, from, more_bytes, owner, mode);
  }
  Result<uint64_t> staged_size(std::string_view id, StagedLook look) override {
    return base_.staged_size(id, look);
  }
  Result<std::string> staged_digest(std::string_view id) override {
    return base_.staged_digest(id);
  }
  Result<std::unique_ptr<BlobReader>> read_staged(std::string_view id) const override {
    return base_.read_staged(id);
  }
  Status publish_staged(std::string_view id, std::string_view sha256_hex) override {
    const int64_t begin_us = clock_.mono_us();
    Status published = base_.publish_staged(id, sha256_hex);
    took_(BlobOp::kFinish, clock_.mono_us() - begin_us);
    return published;
  }
  Status remove_staged(std::string_view id) override { return base_.remove_staged(id); }
  Status for_each_staged(const std::function<Status(std::string_view)>& visit) const override {
    return base_.for_each_staged(visit);
  }

 private:
  BlobStore& base_;
  const Clock& clock_;
  const BlobTimer took_;
};

}  // namespace

std::unique_ptr<BlobStore> make_timed_blobs(BlobStore& base, const Clock& clock, BlobTimer took) {
  return std::make_unique<TimedBlobs>(base, clock, std::move(took));
}

}  // namespace kvcs
