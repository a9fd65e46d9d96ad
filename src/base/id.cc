#include "base/id.h"

#include <atomic>
#include <random>

#include "base/bytes.h"

namespace kvcs {
namespace {

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
  bytes.resize(6);
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
  // A per-process random start and a counter through a bijective mixer (splitmix64): never repeats
  // within a process, and two processes do not meet in practice.
  static std::atomic<uint64_t> counter{std::random_device{}() * 0x9e3779b97f4a7c15ull ^
                                       std::random_device{}()};
  uint64_t z = counter.fetch_add(0x9e3779b97f4a7c15ull, std::memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  std::string bytes;
  append_u64be(bytes, z);
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
