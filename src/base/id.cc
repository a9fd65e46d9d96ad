// How identifiers are laid out: UUIDs by RFC 9562, request ids by a clock and a counter.
#include "base/id.h"

#include <time.h>

#include <atomic>
#include <random>

#include "base/bytes.h"

namespace kvcs {
namespace {

// 16 bytes with the version in the upper half of byte 6 and the variant "10" in the upper bits of
// byte 8 (RFC 9562 §4), as 8-4-4-4-12 hex digits.
std::string format_uuid(std::string bytes, char version) {
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | version << 4);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string hex = to_hex(bytes);
  for (const size_t at : {20, 16, 12, 8}) hex.insert(at, 1, '-');
  return hex;
}

}  // namespace

std::string make_uuid_v4(Entropy& entropy) {
  return format_uuid(entropy.bytes(16), 4);
}

std::string make_uuid_v7(Entropy& entropy, int64_t unix_ms) {
  std::string bytes;
  append_u64be(bytes, static_cast<uint64_t>(unix_ms) << 16);
  bytes.resize(6);  // 48 bits of milliseconds, the highest first, so that ids sort by time.
  return format_uuid(bytes + entropy.bytes(10), 7);
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); i++) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text.substr(i, 1), 1)) return false;
  }
  return true;
}

std::string make_request_id() {
  // 40 bits of milliseconds (34 years) and 24 of a counter: never twice in a process that makes
  // less than sixteen million in a millisecond, and two processes do not meet in practice.
  static std::atomic<uint64_t> counter{std::random_device{}()};
  // The coarse clock is a read of memory; some milliseconds of error do not matter here.
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  const uint64_t ms =
      static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
  std::string bytes;
  append_u64be(bytes, ms << 24 | (counter.fetch_add(1, std::memory_order_relaxed) & 0xffffff));
  return to_hex(bytes);
}

bool is_slug(std::string_view text) {
  if (text.empty() || text.size() > 64) return false;
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alnum(text[0])) return false;
  for (const char c : text) {
    if (!alnum(c) && c != '_' && c != '.' && c != '-') return false;
  }
  return text.find("..") == text.npos;
}

}  // namespace kvcs
