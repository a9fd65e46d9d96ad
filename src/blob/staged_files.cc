// Staged bytes as files: appended to, hashed on the way, and renamed into their place at the end.
// Runs on the threads of requests; for one id at most one of them writes.
#include "blob/staged_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "base/boot_id.h"
#include "base/crypto.h"
#include "base/descriptor_room.h"
#include "base/file.h"
#include "base/store_damage.h"
#include "blob/file_sink.h"
#include "blob/folder_names.h"
#include "blob/staged_mark.h"
#include "blob/upload_checks.h"

namespace kvcs {
namespace {

constexpr std::string_view kMarkSuffix = ".kept";
constexpr mode_t kFileMode = 0600;
constexpr size_t kReadBytes = 1 << 20;
// A file whose hash was given up is read once more at its end.
constexpr size_t kHashesMax = 4096;

Result<Descriptor> open_path(const std::string& path, int flags) {
  Descriptor file(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kFileMode));
  if (!file.valid() && is_short_of_descriptors(errno)) return no_descriptors_left();
  if (!file.valid() && errno == ENOENT) return not_found("Nothing is staged under this id.");
  if (!file.valid()) return blob_error("open", path, errno);
  if (!leaves_room(file.get())) return no_descriptors_left();
  return file;
}

Result<uint64_t> length_of(const Descriptor& file, const std::string& path) {
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return blob_error("stat", path, errno);
  if (!S_ISREG(facts.st_mode)) return not_found("Nothing is staged under this id.");
  return static_cast<uint64_t>(facts.st_size);
}

Status unlink_path(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return blob_error("unlink", path, errno);
  return ok();
}

std::string mark_of(const std::string& path) {
  return path + std::string(kMarkSuffix);
}

// Of few signs and without spaces, whatever the kernel calls it; "" when it does not say.
std::string this_boot() {
  const std::string id = boot_id();
  return id.empty() ? id : sha256_hex(id).substr(0, 16);
}

// How many of the file's bytes count: all of them, while the machine runs that they were written
// on.
uint64_t counted(const std::optional<StagedMark>& mark, uint64_t length) {
  if (!mark) return 0;
  const bool all = mark->counts_all && !mark->boot.empty() && mark->boot == this_boot();
  return all ? length : std::min(mark->bytes, length);
}

}  // namespace

StagedFiles::Hash::Hash(HashThreads& threads) : pipe(FileSink::kChunkBytes, threads) {}

namespace {

class FileStagedWriter final : public StagedWriter {
 public:
  FileStagedWriter(BlobFolder& folder, std::string path, uint64_t from, uint64_t more_bytes,
                   std::string_view owner, StagedMode mode, StagedFiles::HashPointer hash)
      : folder_(folder),
        path_(std::move(path)),
        from_(from),
        more_(more_bytes),
        mode_(mode),
        hash_(std::move(hash)),
        sink_(folder, owner, more_bytes, hash_ ? &hash_->pipe : nullptr) {}
  // What does not count goes before the mark changes, so that no death in between makes it count.
  ~FileStagedWriter() override {
    if (mode_ == StagedMode::kAsItComes || kept_ || !started_) return;
    const bool cut = ::ftruncate(file_.get(), static_cast<off_t>(from_)) == 0;
    if (cut) (void)write_staged_mark(mark_of(path_), {0, from_, this_boot(), true}, false);
  }

  Status start() {
    file_ = KVCS_TRY(open_path(path_, O_RDWR | O_CREAT));
    const uint64_t there = KVCS_TRY(length_of(file_, path_));
    if (there < from_) {
      return invalid("There are " + std::to_string(there) + " bytes, and not " +
                     std::to_string(from_) + ".");
    }
    if (there > from_ && ::ftruncate(file_.get(), static_cast<off_t>(from_)) != 0) {
      return blob_error("truncate", path_, errno);
    }
    // Before the first byte, so that a death of the process leaves bytes with a mark.
    const bool counts_all = mode_ == StagedMode::kAsItComes;
    KVCS_TRY(write_staged_mark(mark_of(path_), {0, from_, this_boot(), counts_all}, false));
    // The names are on disk once.
    if (from_ == 0) KVCS_TRY(sync_blob_folder(folder_.staged_folder()));
    if (::lseek(file_.get(), static_cast<off_t>(from_), SEEK_SET) < 0) {
      return blob_error("seek", path_, errno);
    }
    sink_.open(file_.get(), path_, from_);
    started_ = true;
    return ok();
  }
  Status append(std::string_view bytes) override {
    if (bytes.size() > more_ - sink_.taken_bytes()) return over_size(from_ + more_);
    Status written = sink_.append(bytes);
    // Of a chunk that failed nobody knows how much is in the file. The hash no longer fits it.
    if (hash_) hash_->bytes = written.ok() ? hash_->bytes + bytes.size() : UINT64_MAX;
    return written;
  }
  Status keep() override {
    if (::fsync(file_.get()) != 0) return blob_error("fsync", path_, errno);
    KVCS_TRY(write_staged_mark(mark_of(path_), {0, size_bytes(), this_boot(), true}, true));
    kept_ = true;
    return ok();
  }
  uint64_t size_bytes() const override {
    struct stat facts {};
    return ::fstat(file_.get(), &facts) == 0 ? static_cast<uint64_t>(facts.st_size) : from_;
  }

 private:
  BlobFolder& folder_;
  const std::string path_;
  const uint64_t from_, more_;
  const StagedMode mode_;
  const StagedFiles::HashPointer hash_;
  Descriptor file_;
  FileSink sink_;
  bool started_ = false, kept_ = false;
};

}  // namespace

