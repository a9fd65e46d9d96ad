// The mapped file of slots. Records are written and cleared without a lock by the thread that owns
// the slot; the lock guards the list of free slots and the bookkeeping of syncs.
#include "ai/budget/charge_journal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/bytes.h"
#include "base/damage.h"
#include "base/file.h"

namespace kvcs::ai {
namespace {

constexpr size_t kHeadBytes = sizeof(uint32_t) + sizeof(uint64_t);
constexpr size_t kReservationMaxBytes = ChargeJournal::kOutputOffset - kHeadBytes;
constexpr size_t kChargeMaxBytes = ChargeJournal::kSlotBytes - ChargeJournal::kChargeOffset -
                                   kHeadBytes - ChargeJournal::kFileHeadBytes;
constexpr size_t kChunkBytes = ChargeJournal::kGrowSlots * ChargeJournal::kSlotBytes;
constexpr int kOutputBits = 40;
constexpr uint64_t kOutputMax = (uint64_t{1} << kOutputBits) - 1;

constexpr size_t kFileHeadOffset = ChargeJournal::kSlotBytes - ChargeJournal::kFileHeadBytes;

uint64_t chunks_word(uint64_t chunks) {
  return chunks | ~chunks << 32;
}

Status is_short(const std::string& path, uint64_t size, const std::string& wanted) {
  return unavailable("The journal of charges \"" + printable(path) + "\" has " +
                     std::to_string(size) + " bytes, and must have " + wanted +
                     ": what the requests of its end have cost is not known." +
                     ways_out(folder_of(path), "journal"))
      .with_reason(kJournalDamaged);
}

std::atomic_ref<uint32_t> size_of(char* record) {
  return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(record));
}

// A multiply-and-shift hash of eight bytes at a time. It guards against accidents and not against
// people, and every request pays for two of them.
uint64_t sum_of(std::string_view text) {
  uint64_t sum = text.size();
  const auto mix = [&sum](uint64_t word) {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
    sum ^= sum >> 32;
  };
  const char* at = text.data();
  const char* const end = at + text.size();
  for (uint64_t word; end - at >= static_cast<ptrdiff_t>(sizeof word); at += sizeof word) {
    std::memcpy(&word, at, sizeof word);
    mix(word);
  }
  for (; at < end; at++) mix(static_cast<unsigned char>(*at));
  return sum;
}

Status write_record(char* record, std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return too_large("The record of a charge has " + std::to_string(text.size()) +
                     " bytes; the limit is " + std::to_string(max_bytes) + ".");
  }
  // While the text changes the size is 0: a process that is killed here leaves no record at all.
  const uint64_t sum = sum_of(text);
  size_of(record).store(0, std::memory_order_release);
  std::memcpy(record + sizeof(uint32_t), &sum, sizeof sum);
  std::memcpy(record + kHeadBytes, text.data(), text.size());
  size_of(record).store(static_cast<uint32_t>(text.size()), std::memory_order_release);
  return ok();
}

// The output of a slot, marked as that of the reservation that stands there now.
uint64_t output_word(const char* slot, uint64_t tokens) {
  return load_u64le(slot + sizeof(uint32_t)) << kOutputBits | std::min(tokens, kOutputMax);
}

// 0 when it is not of this reservation.
int64_t read_output(std::string_view slot) {
  const uint64_t word = load_u64le(slot.data() + ChargeJournal::kOutputOffset);
  const uint64_t tokens = word & kOutputMax;
  return word == output_word(slot.data(), tokens) ? static_cast<int64_t>(tokens) : 0;
}

struct Record {
  std::string text;         // "" when there is none, or its size is beyond the slot.
  bool is_damaged = false;  // The text is not what its sum says.
};

