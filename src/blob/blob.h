// Content-addressed bytes: <dir>/ab/cd/<sha256 hex>. A blob is visible only whole: written to a
// temp file while it is hashed, fsynced, renamed, and the folder fsynced. What is set aside lies in
// <dir>/trash and <dir>/damaged under the same name. Thread-safe.
//
// Engines: open_file_blobs, make_memory_blobs (tests), make_faulty_blobs (tests). One contract
// test.
//
// What comes in several requests is staged under an id of its owner's, until it is a blob. What was
// appended stays when its writer goes, and when the process dies; what was kept, after a power cut
// too.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs {

class StoreDamage;

// One upload. Destroyed without finish(): the temp file is removed. One thread.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // TooLarge past the size announced. Unavailable when the disk is full.
  virtual Status append(std::string_view bytes) = 0;
  // Invalid "size mismatch" / "sha256 mismatch" (details_json: expected, actual) and nothing
  // becomes visible; otherwise durable and visible under its digest on return.
  virtual Status finish() = 0;
  virtual uint64_t written_bytes() const = 0;
  // The digest of the bytes. Precondition: finish() returned Ok.
  virtual const std::string& sha256_hex() const = 0;
};

// An open blob. It stays readable when the blob is removed meanwhile. Thread-safe reads.
class BlobReader {
 public:
  virtual ~BlobReader() = default;
  virtual uint64_t size_bytes() const = 0;
  // Fills `out` from `offset`; fewer bytes only at the end of the blob.
  virtual Result<size_t> read(uint64_t offset, char* out, size_t size) const = 0;
  // A descriptor for sendfile, owned by the reader; -1 when the engine has none.
  virtual int descriptor() const = 0;
};

// Where blobs lie that are not served any more: kept for a while, or to be looked at.
enum class BlobShelf : uint8_t {
  kTrash,    // Nobody names them; a mistake can still be undone.
  kDamaged,  // Their bytes are not those of their name.
};

// Bytes on their way to what is staged. Destroyed, it leaves there what it has appended; in
// kAllOrNothing only what was kept. One thread.
class StagedWriter {
 public:
  virtual ~StagedWriter() = default;
  // TooLarge past the bytes announced. Unavailable when the disk is full: a part may have come.
  virtual Status append(std::string_view bytes) = 0;
  // What was appended so far is durable on return, and counts.
  virtual Status keep() = 0;
  virtual uint64_t size_bytes() const = 0;  // Of all that is staged.
};
enum class StagedLook : uint8_t {
  kAll,   // What came and was not kept is kept now. Nobody writes meanwhile.
  kKept,  // What was kept, whoever writes.
};
enum class StagedMode : uint8_t {
  kAsItComes,     // Each append counts at once.
  kAllOrNothing,  // What is appended counts with keep(), also when the process dies before.
};

class BlobStore {
 public:
  virtual ~BlobStore() = default;
  // `sha256_hex` "" takes the bytes under whatever digest they have. Invalid: not a digest.
  // Unavailable with reason disk_full when free space would fall under the reserve; RateLimited
  // with reason disk_share when the other uploads of `owner`, "" for nobody, hold its share of it.
  virtual Result<std::unique_ptr<BlobWriter>> begin_write(std::string_view sha256_hex,
                                                          uint64_t size_bytes,
                                                          std::string_view owner = {}) = 0;
  // Unavailable with reason disk_full as begin_write() of so many bytes; nothing is held for them.
  virtual Status check_room(uint64_t size_bytes) const = 0;
  virtual Result<std::unique_ptr<BlobReader>> open(
      std::string_view sha256_hex) const = 0;                            // NotFound
  virtual Result<uint64_t> stat(std::string_view sha256_hex) const = 0;  // Size; NotFound
  virtual Status remove(std::string_view sha256_hex) = 0;                // Ok when absent.
  // Every blob with its size and age; `visit` returning a failure stops.
  virtual Status for_each(
      const std::function<Status(std::string_view sha256_hex, uint64_t size_bytes, int64_t age_s)>&
          visit) const = 0;
  // Moves a blob to a shelf, over what lies there under its name. NotFound.
  virtual Status set_aside(std::string_view sha256_hex, BlobShelf shelf) = 0;
  // Moves a blob from a shelf back to its place, over what lies there. NotFound.
  virtual Status put_back(std::string_view sha256_hex, BlobShelf shelf) = 0;
  virtual Status remove_aside(std::string_view sha256_hex, BlobShelf shelf) = 0;  // Ok when absent.
  // What lies on a shelf, with its size and how long it has been there.
  virtual Status for_each_aside(
      BlobShelf shelf,
      const std::function<Status(std::string_view sha256_hex, uint64_t size_bytes, int64_t age_s)>&
          visit) const = 0;
  // Temp files of writers that died with their process; returns how many were removed.
  virtual Result<size_t> remove_stale_temps() = 0;

