// Blobs as files. Layout under the folder: tmp/<n>.part while a writer works, ab/cd/<sha256> once
// whole, trash/<sha256> and damaged/<sha256> when set aside, staged/<id> while it comes in parts.
// The data directory's lock (app) makes sure that one process owns the folder.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/descriptor_room.h"
#include "base/file.h"
#include "base/hash_pipe.h"
#include "base/mutex.h"
#include "blob/blob.h"
#include "blob/blob_folder.h"
#include "blob/file_sink.h"
#include "blob/folder_names.h"
#include "blob/staged_files.h"
#include "blob/upload_checks.h"

namespace kvcs {
namespace {

constexpr mode_t kFolderMode = 0700, kFileMode = 0600;

// A temp file of one writer: unlinked by the destructor unless it was published. Its name is in
// `live_temps` as long as the object lives, so that the sweep of stale files leaves it alone.
class TempFile final {
 public:
  explicit TempFile(BlobFolder& shared)
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
  BlobFolder& shared_;
  const std::string name_;
  bool created_ = false, published_ = false;
};

// One upload. finish() is where it becomes durable, in this order: the bytes are synced, the
// folders of its name made and synced, the temp file renamed, the folder synced. A crash before the
// rename leaves a temp file; one after it leaves the whole blob, or nothing when the folder was not
// synced.
class FileWriter final : public BlobWriter {
 public:
  FileWriter(BlobFolder& shared, std::string_view expected, uint64_t size, std::string_view owner)
      : shared_(shared),
        expected_(expected),
        size_(size),
        temp_(shared),
        pipe_(FileSink::kChunkBytes, shared.hash_threads),
        sink_(shared, owner, size, &pipe_) {}

  Status start() {
    file_ = KVCS_TRY(temp_.create());
    sink_.open(file_.get(), temp_.path(), 0);
    return ok();
  }
  Status append(std::string_view bytes) override {
    if (!failure_.ok()) return failure_;
    if (bytes.size() > size_ - written_bytes()) return over_size(size_);
    failure_ = sink_.append(bytes);
    return failure_;
  }
  Status finish() override {
    if (!failure_.ok()) return failure_;
    if (written_bytes() != size_) return size_mismatch(size_, written_bytes());
    // The disk drains while the last chunks are hashed.
    sink_.start_writeback();
    digest_ = pipe_.finish_hex();
    if (!expected_.empty() && digest_ != expected_) return digest_mismatch(expected_, digest_);
    if (::fsync(file_.get()) != 0) return blob_error("fsync", temp_.path(), errno);
    KVCS_TRY(shared_.make_folder_of(digest_));
    // Over an equal blob too: the bytes just checked replace what a bad disk may have changed.
    KVCS_TRY(temp_.publish(shared_.path_of(digest_)));
    return sync_blob_folder(shared_.folder_of(digest_));
  }
  uint64_t written_bytes() const override { return sink_.taken_bytes(); }
  const std::string& sha256_hex() const override { return digest_; }

 private:
  BlobFolder& shared_;
  const std::string expected_;
  const uint64_t size_;
  TempFile temp_;
  Descriptor file_;
  HashPipe pipe_;
  FileSink sink_;
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
  FileBlobs(const BlobConfig& config, StoreDamage* staged_damage) {
    shared_.path = config.path;
    shared_.staged_damage = staged_damage;
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
    KVCS_TRY(make_folder(shared_.path, "tmp"));
    return make_folder(shared_.path, "staged");
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
  Status check_room(uint64_t size_bytes) const override { return shared_.check_space(size_bytes); }
  Result<std::unique_ptr<BlobReader>> open(std::string_view sha256_hex) const override {
    KVCS_TRY(check_digest(sha256_hex));
    return open_file(shared_.path_of(sha256_hex));
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
  Result<std::unique_ptr<StagedWriter>> open_staged(std::string_view id, uint64_t from,
                                                    uint64_t more_bytes, std::string_view owner,
                                                    StagedMode mode) override {
    return staged_.open(id, from, more_bytes, owner, mode);
  }
  Result<uint64_t> staged_size(std::string_view id, StagedLook look) override {
    return staged_.size(id, look);
  }
  Result<std::string> staged_digest(std::string_view id) override { return staged_.digest(id); }
  Result<std::unique_ptr<BlobReader>> read_staged(std::string_view id) const override {
    KVCS_TRY(check_staged_id(id));
    return open_file(staged_.path_of(id));
  }
  Status publish_staged(std::string_view id, std::string_view sha256_hex) override {
    KVCS_TRY(check_digest(sha256_hex));
    return staged_.publish(id, sha256_hex);
  }
  Status remove_staged(std::string_view id) override { return staged_.remove(id); }
  Status for_each_staged(const std::function<Status(std::string_view)>& visit) const override {
    return staged_.for_each(visit);
  }

 private:
  static Result<std::unique_ptr<BlobReader>> open_file(const std::string& path) {
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
  BlobFolder shared_;
  StagedFiles staged_{shared_};
};

}  // namespace

Result<std::unique_ptr<BlobStore>> open_file_blobs(const BlobConfig& config,
                                                   StoreDamage* staged_damage) {
  auto blobs = std::make_unique<FileBlobs>(config, staged_damage);
  KVCS_TRY(blobs->prepare());
  return std::unique_ptr<BlobStore>(std::move(blobs));
}

}  // namespace kvcs
