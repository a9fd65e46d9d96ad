// A file system for RocksDB that notes which logs it makes. Each log gets a descriptor of our own,
// since those of RocksDB belong to its threads; the kernel syncs a file, whichever one is used.
#include "kv/wal_files.h"

#include <fcntl.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"
#include "kv/wal_check.h"

namespace kvcs {
namespace {

// 0 when it is not the path of a log.
uint64_t log_number(std::string_view path) {
  return wal_number(path.substr(path.rfind('/') + 1));
}

struct Wal {
  Wal(std::string log_path, int descriptor) : path(std::move(log_path)), file(descriptor) {}
  Wal(const Wal&) = delete;
  Wal& operator=(const Wal&) = delete;
  ~Wal() { ::close(file); }

  const std::string path;
  const int file;
};

// The logs that sync() has to look at, oldest first.
class Wals final {
 public:
  WalNotes& notes() { return notes_; }

  Status add(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return io_error("open", path, errno);
    MutexLock lock(mutex_);
    all_.push_back(std::make_shared<Wal>(path, file));
    is_name_new_ = true;
    return ok();
  }

  Status sync(const std::string& directory) {
    std::vector<std::shared_ptr<Wal>> now;  // Shared with another sync that runs meanwhile.
    bool is_name_new = false;
    {
      MutexLock lock(mutex_);
      now = all_;
      is_name_new = is_name_new_;
    }
    if (is_name_new) KVCS_TRY(sync_folder(directory));
    for (const auto& wal : now) {
      struct stat facts {};
      if (::fstat(wal->file, &facts) != 0 || ::fdatasync(wal->file) != 0) {
        return io_error("sync", wal->path, errno);
      }
      notes_.note_synced(log_number(wal->path), static_cast<uint64_t>(facts.st_size));
    }
    forget(now);
    return ok();
  }

 private:
  // All but the newest log were complete before the sync began: RocksDB writes to one at a time.
  void forget(const std::vector<std::shared_ptr<Wal>>& synced) {
    if (synced.empty()) return;
    MutexLock lock(mutex_);
    if (all_.back() == synced.back()) is_name_new_ = false;
    std::erase_if(all_, [&](const std::shared_ptr<Wal>& wal) {
      return wal != synced.back() && std::find(synced.begin(), synced.end(), wal) != synced.end();
    });
  }

  WalNotes notes_;
  Mutex mutex_;
  std::vector<std::shared_ptr<Wal>> all_ KVCS_GUARDED_BY(mutex_);
  bool is_name_new_ KVCS_GUARDED_BY(mutex_) = false;
};

class WatchedFiles final : public rocksdb::FileSystemWrapper {
 public:
  explicit WatchedFiles(Wals& wals)
      : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()), wals_(wals) {}
  const char* Name() const override { return "kvcs.watched_files"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus made = target()->NewWritableFile(path, options, file, debug);
    if (!made.ok() || log_number(path) == 0) return made;
    const Status noted = wals_.add(path);
    if (noted.ok()) return made;
    file->reset();
    return rocksdb::IOStatus::IOError(noted.to_string());
  }
  // The notes first: they must not speak of a log that is gone.
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    const Status forgotten = wals_.notes().forget(log_number(path));
    if (!forgotten.ok()) return rocksdb::IOStatus::IOError(forgotten.to_string());
    return target()->DeleteFile(path, options, debug);
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    const Status forgotten = wals_.notes().forget(log_number(from));
    if (!forgotten.ok()) return rocksdb::IOStatus::IOError(forgotten.to_string());
    return target()->RenameFile(from, to, options, debug);
  }

 private:
  Wals& wals_;
};

class RocksWalFiles final : public WalFiles {
 public:
  explicit RocksWalFiles(const std::string& directory)
      : directory_(directory),
        env_(rocksdb::NewCompositeEnv(std::make_shared<WatchedFiles>(wals_))) {}
  rocksdb::Env* env() override { return env_.get(); }
  Status keep_notes(const WalNotes::Left& left) override {
    return wals_.notes().open(directory_ + "/" + kWalNotesName, left);
  }
  Status sync() override { return wals_.sync(directory_); }

 private:
  const std::string directory_;
  Wals wals_;
  const std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace

std::unique_ptr<WalFiles> make_wal_files(const std::string& directory) {
  return std::make_unique<RocksWalFiles>(directory);
}

}  // namespace kvcs
