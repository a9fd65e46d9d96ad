// Reads logs in RocksDB's format: blocks of 32 KiB with records that do not cross their ends. A
// record is a checksum, 4 bytes (CRC-32C of type and payload, masked) | length, 2 bytes | type, 1
// byte | payload; the rest of a block that is too short for a record is zero.
#include "kv/wal_check.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/log.h"
#include "kv/rocks_damage.h"

namespace kvcs {
namespace {

constexpr size_t kBlockBytes = 32u << 10, kHeadBytes = 7;
// A disk that says that it has synced and has not loses a little at a power cut. So much may be
// missing of a log after another boot; it is told in the daemon's log.
constexpr size_t kTailMaxBytes = kBlockBytes;
constexpr unsigned char kTypeMax = 15;  // Types that this RocksDB does not write are let pass.

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

size_t length_at(std::string_view block, size_t at) {
  return static_cast<unsigned char>(block[at + 4]) |
         static_cast<size_t>(static_cast<unsigned char>(block[at + 5])) << 8;
}

// The bytes of the whole record at `at`; 0 when there is none.
size_t record_at(std::string_view block, size_t at) {
  if (block.size() - at < kHeadBytes) return 0;
  const size_t size = kHeadBytes + length_at(block, at);
  const auto type = static_cast<unsigned char>(block[at + 6]);
  if (type == 0 || type > kTypeMax || block.size() - at < size) return 0;
  if (load_u32le(block.data() + at) != masked_crc(block.substr(at + 6, size - 6))) return 0;
  return size;
}

bool is_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

bool has_record_behind(std::string_view block, size_t at) {
  for (at++; at + kHeadBytes <= block.size(); at++) {
    if (record_at(block, at) != 0) return true;
  }
  return false;
}

// Whether a record of that type is whole, or the first part of one.
bool begins_record(unsigned char type) {
  return type == 1 || type == 2 || type == 5 || type == 6;
}

// Blocks of one file, one after the other; the last may be short, and "" comes after it.
class Blocks final {
 public:
  explicit Blocks(const std::string& path)
      : file_(path, std::ios::binary), error_(file_.is_open() ? 0 : errno) {}
  // What the system said when it could not be read; 0 = it could.
  int error() const { return file_.bad() ? EIO : error_; }
  std::string_view next() {
    file_.read(bytes_.data(), static_cast<std::streamsize>(bytes_.size()));
    return std::string_view(bytes_).substr(0, static_cast<size_t>(file_.gcount()));
  }

 private:
  std::ifstream file_;
  const int error_;
  std::string bytes_ = std::string(kBlockBytes, '\0');
};

// Behind a break: whether the rest of the file holds a whole record, or anything but zeros.
struct Rest {
  bool has_record = false, has_bytes = false;
};
Rest look_behind(std::string_view block, size_t at, Blocks& blocks) {
  Rest rest{has_record_behind(block, at), !is_zero(block.substr(at))};
  for (std::string_view next = blocks.next(); !next.empty(); next = blocks.next()) {
    rest.has_record = rest.has_record || record_at(next, 0) != 0 || has_record_behind(next, 0);
    rest.has_bytes = rest.has_bytes || !is_zero(next);
  }
  return rest;
}

}  // namespace

uint64_t wal_number(std::string_view name) {
  uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(name.data(), end, number);
  return std::string_view(read.ptr, static_cast<size_t>(end - read.ptr)) == ".log" ? number : 0;
}

Result<std::optional<WalBreak>> find_wal_break(const std::string& path) {
  Blocks blocks(path);
  uint64_t begin = 0;
  for (std::string_view block = blocks.next(); !block.empty(); block = blocks.next()) {
    size_t at = 0;
    while (block.size() - at >= kHeadBytes) {
      const size_t size = record_at(block, at);
      if (size == 0) break;
      at += size;
    }
    const bool is_last = block.size() < kBlockBytes;
    const std::string_view left = block.substr(at);
    if (!left.empty() && (left.size() >= kHeadBytes || is_last || !is_zero(left))) {
      const bool is_cut_off =
          is_last && (left.size() < kHeadBytes || kHeadBytes + length_at(block, at) > left.size());
      const Rest rest = look_behind(block, at, blocks);
      if (!rest.has_bytes) return std::optional<WalBreak>{};
      return std::optional<WalBreak>(WalBreak{begin + at, is_cut_off, rest.has_record});
    }
    begin += block.size();
  }
  if (blocks.error() != 0) return io_error("read", path, blocks.error());
  return std::optional<WalBreak>{};
}

Result<uint64_t> count_wal_records(const std::string& path, uint64_t begin) {
  Blocks blocks(path);
  uint64_t block_begin = 0, records = 0;
  for (std::string_view block = blocks.next(); !block.empty(); block = blocks.next()) {
    size_t at = begin > block_begin ? static_cast<size_t>(begin - block_begin) : 0;
    while (at + kHeadBytes <= block.size()) {
      const size_t size = record_at(block, at);
      const auto type = static_cast<unsigned char>(block[at + 6]);
      if (size != 0 && begins_record(type)) records++;
      at += size != 0 ? size : 1;
    }
    block_begin += block.size();
  }
  if (blocks.error() != 0) return io_error("read", path, blocks.error());
  return records;
}

Result<std::map<uint64_t, std::string>> list_wals(const std::string& directory) {
  std::map<uint64_t, std::string> logs;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const uint64_t number = wal_number(it->path().filename().string());
    if (number != 0) logs[number] = it->path().string();
  }
  if (error) return io_error("list", directory, error.value());
  return logs;
}

