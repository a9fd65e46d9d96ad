// Reads and writes the two slots of a mark. A slot lies in a sector of its own and ends in a digest
// of what it says, so that one that was written in part is none.
#include "blob/staged_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/file.h"
#include "blob/blob_folder.h"

namespace kvcs {
namespace {

constexpr size_t kSlotBytes = 4096, kSlots = 2, kDigestDigits = 16;
constexpr mode_t kFileMode = 0600;

// "NUMBER BYTES BOOT all|kept DIGEST\n".
std::string slot_text(const StagedMark& mark) {
  const std::string text = std::to_string(mark.number) + " " + std::to_string(mark.bytes) + " " +
                           mark.boot + (mark.counts_all ? " all " : " kept ");
  return text + sha256_hex(text).substr(0, kDigestDigits) + "\n";
}

std::optional<StagedMark> parse_slot(std::string_view slot) {
  const std::string_view line = slot.substr(0, slot.find('\n'));
  const std::vector<std::string_view> words = split(line, ' ');
  if (line.size() == slot.size() || words.size() != 5) return std::nullopt;
  const auto number = parse_u64(words[0], "number"), bytes = parse_u64(words[1], "bytes");
  if (!number.ok() || !bytes.ok()) return std::nullopt;
  StagedMark mark{*number, *bytes, std::string(words[2]), words[3] == "all"};
  return slot_text(mark) == std::string(line) + "\n" ? std::optional(mark) : std::nullopt;
}

}  // namespace

Result<std::optional<StagedMark>> read_staged_mark(const std::string& path) {
  const Result<std::string> text = read_small_file(path, kSlots * kSlotBytes);
  if (text.code() == Code::kNotFound) return std::optional<StagedMark>();
  if (!text.ok()) return without_path(text.status());
  std::optional<StagedMark> newest;
  for (size_t at = 0; at < text->size(); at += kSlotBytes) {
    const auto mark = parse_slot(std::string_view(*text).substr(at, kSlotBytes));
    if (mark && (!newest || mark->number > newest->number)) newest = mark;
  }
  return newest;
}

Status write_staged_mark(const std::string& path, StagedMark mark, bool durable) {
  const auto newest = KVCS_TRY(read_staged_mark(path));
  mark.number = newest ? newest->number + 1 : 1;
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  if (!file.valid()) return blob_error("open", path, errno);
  const auto at = static_cast<off_t>(mark.number % kSlots * kSlotBytes);
  if (::lseek(file.get(), at, SEEK_SET) < 0) return blob_error("seek", path, errno);
  KVCS_TRY(without_path(write_all(file.get(), slot_text(mark), path)));
  if (durable && ::fsync(file.get()) != 0) return blob_error("fsync", path, errno);
  return ok();
}

}  // namespace kvcs