  // Appends at `from`, at most `more_bytes`; what was staged beyond `from` goes. One writer at a
  // time for an id, which is up to 64 of [a-z0-9-]. Invalid: there are fewer bytes than `from`.
  // Unavailable and RateLimited as begin_write().
  virtual Result<std::unique_ptr<StagedWriter>> open_staged(std::string_view id, uint64_t from,
                                                            uint64_t more_bytes,
                                                            std::string_view owner,
                                                            StagedMode mode) = 0;
  // How many bytes are staged, all of them durable; 0 for an id without any.
  virtual Result<uint64_t> staged_size(std::string_view id, StagedLook look) = 0;
  // The digest of what is staged, durable on return. Nobody writes meanwhile. NotFound.
  virtual Result<std::string> staged_digest(std::string_view id) = 0;
  virtual Result<std::unique_ptr<BlobReader>> read_staged(
      std::string_view id) const = 0;  // NotFound
  // What is staged becomes the blob of this digest, which staged_digest() gave. Durable on return.
  // Ok when it has become that before; NotFound when there is neither.
  virtual Status publish_staged(std::string_view id, std::string_view sha256_hex) = 0;
  virtual Status remove_staged(std::string_view id) = 0;  // Ok when absent.
  virtual Status for_each_staged(const std::function<Status(std::string_view id)>& visit) const = 0;
};

struct BlobConfig {
  std::string path;
  // Uploads leave so much of the disk free, for the stores that share it.
  uint64_t free_reserve_bytes = 256u << 20;
  // An upload holds so much of the disk ahead of what it has written. All of a large one at once
  // would let a client that announces much and sends little keep the disk from everybody else.
  uint64_t promise_step_bytes = 64u << 20;
  // Of what is free above the reserve, what the uploads of one owner may hold together. A single
  // one is never refused by it.
  int owner_percent = 50;
};
// `staged_damage` is told of staged bytes that were durable and are not there any more; it outlives
// the store.
Result<std::unique_ptr<BlobStore>> open_file_blobs(const BlobConfig& config,
                                                   StoreDamage* staged_damage = nullptr);
std::unique_ptr<BlobStore> make_memory_blobs();
// Tests: the plan is called before each operation ("begin_write", "append", "finish", "open",
// "read", "stat", "remove", "for_each", "set_aside", "put_back", "remove_aside",
// "for_each_aside", "remove_stale_temps", and of what is staged "open_staged", "append_staged",
// "keep_staged", "staged_size", "staged_digest", "read_staged", "publish_staged", "remove_staged",
// "for_each_staged", with its id); a failure that it returns is the
// operation's, and `base` is not asked.
using BlobFaultPlan = std::function<Status(std::string_view op, std::string_view sha256_hex)>;
std::unique_ptr<BlobStore> make_faulty_blobs(BlobStore& base, BlobFaultPlan plan);

// Tells how long opening a blob and finishing one (sync, rename) took, failures too. `base` and
// `clock` outlive it and its writers. `took` must be quick and thread-safe.
enum class BlobOp : uint8_t { kOpen, kFinish };
using BlobTimer = std::function<void(BlobOp op, int64_t duration_us)>;
std::unique_ptr<BlobStore> make_timed_blobs(BlobStore& base, const Clock& clock, BlobTimer took);

}  // namespace kvcs