// The hash that goes on at `from`: one that has come as far, or a new one at the beginning.
StagedFiles::HashPointer StagedFiles::hash_for(const std::string& id, uint64_t from) {
  MutexLock lock(mutex_);
  const auto found = hashes_.find(id);
  if (found != hashes_.end() && found->second->bytes == from) return found->second;
  if (found != hashes_.end()) hashes_.erase(found);
  if (from != 0) return nullptr;
  if (hashes_.size() >= kHashesMax) hashes_.erase(hashes_.begin());
  return hashes_.emplace(id, std::make_shared<Hash>(folder_.hash_threads)).first->second;
}

StagedFiles::HashPointer StagedFiles::take_hash(std::string_view id) {
  MutexLock lock(mutex_);
  const auto found = hashes_.find(id);
  if (found == hashes_.end()) return nullptr;
  HashPointer hash = std::move(found->second);
  hashes_.erase(found);
  return hash;
}

Result<std::unique_ptr<StagedWriter>> StagedFiles::open(std::string_view id, uint64_t from,
                                                        uint64_t more_bytes, std::string_view owner,
                                                        StagedMode mode) {
  KVCS_TRY(check_staged_id(id));
  std::unique_ptr<FileStagedWriter> writer;
  {
    // Of two at once the second sees what the first holds.
    MutexLock beginning(folder_.begin_mutex);
    KVCS_TRY(folder_.check_space(more_bytes));
    KVCS_TRY(folder_.check_share(owner, std::min(folder_.promise_step_bytes, more_bytes)));
    writer = std::make_unique<FileStagedWriter>(folder_, path_of(id), from, more_bytes, owner, mode,
                                                hash_for(std::string(id), from));
  }
  KVCS_TRY(writer->start());
  return std::unique_ptr<StagedWriter>(std::move(writer));
}

Result<uint64_t> StagedFiles::size(std::string_view id, StagedLook look) {
  KVCS_TRY(check_staged_id(id));
  const std::string path = path_of(id);
  const auto file = open_path(path, O_RDONLY);
  if (file.code() == Code::kNotFound) return uint64_t{0};
  KVCS_TRY(file.status());
  const uint64_t length = KVCS_TRY(length_of(*file, path));
  const auto mark = KVCS_TRY(read_staged_mark(mark_of(path)));
  if (mark && mark->bytes > length && folder_.staged_damage != nullptr) {
    folder_.staged_damage->note("upload " + std::string(id) + ": " + std::to_string(length) +
                                " bytes are there, and " + std::to_string(mark->bytes) +
                                " were acknowledged");
  }
  if (look == StagedLook::kKept) return mark ? std::min(mark->bytes, length) : 0;
  const uint64_t bytes = counted(mark, length);
  if (bytes == 0 || (mark && mark->bytes == bytes)) return bytes;
  if (::fsync(file->get()) != 0) return blob_error("fsync", path, errno);
  KVCS_TRY(write_staged_mark(mark_of(path), {0, bytes, this_boot(), mark->counts_all}, true));
  return bytes;
}

Result<std::string> StagedFiles::digest(std::string_view id) {
  KVCS_TRY(check_staged_id(id));
  const std::string path = path_of(id);
  const Descriptor file = KVCS_TRY(open_path(path, O_RDONLY));
  const uint64_t length = KVCS_TRY(length_of(file, path));
  if (::fsync(file.get()) != 0) return blob_error("fsync", path, errno);
  const HashPointer hash = take_hash(id);
  if (hash && hash->bytes == length) return hash->pipe.finish_hex();
  // Some of it came in another life of the process.
  Sha256 whole;
  std::vector<char> buffer(std::min<uint64_t>(kReadBytes, length));
  for (uint64_t at = 0; at < length;) {
    const size_t want = std::min<uint64_t>(buffer.size(), length - at);
    const ssize_t n = ::pread(file.get(), buffer.data(), want, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return blob_error("read", path, errno);
    if (n == 0) return internal("A staged file became shorter while it was read.");
    whole.update(buffer.data(), static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  return whole.finish_hex();
}

Status StagedFiles::publish(std::string_view id, std::string_view sha256_hex) {
  KVCS_TRY(check_staged_id(id));
  const std::string from = path_of(id), to = folder_.path_of(sha256_hex);
  KVCS_TRY(folder_.make_folder_of(sha256_hex));
  // Its time as a blob begins now: a young blob is left alone by the sweep.
  (void)::utimensat(AT_FDCWD, from.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  if (::rename(from.c_str(), to.c_str()) != 0) {
    if (errno != ENOENT) return blob_error("rename", to, errno);
    struct stat facts {};
    if (::lstat(to.c_str(), &facts) != 0) return not_found("Nothing is staged under this id.");
  }
  KVCS_TRY(sync_blob_folder(folder_.folder_of(sha256_hex)));
  KVCS_TRY(unlink_path(mark_of(from)));
  return sync_blob_folder(folder_.staged_folder());
}

Status StagedFiles::remove(std::string_view id) {
  KVCS_TRY(check_staged_id(id));
  (void)take_hash(id);
  KVCS_TRY(unlink_path(path_of(id)));
  return unlink_path(mark_of(path_of(id)));
}

Status StagedFiles::for_each(const std::function<Status(std::string_view)>& visit) const {
  std::set<std::string> ids;  // A file and its mark are one.
  KVCS_TRY(for_each_name(folder_.staged_folder(), [&](std::string_view name) {
    if (name.ends_with(kMarkSuffix)) name.remove_suffix(kMarkSuffix.size());
    if (check_staged_id(name).ok()) ids.emplace(name);
    return ok();
  }));
  for (const std::string& id : ids) KVCS_TRY(visit(id));
  return ok();
}

}  // namespace kvcs
