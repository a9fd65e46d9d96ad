// Reads numbers and texts forward through a file with a small buffer, and never past its end. A
// copy of a cursor reads on from the same place, which is how several layouts of one file are
// tried. Faults are Invalid and say at which byte. One thread.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "kvfile/format/source_file.h"

namespace kvcs::kvfile {

class FileCursor final {
 public:
  explicit FileCursor(const SourceFile& file) : file_(file) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return file_.size_bytes() - at_; }

  Result<uint32_t> u32(const char* what) {
    KVCS_TRY(need(4, what));
    KVCS_TRY(fill(4));
    const uint32_t value = load_u32le(buffer_.data() + (at_ - buffer_at_));
    at_ += 4;
    return value;
  }
  Result<uint64_t> u64(const char* what) {
    const uint64_t low = KVCS_TRY(u32(what));
    const uint64_t high = KVCS_TRY(u32(what));
    return low | high << 32U;
  }
  // Invalid unless `count` things of `each` bytes are still left in the file. Divides instead of
  // multiplying, so that no count can overflow.
  Status need(uint64_t count, const char* what, uint64_t each = 1) const {
    if (each == 0 || count <= left() / each) return ok();
    return invalid(std::string(what) + " at byte " + std::to_string(at_) + ": needs " +
                   std::to_string(count) + (each == 1 ? "" : " × " + std::to_string(each)) +
                   " bytes, " + std::to_string(left()) + " are left");
  }
  Status skip(uint64_t count, const char* what, uint64_t each = 1) {
    KVCS_TRY(need(count, what, each));
    at_ += count * each;
    return ok();
  }
  Result<std::string> bytes(uint64_t count, const char* what) {
    KVCS_TRY(need(count, what));
    std::string out(count, '\0');
    KVCS_TRY(file_.read(at_, out.data(), out.size()));
    at_ += count;
    return out;
  }
  Status fault(const std::string& why) const {
    return invalid(why + " at byte " + std::to_string(at_));
  }

 private:
  static constexpr size_t kBufferBytes = 64 << 10;

  Status fill(size_t count) {
    if (at_ >= buffer_at_ && at_ + count <= buffer_at_ + buffer_.size()) return ok();
    buffer_.resize(std::min<uint64_t>(kBufferBytes, left()));
    buffer_at_ = at_;
    return file_.read(at_, buffer_.data(), buffer_.size());
  }

  const SourceFile& file_;
  uint64_t at_ = 0, buffer_at_ = 0;
  std::string buffer_;
};

}  // namespace kvcs::kvfile