Record read_record(std::string_view record) {
  const size_t size = load_u32le(record.data());
  if (size == 0) return {};
  const uint64_t sum = load_u64le(record.data() + sizeof(uint32_t));
  const std::string_view space = record.substr(kHeadBytes);
  if (size <= space.size() && sum == sum_of(space.substr(0, size))) {
    return {std::string(space.substr(0, size)), false};
  }
  // When it is the size that was changed, the sum says which one is right.
  for (size_t other = 1; other <= space.size(); other++) {
    if (sum == sum_of(space.substr(0, other))) return {std::string(space.substr(0, other)), true};
  }
  return {size <= space.size() ? std::string(space.substr(0, size)) : "", true};
}

// Ends where it began, at the file's first byte.
Status read_head(std::ifstream& file, const std::string& path, uint64_t size,
                 ChargeJournal::Left& left) {
  char head[ChargeJournal::kFileHeadBytes];
  file.seekg(kFileHeadOffset);
  if (!file.read(head, sizeof head)) return io_error("read", path, EIO);
  file.seekg(0);
  left.start = load_u64le(head);
  const uint64_t word = load_u64le(head + sizeof(uint64_t));
  const uint64_t chunks = word & UINT32_MAX;
  if (word == 0) return ok();  // Of one that was never in use, or of an older program.
  if (word != chunks_word(chunks)) {
    left.damaged++;
  } else if (size < chunks * kChunkBytes) {
    return is_short(path, size, std::to_string(chunks * kChunkBytes));
  }
  return ok();
}

}  // namespace

Result<ChargeJournal::Left> ChargeJournal::read(const std::string& path) {
  Left left;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return left;
    return io_error("open", path, errno);
  }
  file.seekg(0, std::ios::end);
  const auto size = static_cast<uint64_t>(file.tellg());
  file.seekg(0);
  if (size < kChunkBytes || size % kChunkBytes != 0) {
    return is_short(path, size, "a multiple of " + std::to_string(kChunkBytes));
  }
  KVCS_TRY(read_head(file, path, size, left));
  std::string slot(kSlotBytes, '\0');
  while (file.read(slot.data(), static_cast<std::streamsize>(kSlotBytes))) {
    const std::string_view bytes = slot;
    Left::One one;
    Record reservation = read_record(bytes.substr(0, kOutputOffset));
    Record charge = read_record(bytes.substr(kChargeOffset));
    left.damaged += (reservation.is_damaged ? 1 : 0) + (charge.is_damaged ? 1 : 0);
    one.reservation_json = std::move(reservation.text);
    if (charge.is_damaged) {
      one.is_damaged = true;
    } else {
      one.charge_json = std::move(charge.text);
      one.is_damaged = reservation.is_damaged && one.charge_json.empty();
    }
    if (!one.reservation_json.empty()) one.output_tokens = read_output(bytes);
    if (!one.reservation_json.empty() || !one.charge_json.empty()) {
      left.all.push_back(std::move(one));
    } else if (one.is_damaged) {
      left.illegible++;
    }
  }
  if (file.bad()) return io_error("read", path, errno);
  return left;
}

Status ChargeJournal::write_empty(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return io_error("open", path, errno);
  Status made;
  if (::ftruncate(file, static_cast<off_t>(kChunkBytes)) != 0) {
    made = io_error("grow", path, errno);
  } else if (::fsync(file) != 0) {
    made = io_error("sync", path, errno);
  }
  ::close(file);
  return made;
}

ChargeJournal::~ChargeJournal() {
  guard_.forget();
  for (const auto& chunk : chunks_) {
    if (char* mapped = chunk.load()) ::munmap(mapped, kChunkBytes);
  }
  if (file_ >= 0) ::close(file_);
}

