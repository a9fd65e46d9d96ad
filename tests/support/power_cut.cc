// The model behind PowerCutDisk, and the two functions of the C library that it stands in for:
// every shared library of the test program (RocksDB, SQLite) finds them here first.
#include "support/power_cut.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <utility>

#include "base/status.h"

namespace kvcs::test {
namespace {

namespace fs = std::filesystem;

// A disk writes a sector whole or not at all.
constexpr size_t kSectorBytes = 512;
constexpr size_t kReadBytes = 1 << 20;

using NodeId = std::pair<dev_t, ino_t>;

std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// Through a descriptor of its own, for that of the caller may be write-only.
std::string read_whole(const std::string& path) {
  std::string bytes;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return bytes;
  struct stat facts {};
  KVCS_ASSERT(::fstat(fd, &facts) == 0);
  bytes.resize(static_cast<size_t>(facts.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pread(fd, bytes.data() + done, std::min(kReadBytes, bytes.size() - done),
                              static_cast<off_t>(done));
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  ::close(fd);
  return bytes;
}

// A file or folder as the disk has it; its mode is the one it was first seen with. `pin` is a
// descriptor that can neither read nor write (its end frees no locks); while it is open, the file
// system gives the inode to no other file.
struct Node {
  int pin = -1;
  bool is_folder = false;
  mode_t mode = 0;
  std::string bytes;                    // Of a file, as of its last sync.
  std::map<std::string, NodeId> names;  // Of a folder, as of its last sync.
};

// Some sectors as they were, some as they are, some never written.
std::string mix(const std::string& before, const std::string& now, std::mt19937_64& random) {
  std::string mixed = random() % 2 == 0 ? now : before;
  if (random() % 4 == 0 && now.size() > before.size()) {
    mixed.resize(before.size() + random() % (now.size() - before.size()));
  }
  // What share of the changed sectors is old; sometimes none, sometimes all. An old sector that was
  // synced in part keeps that part.
  const uint64_t old_of_8 = random() % 9;
  for (size_t at = 0; at < mixed.size(); at += kSectorBytes) {
    const size_t size = std::min(kSectorBytes, mixed.size() - at);
    const std::string& from = random() % 8 < old_of_8 ? before : now;
    std::string sector = at < from.size() ? from.substr(at, size) : std::string();
    sector.resize(size, '\0');
    mixed.replace(at, size, sector);
  }
  return mixed;
}

void write_whole(const fs::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  KVCS_ASSERT(file.good());
}

}  // namespace

struct PowerCutDisk::Impl {
  explicit Impl(const std::string& folder) : root(fs::canonical(folder).string()) {}
  ~Impl() {
    for (const auto& [id, node] : nodes) ::close(node.pin);
  }

  bool covers(const std::string& path) const {
    return path == root || path.starts_with(root + "/");
  }
  // The node of an open descriptor or a path; made when it was not known. Null: gone meanwhile, or
  // neither file nor folder.
  std::pair<const NodeId, Node>* find(const std::string& path);
  // The path is a descriptor's below /proc when it is of one that syncs.
  void sync(const std::string& path);
  void sync_all_below(const fs::path& folder);
  void restore(const NodeId& id, const fs::path& real, const fs::path& to, Unsynced fate,
               std::mt19937_64& random);
  std::map<std::string, NodeId> names_of(const std::string& path);

  const std::string root;
  mutable std::mutex mutex;  // Guards what follows.
  std::map<NodeId, Node> nodes;
  uint64_t syncs = 0;
  std::mutex look_mutex;
  std::function<void(uint64_t)> look;
};

namespace {

// The disk of this process. Shared while a sync is noted, exclusive while it comes or goes.
std::shared_mutex g_disk_mutex;
PowerCutDisk::Impl* g_disk = nullptr;
std::atomic<bool> g_has_disk{false};

}  // namespace

std::pair<const NodeId, Node>* PowerCutDisk::Impl::find(const std::string& path) {
  const int pin = ::open(path.c_str(), O_PATH | O_CLOEXEC);
  if (pin < 0) return nullptr;
  struct stat facts {};
  KVCS_ASSERT(::fstat(pin, &facts) == 0);
  if (!S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode)) {
    ::close(pin);
    return nullptr;
  }
  const auto [it, added] = nodes.try_emplace({facts.st_dev, facts.st_ino});
  if (added) {
    it->second.pin = pin;
    it->second.is_folder = S_ISDIR(facts.st_mode);
    it->second.mode = facts.st_mode & 07777;
  } else {
    ::close(pin);
  }
  return &*it;
}

std::map<std::string, NodeId> PowerCutDisk::Impl::names_of(const std::string& path) {
  std::map<std::string, NodeId> names;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (const auto* node = find(it->path().string())) {
      names.emplace(it->path().filename().string(), node->first);
    }
  }
  return names;
}

void PowerCutDisk::Impl::sync(const std::string& path) {
  auto* node = find(path);
  if (node == nullptr) return;
  if (node->second.is_folder) {
    node->second.names = names_of(path);
  } else {
    node->second.bytes = read_whole(path);
  }
}

void PowerCutDisk::Impl::sync_all_below(const fs::path& folder) {
  sync(folder.string());
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) {
      sync_all_below(entry.path());
    } else {
      sync(entry.path().string());
    }
  }
}

