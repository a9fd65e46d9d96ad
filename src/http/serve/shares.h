// What all callers use together, and how much of it one of them may take: requests at work, by key,
// organization and address; memory, by the same; and connections, by address. One table
// (shares.cc) names each share,
// its limit, its refusal and the name under which refusals are counted.
//
// Counts are kept in fixed memory and without a lock, since each request changes them. A name is
// counted in two places that a hash chooses, and its count is the smaller of the two: it may come
// out too high when others share both places, never too low.
//
// Thread-safe.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/http.h"
#include "http/serve/server_config.h"

namespace kvcs::http {

// How many of something each name has.
class NameCounts final {
 public:
  NameCounts();
  struct Places {
    uint32_t first = 0, second = 0;
  };
  Places places_of(std::string_view name) const;
  // Counts so many more, unless that would be over `limit`: false.
  bool add(Places places, int limit, int count = 1);
  void remove(Places places, int count = 1);

 private:
  static constexpr uint32_t kPlaces = 4096;
  const uint64_t seed_;  // Nobody outside can choose names that meet in one place.
  std::array<std::array<std::atomic<int>, kPlaces>, 2> counts_{};
};

class Shares final {
 public:
  explicit Shares(const ServerConfig& config);

  // The places of one request, which it gives back when it ends or by leave().
  class Ticket final {
   public:
    Ticket() = default;
    ~Ticket() { leave(); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    void leave();

   private:
    friend class Shares;
    Shares* shares_ = nullptr;  // Null: none are taken.
    bool is_keyless_ = false;
    std::optional<NameCounts::Places> caller_, organization_;
  };
  // The memory that one request takes for what its client has sent or not yet taken; all of it is
  // given back when it ends. The first kFreeBytes are not counted, as every request has so much.
  class Memory final {
   public:
    static constexpr uint64_t kFreeBytes = 16 << 10;
    // Both outlive it; the request's principal is known before the first take().
    Memory(Shares& shares, const Request& request) : shares_(shares), request_(request) {}
    ~Memory() { give(taken_bytes_); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    // RateLimited: the key, the address or the organization has its share; Unavailable: all of it
    // is taken. Admin keys have no share, and an eighth more of all.
    Status take(uint64_t bytes);
    void give(uint64_t bytes);

   private:
    Status count_to(uint64_t bytes);
    Status count_more(int kib);
    void count_less(int kib);

    Shares& shares_;
    const Request& request_;
    std::optional<NameCounts::Places> caller_, organization_;  // Nothing: it has no share.
    uint64_t taken_bytes_ = 0;
    int counted_kib_ = 0;
  };
  uint64_t held_bytes() const {
    return static_cast<uint64_t>(held_kib_.load(std::memory_order_relaxed)) << 10;
  }

  // A request whose guard has passed begins its work. RateLimited: its key (or address) or its
  // organization has its share already; Unavailable: all places are taken. Probes are never
  // refused; admin keys have places of their own, and no shares.
  Status enter(const Request& request, Ticket& ticket);

  // A connection of an address, "" for none. False: the address has its share.
  bool add_connection(std::string_view ip);
  void remove_connection(std::string_view ip);
  static const char* why(Share share);  // What a refusal says.
  std::array<uint64_t, kShareCount> refused() const;

 private:
  Status enter_shares(const Request& request, Ticket& ticket);
  Status refuse(Share share);
  int limit(Share share) const { return limits_[static_cast<size_t>(share)]; }

  const std::array<int, kShareCount> limits_;  // Of memory: KiB.
  const int admin_limit_;
  std::atomic<int> all_{0}, keyless_{0}, held_kib_{0};
  NameCounts callers_, organizations_, addresses_, memory_callers_, memory_organizations_;
  std::array<std::atomic<uint64_t>, kShareCount> refused_{};
};

}  // namespace kvcs::http
