// A file, mapped into memory, of what requests in flight hold and what they have cost. The store
// takes charges in groups, milliseconds later; until then this is their record, and a process that
// is killed leaves it to the next one (the pages belong to the kernel). Noting costs a copy in
// memory instead of a write to the store. A power cut may take what sync() or sync_held() has not
// yet covered.
//
// The file is an array of slots of kSlotBytes, a page each, one for each request. A slot has two
// records: the reservation at 0 and the charge at kChargeOffset, so that a process which dies while
// it notes the charge leaves the reservation. A record, little-endian:
//
//   4 bytes  size of the text, 0 = no record
//   8 bytes  a sum of the text, for pages that a power cut tore
//   text     JSON: reservation_json() of budget_book.h, or usage_json() of ledger/usage_record.h
//
// Between the two, at kOutputOffset, stands one number of 8 bytes: the output that has passed so
// far, in tokens, in its lower 40 bits, and above them part of the reservation's sum, so that what
// an earlier request of the slot left there is not taken for this one's.
//
// The last bytes of the first slot are the head of the file: the number of the start that began it,
// 8 bytes, and how many chunks it has, 4 bytes and their complement, so that a file which is cut at
// the end of a chunk does not look whole.
//
// The size is written last and cleared first, so a killed process leaves a whole record or none.
// Space on disk is allocated before it is mapped, so a full disk is a Status and not a signal; the
// file grows by kGrowSlots.
//
// Without a file (tests) the slots are memory only. Thread-safe; a slot belongs to one thread at a
// time.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_guard.h"
#include "base/mutex.h"
#include "base/status.h"

namespace kvcs::ai {

class ChargeJournal final {
 public:
  static constexpr size_t kSlotBytes = 4096;
  static constexpr size_t kChargeOffset = 1792;
  static constexpr size_t kOutputOffset = kChargeOffset - sizeof(uint64_t);
  static constexpr size_t kFileHeadBytes = 16;   // At the end of the first slot; unused in others.
  static constexpr uint32_t kGrowSlots = 1024;   // 4 MiB
  static constexpr uint32_t kSlotsMax = 65'536;  // In flight, or not taken by the store.

  // The records that another process left.
  struct Left {
    struct One {
      std::string reservation_json, charge_json;  // "" when it has none.
      int64_t output_tokens = 0;                  // Of note_output().
      // A record does not hold what its sum says: the charge is left out, or the reservation may
      // not be what it was.
      bool is_damaged = false;
    };
    std::vector<One> all;
    size_t damaged = 0;    // Records.
    size_t illegible = 0;  // Slots of which nothing is left that could be charged.
    uint64_t start = 0;    // As open() was told; 0 of one from write_empty() or an older program.
  };
  // Without a file nothing is left. Unavailable, too, when the file is shorter than it was made.
  static Result<Left> read(const std::string& path);
  // A file without records, for a backup: the requests that were open then are not in it.
  static Status write_empty(const std::string& path);

  ChargeJournal() = default;
  ~ChargeJournal();
  ChargeJournal(const ChargeJournal&) = delete;
  ChargeJournal& operator=(const ChargeJournal&) = delete;
  // Begins an empty file; what is in it is gone. Before the first slot is taken. `start` is the
  // number by which the file is known again.
  Status open(const std::string& path, uint64_t start = 0);
  // Goes on with a file that has no record, where there is no space for another one.
  Status open_again(const std::string& path, uint64_t start);

  // Takes a slot. Unavailable: the disk is full, or kSlotsMax are taken. TooLarge: the text.
  Result<uint32_t> begin(std::string_view reservation_json);
  Status note_charge(uint32_t slot, std::string_view charge_json);  // TooLarge
  // Notes the output so far of the request that has the slot; an open stream calls it for each of
  // its reads. Costs one store into memory.
  void note_output(uint32_t slot, int64_t tokens);
  // Gives back slots whose charges are in the store; their records are gone. On disk they may stand
  // a while longer, which does no harm: a start finds their rows and charges nothing.
  void end(std::span<const uint32_t> slots);
  // Gives back the slot of a request that was charged nothing. No row will say so, hence a
  // reservation that is on disk already is overwritten there by the next sync_held().
  void end_uncharged(uint32_t slot);
  // To disk, if anything was noted since the last time. Unavailable from then on when the file was
  // cut under the daemon: it goes on in memory, and a crash loses what is open.
  Status sync();
  // Called at intervals: brings to disk what slots have held since before the call before. The
  // slots of quick requests are given back by then and hold nothing to keep. So most calls have no
  // work, which matters, because a sync takes every page from under the requests that write to it.
  // A request that stays open is on disk after the second call, and the output that is noted of it
  // at every kOutputRounds-th. Returns whether it has synced.
  static constexpr uint64_t kOutputRounds = 4;
  Result<bool> sync_held();
  uint32_t taken() const;

 private:
  char* at(uint32_t slot) const;
  Status grow() KVCS_REQUIRES(mutex_);
  void write_head() KVCS_REQUIRES(mutex_);
  Status sync_file();

  mutable Mutex mutex_;
  int file_ = -1;
  std::string path_;
  std::array<std::atomic<char*>, kSlotsMax / kGrowSlots> chunks_{};
  uint32_t slots_ KVCS_GUARDED_BY(mutex_) = 0;
  uint64_t start_ KVCS_GUARDED_BY(mutex_) = 0;
  // A stack: the slot that was given back last is taken next, for its page is in the cache.
  std::vector<uint32_t> free_ KVCS_GUARDED_BY(mutex_);
  MappedGuard guard_;  // Of the chunks.
  std::atomic<bool> changed_ = false;
  std::atomic<bool> output_noted_ = false;  // Since the last sync.
  // Each call of sync_held() ends a round. A slot is fresh in the round of its begin(), stale in
  // the rounds after it, and neither once a sync has covered its round.
  uint64_t round_ KVCS_GUARDED_BY(mutex_) = 1, synced_round_ KVCS_GUARDED_BY(mutex_) = 0;
  std::vector<uint64_t> begun_in_ KVCS_GUARDED_BY(mutex_);  // By slot; 0: free.
  uint32_t fresh_ KVCS_GUARDED_BY(mutex_) = 0, stale_ KVCS_GUARDED_BY(mutex_) = 0;
  // Of end_uncharged(): how many syncs were over when each slot was begun, and when the last sync
  // began. A slot may be on disk if it was begun before the last sync was over.
  std::vector<uint64_t> begun_after_ KVCS_GUARDED_BY(mutex_);
  uint64_t syncs_over_ KVCS_GUARDED_BY(mutex_) = 0;
  int64_t last_sync_after_ KVCS_GUARDED_BY(mutex_) = -1;
  // How many slots that may be on disk have ended uncharged, and how many of these ends are there.
  uint64_t uncharged_ KVCS_GUARDED_BY(mutex_) = 0, uncharged_synced_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs::ai