namespace {

// A log that is gone and was there; nothing when there is none.
std::optional<WalDamage> find_missing(const std::string& directory,
                                      const std::map<uint64_t, std::string>& logs,
                                      const WalNotes::Left& notes) {
  for (const auto& [number, synced] : notes.logs) {
    if (logs.count(number) != 0) continue;
    char name[32];
    std::snprintf(name, sizeof name, "%06llu.log", static_cast<unsigned long long>(number));
    const std::string path = directory + "/" + name;
    return WalDamage{number, path, 0, "the log " + path + " is missing"};
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<WalDamage>> find_wal_damage(const std::string& directory,
                                                 const WalNotes::Left& notes, bool& lost_tail) {
  const std::map<uint64_t, std::string> logs = KVCS_TRY(list_wals(directory));
  std::optional<WalDamage> missing = find_missing(directory, logs, notes);
  for (const auto& [number, path] : logs) {
    if (missing && missing->log < number) break;
    const auto noted = notes.logs.find(number);
    const uint64_t synced = noted == notes.logs.end() ? 0 : noted->second;
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(path, error);
    if (error) return io_error("stat", path, error.value());
    const bool is_short = size < synced;
    const std::optional<WalBreak> found = KVCS_TRY(find_wal_break(path));
    if (is_short && (notes.same_boot || size + kTailMaxBytes <= synced)) {
      return std::optional(WalDamage{number, path, found ? found->offset : size,
                                     "the log " + path + " has " + std::to_string(size) + " of " +
                                         std::to_string(synced) + " bytes that were on disk"});
    }
    if (!found && !is_short) continue;
    if (found) {
      // Without a power cut all that was written is there: only the last record may be cut off.
      const bool may_be_lost = notes.is_there && !notes.same_boot && found->offset >= synced;
      const bool is_torn =
          found->is_cut_off && !found->is_inside && (found->offset >= synced || is_short);
      if (!may_be_lost && !is_torn) {
        return std::optional(
            WalDamage{number, path, found->offset,
                      "the log " + path + " is damaged at byte " + std::to_string(found->offset)});
      }
      lost_tail = lost_tail || !is_torn;
    }
    log::warn("kv.log_ends_early", {{"path", path},
                                    {"whole_bytes", found ? found->offset : size},
                                    {"size_bytes", size},
                                    {"synced_bytes", synced}});
  }
  return missing;
}

namespace {

// The numbers of the writes in one log: the first one's, and one more than the last one's.
struct WalSequences {
  uint64_t first = 0, end = 0;
};

// A batch begins with its number, 8 bytes, and how many writes it has, 4; each write has a number.
// Nothing of a log without writes. What stands behind a break counts for nothing.
Result<std::optional<WalSequences>> sequences_of(const std::string& path) {
  constexpr size_t kBatchHeadBytes = 12;
  std::optional<WalSequences> found;
  Blocks blocks(path);
  for (std::string_view block = blocks.next(); !block.empty(); block = blocks.next()) {
    size_t at = 0, size = 0;
    for (; block.size() - at >= kHeadBytes; at += size) {
      size = record_at(block, at);
      if (size == 0) break;
      const auto type = static_cast<unsigned char>(block[at + 6]);
      if (type > 2 || size < kHeadBytes + kBatchHeadBytes) continue;
      const uint64_t first = load_u64le(block.data() + at + kHeadBytes);
      const uint64_t count = load_u32le(block.data() + at + kHeadBytes + 8);
      if (count == 0) continue;
      if (!found) found = WalSequences{first, first};
      found->end = std::max(found->end, first + count);
    }
    const bool is_broken = size == 0 && block.size() - at >= kHeadBytes;
    if (is_broken && !is_zero(block.substr(at))) break;
  }
  if (blocks.error() != 0) return io_error("read", path, blocks.error());
  return found;
}

}  // namespace

Status check_wal_order(const std::string& directory, const WalNotes::Left& notes) {
  const std::map<uint64_t, std::string> logs = KVCS_TRY(list_wals(directory));
  if (logs.size() < 2) return ok();
  std::string before;
  uint64_t before_number = 0, end = 0;
  for (const auto& [number, path] : logs) {
    const auto found = KVCS_TRY(sequences_of(path));
    if (!found) continue;
    if (found->first < end) {
      // Of the two the notes know the one that the store has made.
      const bool is_known = notes.logs.count(number) != 0 && notes.logs.count(before_number) == 0;
      return conflict("The key-value store in \"" + printable(directory) +
                      "\" is not opened: its log " + path + " has writes that " + before +
                      " has as well, so one of the two was copied there. Move " +
                      (is_known ? before : path) + " out of the directory, and start again.");
    }
    before = path;
    before_number = number;
    end = found->end;
  }
  return ok();
}

Result<bool> check_wals(const std::string& directory, const WalNotes::Left& notes) {
  bool lost_tail = false;
  const auto damage = KVCS_TRY(find_wal_damage(directory, notes, lost_tail));
  if (damage) return kv_damaged(directory, damage->what, KvDamagePlace::kLog);
  KVCS_TRY(check_wal_order(directory, notes));
  return lost_tail;
}

Status check_manifest(const std::string& directory) {
  const std::string current = read_small_file(directory + "/CURRENT", 256).value_or("");
  if (!current.starts_with("MANIFEST-")) return ok();  // RocksDB's own finding.
  const std::string path = directory + "/" + std::string(trim(current));
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return ok();
  const std::optional<WalBreak> found = KVCS_TRY(find_wal_break(path));
  if (!found) return ok();
  return kv_damaged(directory, "the list of its files, " + path + ", is damaged at byte " +
                                   std::to_string(found->offset));
}

}  // namespace kvcs
