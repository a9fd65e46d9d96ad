// Blobs as files. Layout under the folder: tmp/<n>.part while a writer works, ab/cd/<sha256> once
// whole, trash/<sha256> and damaged/<sha256> when set aside. The data directory's lock (app) makes
// sure that one process owns the folder.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bitset>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/descriptor_room.h"
#include "base/disk_probe.h"
#include "base/file.h"
#include "base/hash_pipe.h"
#include "base/mutex.h"
#include "base/wait.h"
#include "blob/blob.h"
#include "blob/folder_names.h"
#include "blob/upload_checks.h"

namespace kvcs {
namespace {

// The kernel starts writing back after so many bytes, so that the final fsync finds little to do
// and an upload does not fill memory with dirty pages.
constexpr uint64_t kWritebackStepBytes = 8 << 20;
// Bytes are hashed by the thread that writes them, until so many have come within so short a time
// and more than the last number are to come: then a thread beside it hashes chunk by chunk. A short
// stream, or a slow one, is not worth a thread.
constexpr size_t kChunkBytes = 256 << 10;
constexpr int kShareRetryAfterS = 5;
constexpr uint64_t kFastBytes = 2 << 20;
constexpr int64_t kFastMs = 125;
constexpr uint64_t kHashThreadFromBytes = 2 << 20;
constexpr mode_t kFolderMode = 0700, kFileMode = 0600;

bool is_short_of_descriptors(int error_number) {
  return error_number == EMFILE || error_number == ENFILE;
}

// Callers of this store pass its failures on to clients, who must not read where the operator keeps
// what: a path is in the cause, for the log.
Status without_path(Status failed) {
  // A full disk is told without one.
  if (failed.ok() || failed.code() == Code::kUnavailable) return failed;
  return unavailable("The store of blobs does not work; its operator finds the reason in the log.",
                     failed.message())
      .with_reason("blobs_failed");
}
Status blob_error(std::string_view what, const std::string& path, int error_number) {
  return without_path(io_error(what, path, error_number));
}
Status sync_blob_folder(const std::string& path) {
  return without_path(sync_folder(path));
}

// Creates `parent`/`name` if it is missing. Its name is on disk afterwards also when it was there:
// it may be the work of a process that died before it synced, or of a writer that has yet to.
Status make_folder(const std::string& parent, const std::string& name) {
  const std::string path = parent + "/" + name;
  if (::mkdir(path.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return blob_error("mkdir", path, errno);
  }
  return sync_blob_folder(parent);
}

// The state that all writers share with their store; it outlives them.
struct Shared {
  std::string path;
  uint64_t free_reserve_bytes = 0, promise_step_bytes = 0;
  int owner_percent = 100;
  HashThreads hash_threads;
  std::atomic<uint64_t> temps_made{0};
  std::atomic<uint64_t> promised_bytes{0};  // What live writers hold and have yet to write.
  Mutex mutex;
  Mutex begin_mutex;  // Held from the look at the disk to the promise of it; before `mutex`.
  std::set<std::string> live_temps KVCS_GUARDED_BY(mutex);
  // A part of promised_bytes: that of owners with a name.
  std::map<std::string, uint64_t, std::less<>> held_by KVCS_GUARDED_BY(mutex);
  // The folders ab/cd whose names this process has synced, by the number 0xabcd.
  std::bitset<1 << 16> durable_folders KVCS_GUARDED_BY(mutex);

  std::string temp_folder() const { return path + "/tmp"; }
  std::string folder_of(std::string_view digest) const {
    return path + "/" + std::string(digest.substr(0, 2)) + "/" + std::string(digest.substr(2, 2));
  }
  // Once per folder and process, for it costs two syncs.
  Status make_folder_of(std::string_view digest) {
    const std::string bytes = KVCS_TRY(from_hex(digest.substr(0, 4)));
    const size_t number =
        size_t{static_cast<unsigned char>(bytes[0])} << 8 | static_cast<unsigned char>(bytes[1]);
    {
      MutexLock lock(mutex);
      if (durable_folders.test(number)) return ok();
    }
    const std::string outer(digest.substr(0, 2));
    KVCS_TRY(make_folder(path, outer));
    KVCS_TRY(make_folder(path + "/" + outer, std::string(digest.substr(2, 2))));
    MutexLock lock(mutex);
    durable_folders.set(number);
    return ok();
  }
  std::string path_of(std::string_view digest) const {
    return folder_of(digest) + "/" + std::string(digest);
  }
  std::string shelf_folder(BlobShelf shelf) const {
    return path + (shelf == BlobShelf::kTrash ? "/trash" : "/damaged");
  }
  std::string aside_path(std::string_view digest, BlobShelf shelf) const {
    return shelf_folder(shelf) + "/" + std::string(digest);
  }
  Result<uint64_t> free_bytes() const {
    Result<uint64_t> free = free_disk_bytes(path);
    return free.ok() ? free : without_path(std::move(free).status());
  }
  Status check_space(uint64_t size_bytes) const {
    const uint64_t free_bytes = KVCS_TRY(this->free_bytes());
    const uint64_t spoken_for = promised_bytes + free_reserve_bytes;
    if (free_bytes > spoken_for && free_bytes - spoken_for >= size_bytes) return ok();
    return unavailable("The disk is too full for " + format_bytes(size_bytes) + ": " +
                       format_bytes(free_bytes) + " are free, of which " +
                       format_bytes(spoken_for) + " are reserved or promised to other uploads.")
        .with_reason("disk_full");
  }
  uint64_t held(std::string_view owner) {
    MutexLock lock(mutex);
    const auto found = held_by.find(owner);
    return found == held_by.end() ? 0 : found->second;
  }
  void hold(const std::string& owner, uint64_t bytes) {
    promised_bytes += bytes;
    if (owner.empty() || bytes == 0) return;
    MutexLock lock(mutex);
    held_by[owner] += bytes;
  }
  void release(const std::string& owner, uint64_t bytes) {
    promised_bytes -= bytes;
    if (owner.empty() || bytes == 0) return;
    MutexLock lock(mutex);
    const auto found = held_by.find(owner);
    found->second -= bytes;
    if (found->second == 0) held_by.erase(found);
  }
  // What the uploads of one owner may hold together.
  Result<uint64_t> share_bytes() const {
    const uint64_t all = KVCS_TRY(free_bytes());
    if (all <= free_reserve_bytes) return uint64_t{0};
    return (all - free_reserve_bytes) / 100 * static_cast<uint64_t>(owner_percent);
  }
  // Whether an owner's next upload may hold so much. One without another upload always may.
  Status check_share(std::string_view owner, uint64_t wanted_bytes) {
    if (owner.empty()) return ok();
    const uint64_t others = held(owner);
    if (others == 0) return ok();
    const uint64_t share = KVCS_TRY(share_bytes());
    if (others <= share && wanted_bytes <= share - others) return ok();
    return rate_limited("This organization's uploads under way hold " + format_bytes(others) +
                            " of the disk, and their share of what is free is " +
                            format_bytes(share) + " (" + std::to_string(owner_percent) +
                            " %, blobs.organization_percent). Repeat this one when others have "
                            "ended.",
                        kShareRetryAfterS)
        .with_reason("disk_share");
  }
};

// A temp file of one writer: unlinked by the destructor unless it was published. Its name is in
// `live_temps` as long as the object lives, so that the sweep of stale files leaves it alone.
class TempFile final {
 public:
  explicit TempFile(Shared& shared)
      : shared_(shared), name_(std::to_string(shared.temps_made++) + ".part") {
    MutexLock lock(shared_.mutex);
    shared_.live_temps.insert(name_);
  }
  ~TempFile() {
    if (!published_ && created_) ::unlink(path().c_str());
    MutexLock lock(shared_.mutex);
    shared_.live_temps.erase(name_);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  std::string path() const { return shared_.temp_folder() + "/" + name_; }
  Result<Descriptor> create() {
    // A leftover of the same name from a process that died is of nobody's use.
    if (::unlink(path().c_str()) != 0 && errno != ENOENT)
      return blob_error("unlink", path(), errno);
    Descriptor file(::open(path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode));
    if (!file.valid() && is_short_of_descriptors(errno)) return no_descriptors_left();
    if (!file.valid()) return blob_error("create", path(), errno);
    created_ = true;
    if (!leaves_room(file.get())) return no_descriptors_left();
    return file;
  }
  Status publish(const std::string& final_path) {
    if (::rename(path().c_str(), final_path.c_str()) != 0) {
      return blob_error("rename", final_path, errno);
    }
    published_ = true;
    return ok();
  }

 private:
  Shared& shared_;
  const std::string name_;
  bool created_ = false, published_ = false;
};

// One upload. finish() is where it becomes durable, in this order: the bytes are synced, the
// folders of its name made and synced, the temp file renamed, the folder synced. A crash before the
// rename leaves a temp file; one after it leaves the whole blob, or nothing when the folder was not
// synced.
class FileWriter final : public BlobWriter {
 public:
  FileWriter(Shared& shared, std::string_view expected, uint64_t size, std::string_view owner)
      : shared_(shared),
        expected_(expected),
        owner_(owner),
        size_(size),
        temp_(shared),
        pipe_(kChunkBytes, shared.hash_threads) {
    promise(size);
  }
  ~FileWriter() override { shared_.release(owner_, promised_); }

  Status start() {
    file_ = KVCS_TRY(temp_.create());
    return ok();
  }
  Status append(std::string_view bytes) override {
    if (!failure_.ok()) return failure_;
    if (bytes.size() > size_ - taken_) return over_size(size_);
    taken_ += bytes.size();
    if (pipe_.has_thread() || (comes_fast(bytes.size()) && pipe_.start())) {
      failure_ = write_beside_hash(bytes);
    } else {
      pipe_.update(bytes);
      failure_ = write(bytes);
    }
    return failure_;
  }
  Status finish() override {
    if (!failure_.ok()) return failure_;
    if (taken_ != size_) return size_mismatch(size_, taken_);
    // The disk drains while the last chunks are hashed.
    start_writeback(0);
    digest_ = pipe_.finish_hex();
    if (!expected_.empty() && digest_ != expected_) return digest_mismatch(expected_, digest_);
    if (::fsync(file_.get()) != 0) return blob_error("fsync", temp_.path(), errno);
    KVCS_TRY(shared_.make_folder_of(digest_));
    // Over an equal blob too: the bytes just checked replace what a bad disk may have changed.
    KVCS_TRY(temp_.publish(shared_.path_of(digest_)));
    return sync_blob_folder(shared_.folder_of(digest_));
  }
  uint64_t written_bytes() const override { return taken_; }
  const std::string& sha256_hex() const override { return digest_; }

 private:
  // Looks once in kFastBytes. Waits of the client count too: one that stops has no thread soon.
  bool comes_fast(size_t size_bytes) {
    if (pace_bytes_ == 0) pace_since_ms_ = steady_ms();
    pace_bytes_ += size_bytes;
    if (pace_bytes_ < kFastBytes) return false;
    pace_bytes_ = 0;
    return steady_ms() - pace_since_ms_ <= kFastMs && size_ - taken_ >= kHashThreadFromBytes;
  }
  // Hands chunk by chunk to the hash and writes it meanwhile; the pipe does not change what it
  // holds. No chunk stays behind: the next bytes may be long in coming.
  Status write_beside_hash(std::string_view bytes) {
    Status written;
    while (!bytes.empty() && written.ok()) {
      const size_t n = std::min(bytes.size(), kChunkBytes);
      char* const chunk = pipe_.acquire();
      std::memcpy(chunk, bytes.data(), n);
      pipe_.submit(n);
      written = write({chunk, n});
      bytes.remove_prefix(n);
    }
    pipe_.rest();
    return written;
  }
  Status write(std::string_view bytes) {
    if (promised_ < bytes.size()) {
      KVCS_TRY(shared_.check_space(std::min(shared_.promise_step_bytes, size_ - on_disk_)));
      promise(KVCS_TRY(room_in_share()));
    }
    while (!bytes.empty()) {
      const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return blob_error("write", temp_.path(), errno);
      bytes.remove_prefix(static_cast<size_t>(n));
      on_disk_ += static_cast<uint64_t>(n);
      const uint64_t kept = std::min(promised_, static_cast<uint64_t>(n));
      promised_ -= kept;
      shared_.release(owner_, kept);
    }
    start_writeback(kWritebackStepBytes);
    return ok();
  }
  // What this upload may hold, beside the others of its owner. It goes on without that too, as
  // long as the disk has room.
  Result<uint64_t> room_in_share() {
    if (owner_.empty()) return size_;
    const uint64_t share = KVCS_TRY(shared_.share_bytes());
    const uint64_t others = shared_.held(owner_) - promised_;
    return share > others ? share - others : uint64_t{0};
  }
  // Holds the next step of what is still to be written, or `most`.
  void promise(uint64_t most) {
    const uint64_t wanted = std::min({shared_.promise_step_bytes, size_ - on_disk_, most});
    if (wanted <= promised_) return;
    shared_.hold(owner_, wanted - promised_);
    promised_ = wanted;
  }
  void start_writeback(uint64_t step) {
    if (on_disk_ - writeback_from_ < std::max<uint64_t>(step, 1)) return;
    // Only advice: a file system that cannot do it leaves the work to fsync, which makes the
    // bytes durable either way.
    (void)::sync_file_range(file_.get(), static_cast<off_t>(writeback_from_),
                            static_cast<off_t>(on_disk_ - writeback_from_), SYNC_FILE_RANGE_WRITE);
    writeback_from_ = on_disk_;
  }

  Shared& shared_;
  const std::string expected_, owner_;
  const uint64_t size_;
  TempFile temp_;
  Descriptor file_;
  HashPipe pipe_;
  uint64_t taken_ = 0, on_disk_ = 0, writeback_from_ = 0, promised_ = 0;
  uint64_t pace_bytes_ = 0;  // Since pace_since_ms_.
  int64_t pace_since_ms_ = 0;
  std::string digest_;
  Status failure_;
};

// An open blob. The descriptor keeps the bytes alive after remove().
class FileReader final : public BlobReader {
 public:
  FileReader(Descriptor file, uint64_t size) : file_(std::move(file)), size_(size) {}
  uint64_t size_bytes() const override { return size_; }
  Result<size_t> read(uint64_t offset, char* out, size_t size) const override {
    size_t done = 0;
    while (done < size) {
      const ssize_t n =
          ::pread(file_.get(), out + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return io_error("read", "blob", errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }
  int descriptor() const override { return file_.get(); }

 private:
  const Descriptor file_;
  const uint64_t size_;
};

class FileBlobs final : public BlobStore {
 public:
  explicit FileBlobs(const BlobConfig& config) {
    shared_.path = config.path;
    shared_.free_reserve_bytes = config.free_reserve_bytes;
    shared_.promise_step_bytes = config.promise_step_bytes;
    shared_.owner_percent = config.owner_percent;
  }
  Status prepare() {
    if (::mkdir(shared_.path.c_str(), kFolderMode) == 0) {
      KVCS_TRY(sync_folder(folder_of(shared_.path)));
    } else if (errno != EEXIST) {
      return io_error("mkdir", shared_.path, errno);
    } else {
      // The folder may be the work of a start that was killed before it synced the name. An
      // operator's own folder may stand in one that this process may not read.
      (void)sync_folder(folder_of(shared_.path));
    }
    return make_folder(shared_.path, "tmp");
  }
  Result<std::unique_ptr<BlobWriter>> begin_write(std::string_view sha256_hex, uint64_t size_bytes,
                                                  std::string_view owner) override {
    if (!sha256_hex.empty()) KVCS_TRY(check_digest(sha256_hex));
    // Of two at once the second sees what the first holds.
    MutexLock beginning(shared_.begin_mutex);
    KVCS_TRY(shared_.check_space(size_bytes));
    KVCS_TRY(shared_.check_share(owner, std::min(shared_.promise_step_bytes, size_bytes)));
    auto writer = std::make_unique<FileWriter>(shared_, sha256_hex, size_bytes, owner);
    KVCS_TRY(writer->start());
    return std::unique_ptr<BlobWriter>(std::move(writer));
  }
  Result<std::unique_ptr<BlobReader>> open(std::string_view sha256_hex) const override {
    KVCS_TRY(check_digest(sha256_hex));
    const std::string path = shared_.path_of(sha256_hex);
    // Without O_NONBLOCK a pipe under the name would keep the caller until somebody writes to it.
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.valid() && is_short_of_descriptors(errno)) return no_descriptors_left();
    if (!file.valid()) return missing_or(errno, path);
    if (!leaves_room(file.get())) return no_descriptors_left();
    struct stat facts {};
    if (::fstat(file.get(), &facts) != 0) return blob_error("stat", path, errno);
    if (!S_ISREG(facts.st_mode)) return not_found("No such blob.");
    return std::unique_ptr<BlobReader>(
        std::make_unique<FileReader>(std::move(file), static_cast<uint64_t>(facts.st_size)));
  }
  Result<uint64_t> stat(std::string_view sha256_hex) const override {
    KVCS_TRY(check_digest(sha256_hex));
    const std::string path = shared_.path_of(sha256_hex);
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) != 0) return missing_or(errno, path);
    if (!S_ISREG(facts.st_mode)) return not_found("No such blob.");
    return static_cast<uint64_t>(facts.st_size);
  }
  Status remove(std::string_view sha256_hex) override {
    KVCS_TRY(check_digest(sha256_hex));
    const std::string path = shared_.path_of(sha256_hex);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return blob_error("unlink", path, errno);
    return ok();
  }
  // Durable in either folder on return. A crash in between leaves the blob under both names at
  // most, which the next sweep mends.
  Status set_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(check_digest(sha256_hex));
    const std::string from = shared_.path_of(sha256_hex);
    struct stat facts {};
    if (::lstat(from.c_str(), &facts) != 0) return missing_or(errno, from);
    KVCS_TRY(make_folder(shared_.path, folder_name(shared_.shelf_folder(shelf))));
    // Its time aside begins now.
    if (::utimensat(AT_FDCWD, from.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0) {
      return missing_or(errno, from);
    }
    KVCS_TRY(move(from, shared_.aside_path(sha256_hex, shelf)));
    KVCS_TRY(sync_blob_folder(shared_.shelf_folder(shelf)));
    return sync_blob_folder(shared_.folder_of(sha256_hex));
  }
  Status put_back(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(check_digest(sha256_hex));
    const std::string from = shared_.aside_path(sha256_hex, shelf);
    struct stat facts {};
    if (::lstat(from.c_str(), &facts) != 0) return missing_or(errno, from);
    KVCS_TRY(shared_.make_folder_of(sha256_hex));
    KVCS_TRY(move(from, shared_.path_of(sha256_hex)));
    return sync_blob_folder(shared_.folder_of(sha256_hex));
  }
  Status remove_aside(std::string_view sha256_hex, BlobShelf shelf) override {
    KVCS_TRY(check_digest(sha256_hex));
    const std::string path = shared_.aside_path(sha256_hex, shelf);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return blob_error("unlink", path, errno);
    return ok();
  }
  Status for_each_aside(
      BlobShelf shelf,
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    const std::string folder = shared_.shelf_folder(shelf);
    const int64_t now_s = make_system_clock()->unix_s();
    return for_each_name(folder,
                         [&](const char* name) { return visit_file(folder, name, now_s, visit); });
  }
  Status for_each(
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) const override {
    const int64_t now_s = make_system_clock()->unix_s();
    return for_each_name(shared_.path, [&](const char* first) -> Status {
      if (!is_hex(first, 2)) return ok();
      const std::string outer = shared_.path + "/" + first;
      return for_each_name(outer, [&](const char* second) -> Status {
        const std::string inner = outer + "/" + second;
        return for_each_name(
            inner, [&](const char* name) { return visit_file(inner, name, now_s, visit); });
      });
    });
  }
  Result<size_t> remove_stale_temps() override {
    size_t removed = 0;
    KVCS_TRY(for_each_name(shared_.temp_folder(), [&](const char* name) -> Status {
      {
        MutexLock lock(shared_.mutex);
        if (shared_.live_temps.contains(name)) return ok();
      }
      const std::string path = shared_.temp_folder() + "/" + name;
      if (::unlink(path.c_str()) != 0) {
        // A folder, which Linux calls EISDIR and POSIX EPERM, is nobody's temp file.
        const bool leave = errno == ENOENT || errno == EISDIR || errno == EPERM;
        return leave ? ok() : blob_error("unlink", path, errno);
      }
      removed++;
      return ok();
    }));
    return removed;
  }

 private:
  static Status visit_file(
      const std::string& folder, const char* name, int64_t now_s,
      const std::function<Status(std::string_view, uint64_t, int64_t)>& visit) {
    struct stat facts {};
    // Files that are not ours to name are left alone; one removed meanwhile is no failure.
    if (!check_digest(name).ok()) return ok();
    if (::lstat((folder + "/" + name).c_str(), &facts) != 0) return ok();
    if (!S_ISREG(facts.st_mode)) return ok();
    // Not the time of the inode's change: each backup that links the file, and each that goes,
    // makes it young again.
    const int64_t age_s = std::max<int64_t>(0, now_s - facts.st_mtim.tv_sec);
    return visit(name, static_cast<uint64_t>(facts.st_size), age_s);
  }
  static std::string folder_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
  }
  static Status move(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) == 0) return ok();
    return errno == ENOENT ? not_found("No such blob.") : blob_error("rename", to, errno);
  }
  static Status missing_or(int error_number, const std::string& path) {
    // A link is nothing that this store made, nor is a file where a folder should be.
    const bool absent = error_number == ENOENT || error_number == ELOOP || error_number == ENOTDIR;
    if (absent) return not_found("No such blob.");
    return blob_error("open", path, error_number);
  }
  Shared shared_;
};

}  // namespace

Result<std::unique_ptr<BlobStore>> open_file_blobs(const BlobConfig& config) {
  auto blobs = std::make_unique<FileBlobs>(config);
  KVCS_TRY(blobs->prepare());
  return std::unique_ptr<BlobStore>(std::move(blobs));
}

}  // namespace kvcs
