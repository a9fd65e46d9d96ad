// Reads each slot until two reads in a row agree: a request may be writing into it. A request
// writes a slot a few times in its life, so that the second read mostly is the last.
#include "ai/budget/charge_journal_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "ai/budget/charge_journal.h"
#include "base/file.h"

namespace kvcs::ai {
namespace {

constexpr size_t kSlotBytes = ChargeJournal::kSlotBytes;
constexpr size_t kSlotsPerRead = 256;
constexpr int kReadsMax = 1000;  // A slot that never rests is copied as it was last read.

// Fills `bytes` from the place in the file; shorter only at the file's end.
Status read_at(int file, uint64_t offset, std::string& bytes, const std::string& path) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("read", path, errno);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return ok();
}

// `slot` is what the first read has found.
Result<std::string> settled_slot(int file, uint64_t offset, std::string slot,
                                 const std::string& path) {
  for (int reads = 0; reads < kReadsMax; reads++) {
    std::string again(slot.size(), '\0');
    KVCS_TRY(read_at(file, offset, again, path));
    if (again == slot) break;
    slot = std::move(again);
    if (reads > 0) std::this_thread::yield();
  }
  return slot;
}

bool is_empty(std::string_view slot) {
  return std::all_of(slot.begin(), slot.end(), [](char c) { return c == '\0'; });
}

Status write_at(int file, uint64_t offset, std::string_view bytes, const std::string& path) {
  if (::lseek(file, static_cast<off_t>(offset), SEEK_SET) < 0) return io_error("seek", path, errno);
  return write_all(file, bytes, path);
}

struct Paths {
  const std::string &from, &to;
};

// From `offset` as many slots as are read at once, up to `size`.
Status copy_slots(int source, uint64_t offset, uint64_t size, int target, const Paths& paths) {
  std::string slots(std::min<uint64_t>(kSlotsPerRead * kSlotBytes, size - offset), '\0');
  KVCS_TRY(read_at(source, offset, slots, paths.from));
  for (size_t at = 0; at < slots.size(); at += kSlotBytes) {
    std::string slot = slots.substr(at, kSlotBytes);
    if (is_empty(slot)) continue;
    slot = KVCS_TRY(settled_slot(source, offset + at, std::move(slot), paths.from));
    KVCS_TRY(write_at(target, offset + at, slot, paths.to));
  }
  return ok();
}

}  // namespace

Status copy_charge_journal(const std::string& from, const std::string& to) {
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.valid()) return errno == ENOENT ? ok() : io_error("open", from, errno);
  const Descriptor target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!target.valid()) {
    return errno == EEXIST ? conflict(to + " is there already.") : io_error("create", to, errno);
  }
  uint64_t offset = 0;
  // The file may grow meanwhile, and its first slot says how long it must be.
  for (;;) {
    struct stat facts {};
    if (::fstat(source.get(), &facts) != 0) return io_error("stat", from, errno);
    const auto size = static_cast<uint64_t>(facts.st_size);
    if (size <= offset) return ok();
    if (::ftruncate(target.get(), facts.st_size) != 0) return io_error("grow", to, errno);
    for (; offset < size; offset += std::min<uint64_t>(kSlotsPerRead * kSlotBytes, size - offset)) {
      KVCS_TRY(copy_slots(source.get(), offset, size, target.get(), {from, to}));
    }
  }
}

}  // namespace kvcs::ai