// `real` is where the node is now, "" when it is nowhere: then there is nothing newer to keep.
void PowerCutDisk::Impl::restore(const NodeId& id, const fs::path& real, const fs::path& to,
                                 Unsynced fate, std::mt19937_64& random) {
  const Node& node = nodes.at(id);
  const bool may_keep = fate == Unsynced::kKeptInPart && !real.empty();
  if (!node.is_folder) {
    write_whole(to, may_keep ? mix(node.bytes, read_whole(real.string()), random) : node.bytes);
    KVCS_ASSERT(::chmod(to.c_str(), node.mode) == 0);
    return;
  }
  fs::create_directory(to);
  KVCS_ASSERT(::chmod(to.c_str(), node.mode) == 0);
  std::map<std::string, NodeId> now;
  if (!real.empty()) now = names_of(real.string());
  const bool new_names = !real.empty() && (fate == Unsynced::kNamesKept ||
                                           (fate == Unsynced::kKeptInPart && random() % 2 == 0));
  for (const auto& [name, child] : new_names ? now : std::map(node.names)) {
    const auto it = now.find(name);
    const bool same = it != now.end() && it->second == child;
    restore(child, same ? real / name : fs::path(), to / name, fate, random);
  }
}

PowerCutDisk::PowerCutDisk(const std::string& folder) : impl_(std::make_unique<Impl>(folder)) {
  sync_all();
  const std::unique_lock lock(g_disk_mutex);
  KVCS_ASSERT(g_disk == nullptr);
  g_disk = impl_.get();
  g_has_disk = true;
}

PowerCutDisk::~PowerCutDisk() {
  const std::unique_lock lock(g_disk_mutex);
  g_has_disk = false;
  g_disk = nullptr;
}

void PowerCutDisk::image(const std::string& to, Unsynced fate, uint64_t seed) const {
  KVCS_ASSERT(!impl_->covers(fs::weakly_canonical(to).string()));
  std::mt19937_64 random(seed);
  const std::lock_guard lock(impl_->mutex);
  const auto* root = impl_->find(impl_->root);
  KVCS_ASSERT(root != nullptr);
  impl_->restore(root->first, impl_->root, to, fate, random);
}

void PowerCutDisk::sync_all() {
  const std::lock_guard lock(impl_->mutex);
  impl_->sync_all_below(impl_->root);
}

uint64_t PowerCutDisk::syncs() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->syncs;
}

void PowerCutDisk::on_sync(std::function<void(uint64_t)> look) {
  const std::lock_guard lock(impl_->look_mutex);
  impl_->look = std::move(look);
}

namespace {

// False: not below the disk's folder, or there is no disk; the kernel has to do it.
bool noted(int fd) {
  if (!g_has_disk.load(std::memory_order_acquire)) return false;
  const std::shared_lock lock(g_disk_mutex);
  if (g_disk == nullptr) return false;
  std::error_code error;
  const std::string path = fs::read_symlink(descriptor_path(fd), error).string();
  if (error || !g_disk->covers(path)) return false;
  uint64_t number;
  {
    const std::lock_guard disk_lock(g_disk->mutex);
    g_disk->sync(descriptor_path(fd));
    number = ++g_disk->syncs;
  }
  const std::lock_guard look_lock(g_disk->look_mutex);
  if (g_disk->look) g_disk->look(number);
  return true;
}

}  // namespace
}  // namespace kvcs::test

// The model is the disk: what it has noted need not wait for a real one.
extern "C" int fsync(int fd) {
  return kvcs::test::noted(fd) ? 0 : static_cast<int>(::syscall(SYS_fsync, fd));
}
extern "C" int fdatasync(int fd) {
  return kvcs::test::noted(fd) ? 0 : static_cast<int>(::syscall(SYS_fdatasync, fd));
}
