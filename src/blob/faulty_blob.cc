// Blobs that fail as a test's plan says. They give no descriptor, so that every read asks the plan.
#include "blob/blob.h"

namespace kvcs {
namespace {

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

class FaultyStagedWriter final : public StagedWriter {
 public:
  FaultyStagedWriter(std::unique_ptr<StagedWriter> base, const BlobFaultPlan& plan, std::string id)
      : base_(std::move(base)), plan_(plan), id_(std::move(id)) {}
  Status append(std::string_view bytes) override {
    KVCS_TRY(plan_("append_staged", id_));
    return base_->append(bytes);
  }
  Status keep() override {
    KVCS_TRY(plan_("keep_staged", id_));
    return base_->keep();
  }
  uint64_t size_bytes() const override { return base_->size_bytes(); }

 private:
  std::unique_ptr<StagedWriter> base_;
  const BlobFaultPlan& plan_;
  const std::string id_;
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
  Status check_room(uint64_t size_bytes) const override {
    KVCS_TRY(plan_("check_room", ""));
    return base_.check_room(size_bytes);
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
  Result<std::unique_ptr<StagedWriter>> open_staged(std::string_view id, uint64_t from,
                                                    uint64_t more_bytes, std::string_view owner,
                                                    StagedMode mode) override {
    KVCS_TRY(plan_("open_staged", id));
    auto writer = KVCS_TRY(base_.open_staged(id, from, more_bytes, owner, mode));
    return std::unique_ptr<StagedWriter>(
        std::make_unique<FaultyStagedWriter>(std::move(writer), plan_, std::string(id)));
  }
  Result<uint64_t> staged_size(std::string_view id, StagedLook look) override {
    KVCS_TRY(plan_("staged_size", id));
    return base_.staged_size(id, look);
  }
  Result<std::string> staged_digest(std::string_view id) override {
    KVCS_TRY(plan_("staged_digest", id));
    return base_.staged_digest(id);
  }
  Result<std::unique_ptr<BlobReader>> read_staged(std::string_view id) const override {
    KVCS_TRY(plan_("read_staged", id));
    return base_.read_staged(id);
  }
  Status publish_staged(std::string_view id, std::string_view sha256_hex) override {
    KVCS_TRY(plan_("publish_staged", id));
    return base_.publish_staged(id, sha256_hex);
  }
  Status remove_staged(std::string_view id) override {
    KVCS_TRY(plan_("remove_staged", id));
    return base_.remove_staged(id);
  }
  Status for_each_staged(const std::function<Status(std::string_view)>& visit) const override {
    KVCS_TRY(plan_("for_each_staged", ""));
    return base_.for_each_staged(visit);
  }

 private:
  BlobStore& base_;
  const BlobFaultPlan plan_;
};

}  // namespace

std::unique_ptr<BlobStore> make_faulty_blobs(BlobStore& base, BlobFaultPlan plan) {
  return std::make_unique<FaultyBlobs>(base, std::move(plan));
}

}  // namespace kvcs