Status ChargeJournal::open(const std::string& path, uint64_t start) {
  MutexLock lock(mutex_);
  KVCS_ASSERT(slots_ == 0);
  path_ = path;
  start_ = start;
  // A new file takes the place of the old one whole: at no moment is there a journal that is short,
  // which a start would refuse.
  const std::string fresh = path + ".new";
  Status made = write_empty(fresh);
  // Its space too, before the old one is given up.
  if (made.ok()) {
    const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CLOEXEC));
    const int failed = ::posix_fallocate(file.get(), 0, static_cast<off_t>(kChunkBytes));
    if (failed != 0) made = io_error("grow", fresh, failed);
  }
  if (made.ok() && ::rename(fresh.c_str(), path.c_str()) != 0) {
    made = io_error("rename", fresh, errno);
  }
  if (!made.ok()) {
    (void)::unlink(fresh.c_str());
    return made;
  }
  file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC, 0600);
  if (file_ < 0) return io_error("open", path, errno);
  KVCS_TRY(grow());
  // The syncs to come bring slots to disk, not the name under which the next start looks for them.
  return sync_folder(folder_of(path));
}

Status ChargeJournal::open_again(const std::string& path, uint64_t start) {
  MutexLock lock(mutex_);
  KVCS_ASSERT(slots_ == 0);
  path_ = path;
  start_ = start;
  file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC, 0600);
  if (file_ < 0) return io_error("open", path, errno);
  struct stat facts {};
  if (::fstat(file_, &facts) != 0) return io_error("stat", path, errno);
  // All of its chunks at once, for its head says how many there are.
  while (slots_ * kSlotBytes < static_cast<uint64_t>(facts.st_size)) KVCS_TRY(grow());
  return ok();
}

Status ChargeJournal::grow() {
  if (slots_ == kSlotsMax) {
    return unavailable("The journal of charges is full: " + std::to_string(kSlotsMax) +
                       " requests are in flight or wait for the store to take their charges.");
  }
  const auto begin = static_cast<off_t>(slots_ / kGrowSlots * kChunkBytes);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (file_ >= 0) {
    const int failed = ::posix_fallocate(file_, begin, static_cast<off_t>(kChunkBytes));
    if (failed != 0) return io_error("grow", path_, failed);
    // Its size, by which a start tells that nothing was cut off.
    if (::fsync(file_) != 0) return io_error("sync", path_, errno);
    flags = MAP_SHARED;
  }
  void* mapped =
      ::mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, flags, file_, file_ >= 0 ? begin : 0);
  if (mapped == MAP_FAILED) return io_error("map", path_, errno);
  if (file_ >= 0) guard_.watch(mapped, kChunkBytes);
  chunks_[slots_ / kGrowSlots] = static_cast<char*>(mapped);
  // In falling order, so that the lowest slot is taken first.
  for (uint32_t i = kGrowSlots; i-- > 0;) free_.push_back(slots_ + i);
  slots_ += kGrowSlots;
  begun_in_.resize(slots_);
  begun_after_.resize(slots_);
  if (file_ >= 0) write_head();
  return ok();
}

// After the file has its size, and so on disk not before it.
void ChargeJournal::write_head() {
  char* const head = at(0) + kFileHeadOffset;
  const uint64_t word = chunks_word(slots_ / kGrowSlots);
  std::memcpy(head, &start_, sizeof start_);
  std::memcpy(head + sizeof start_, &word, sizeof word);
  changed_.store(true, std::memory_order_relaxed);
}

// Chunks are mapped once and stay where they are, so a slot's address needs no lock.
char* ChargeJournal::at(uint32_t slot) const {
  return chunks_[slot / kGrowSlots].load(std::memory_order_relaxed) +
         slot % kGrowSlots * kSlotBytes;
}

Result<uint32_t> ChargeJournal::begin(std::string_view reservation_json) {
  uint32_t slot;
  {
    MutexLock lock(mutex_);
    if (free_.empty()) KVCS_TRY(grow());
    slot = free_.back();
    free_.pop_back();
    begun_in_[slot] = round_;
    begun_after_[slot] = syncs_over_;
    fresh_++;
  }
  if (Status noted = write_record(at(slot), reservation_json, kReservationMaxBytes); !noted.ok()) {
    end_uncharged(slot);
    return noted;
  }
  changed_.store(true, std::memory_order_relaxed);
  return slot;
}

Status ChargeJournal::note_charge(uint32_t slot, std::string_view charge_json) {
  KVCS_TRY(write_record(at(slot) + kChargeOffset, charge_json, kChargeMaxBytes));
  changed_.store(true, std::memory_order_relaxed);
  return ok();
}

