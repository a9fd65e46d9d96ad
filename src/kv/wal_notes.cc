// The mapped file: two slots of words of 8 bytes, little-endian: number of the slot's writing,
// boot, count, for each log its number and its synced bytes, and a sum over all of these.
#include "kv/wal_notes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/boot_id.h"
#include "base/bytes.h"
#include "base/file.h"

namespace kvcs {
namespace {

constexpr size_t kSlotBytes = 2048, kFileBytes = 2 * kSlotBytes, kLogsMax = 100;

uint64_t sum_of(std::string_view text) {  // FNV-1a: against accidents.
  uint64_t sum = 0xcbf29ce484222325ull;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return sum;
}

// Differs from one boot of the machine to the next.
uint64_t current_boot() {
  return sum_of(boot_id());
}

struct Slot {
  uint64_t number = 0, boot = 0;
  WalNotes::SyncedBytes logs;
};

std::string encode(const Slot& slot) {
  std::string text;
  append_u64le(text, slot.number);
  append_u64le(text, slot.boot);
  append_u64le(text, std::min(slot.logs.size(), kLogsMax));
  auto it = slot.logs.begin();
  if (slot.logs.size() > kLogsMax) {
    std::advance(it, static_cast<std::ptrdiff_t>(slot.logs.size() - kLogsMax));
  }
  for (; it != slot.logs.end(); ++it) {
    append_u64le(text, it->first);
    append_u64le(text, it->second);
  }
  append_u64le(text, sum_of(text));
  return text;
}

// Number 0: nothing whole is there.
Slot decode(std::string_view bytes) {
  const uint64_t count = load_u64le(bytes.data() + 16);
  if (count > kLogsMax) return {};
  const size_t size = 24 + 16 * count;
  if (load_u64le(bytes.data() + size) != sum_of(bytes.substr(0, size))) return {};
  Slot slot{load_u64le(bytes.data()), load_u64le(bytes.data() + 8), {}};
  for (size_t i = 0; i < count; i++) {
    const char* const one = bytes.data() + 24 + 16 * i;
    slot.logs[load_u64le(one)] = load_u64le(one + 8);
  }
  return slot;
}

Slot newest(const std::string& path) {
  const std::string bytes = read_small_file(path, kFileBytes).value_or("");
  if (bytes.size() != kFileBytes) return {};
  Slot a = decode(std::string_view(bytes).substr(0, kSlotBytes));
  Slot b = decode(std::string_view(bytes).substr(kSlotBytes));
  return a.number > b.number ? a : b;
}

}  // namespace

WalNotes::Left WalNotes::read(const std::string& path) {
  Slot slot = newest(path);
  if (slot.number == 0) return {};
  return {true, slot.boot == current_boot(), std::move(slot.logs)};
}

WalNotes::~WalNotes() {
  MutexLock lock(mutex_);
  guard_.forget();
  if (mapped_ != nullptr) ::munmap(mapped_, kFileBytes);
  if (file_ >= 0) ::close(file_);
}

Status WalNotes::open(const std::string& path, const Left& left) {
  MutexLock lock(mutex_);
  path_ = path;
  logs_ = left.logs;
  boot_ = current_boot();
  stores_ = newest(path).number;
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) return io_error("open", path, errno);
  // On disk before it is mapped, so that a full disk is a Status and not a signal.
  const int failed = ::posix_fallocate(file_, 0, kFileBytes);
  if (failed != 0) return io_error("reserve", path, failed);
  void* const mapped = ::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (mapped == MAP_FAILED) return io_error("map", path, errno);
  mapped_ = static_cast<char*>(mapped);
  guard_.watch(mapped, kFileBytes);
  store();
  if (::fdatasync(file_) != 0) return io_error("sync", path, errno);
  return sync_folder(folder_of(path));
}

void WalNotes::store() {
  const std::string text = encode({++stores_, boot_, logs_});
  KVCS_ASSERT(text.size() <= kSlotBytes);
  std::memcpy(mapped_ + stores_ % 2 * kSlotBytes, text.data(), text.size());
  if (!guard_.has_lost()) [[likely]] {
    return;
  }
  // Somebody has cut the file: from here on it is written. Where that fails as well the next start
  // finds older notes, which only claim less.
  (void)::posix_fallocate(file_, 0, kFileBytes);
  (void)!::pwrite(file_, text.data(), text.size(), static_cast<off_t>(stores_ % 2 * kSlotBytes));
}

void WalNotes::note_synced(uint64_t log, uint64_t bytes) {
  MutexLock lock(mutex_);
  if (mapped_ == nullptr || gone_.count(log) != 0 || logs_[log] >= bytes) return;
  logs_[log] = bytes;
  store();
}

Status WalNotes::forget(uint64_t log) {
  MutexLock lock(mutex_);
  gone_.insert(log);
  if (mapped_ == nullptr || logs_.erase(log) == 0) return ok();
  store();
  if (::fdatasync(file_) != 0) return io_error("sync", path_, errno);
  return ok();
}

}  // namespace kvcs