void ChargeJournal::note_output(uint32_t slot, int64_t tokens) {
  char* const begin = at(slot);
  std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(begin + kOutputOffset))
      .store(output_word(begin, static_cast<uint64_t>(std::max<int64_t>(tokens, 0))),
             std::memory_order_relaxed);
  // Read first: it is one line of the cache for all streams.
  if (!output_noted_.load(std::memory_order_relaxed)) output_noted_ = true;
}

void ChargeJournal::end(std::span<const uint32_t> slots) {
  if (slots.empty()) return;
  for (const uint32_t slot : slots) {
    // The reservation is cleared first. A slot that dies with the charge alone is harmless, for the
    // row of that charge is in the store; a reservation alone would be charged a second time.
    size_of(at(slot)).store(0, std::memory_order_release);
    size_of(at(slot) + kChargeOffset).store(0, std::memory_order_release);
  }
  changed_.store(true, std::memory_order_relaxed);
  MutexLock lock(mutex_);
  free_.insert(free_.end(), slots.begin(), slots.end());
  for (const uint32_t slot : slots) {
    const uint64_t begun_in = std::exchange(begun_in_[slot], 0);
    if (begun_in > synced_round_) (begun_in == round_ ? fresh_ : stale_)--;
  }
}

void ChargeJournal::end_uncharged(uint32_t slot) {
  int64_t begun_after;
  {
    MutexLock lock(mutex_);
    begun_after = static_cast<int64_t>(begun_after_[slot]);
  }
  end(std::span(&slot, 1));
  // After the record is cleared: a sync that begins from here on does not find it any more.
  MutexLock lock(mutex_);
  if (begun_after <= last_sync_after_) uncharged_++;
}

Status ChargeJournal::sync() {
  const bool output = output_noted_.exchange(false);
  if (!changed_.exchange(false) && !output) return ok();
  Status synced = sync_file();
  if (!synced.ok()) changed_ = true;
  return synced;
}

Status ChargeJournal::sync_file() {
  uint64_t uncharged;
  {
    MutexLock lock(mutex_);
    // Before the sync: from its first moment on, each record may reach the disk.
    last_sync_after_ = static_cast<int64_t>(syncs_over_);
    uncharged = uncharged_;
  }
  if (file_ >= 0 && ::fdatasync(file_) != 0) return io_error("sync", path_, errno);
  if (guard_.has_lost()) {
    return unavailable(
        "The journal of charges was cut, or its disk cannot read it, while the daemon runs: a "
        "crash from here on would lose the charges of open requests. Restart the daemon; it says "
        "what to do.",
        path_ + " has lost pages that are mapped");
  }
  MutexLock lock(mutex_);
  syncs_over_++;
  uncharged_synced_ = std::max(uncharged_synced_, uncharged);
  return ok();
}

Result<bool> ChargeJournal::sync_held() {
  bool needed;
  uint64_t ended;
  {
    MutexLock lock(mutex_);
    needed = stale_ > 0 || uncharged_ > uncharged_synced_;
    // Seldom: a power cut that takes the last outputs costs some tokens, and each sync costs every
    // request a little.
    if (round_ % kOutputRounds == 0 && output_noted_.exchange(false)) needed = true;
    stale_ += std::exchange(fresh_, 0);
    ended = round_++;
  }
  if (!needed) return false;
  KVCS_TRY(sync_file());
  MutexLock lock(mutex_);
  // Slots of the round that has just ended do not count as synced: begin() takes the slot first and
  // writes its text later, which may have been after the sync.
  synced_round_ = ended - 1;
  stale_ = static_cast<uint32_t>(std::count(begun_in_.begin(), begun_in_.end(), ended));
  return true;
}

uint32_t ChargeJournal::taken() const {
  MutexLock lock(mutex_);
  return slots_ - static_cast<uint32_t>(free_.size());
}

}  // namespace kvcs::ai
