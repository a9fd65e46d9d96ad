// What all callers use together, and how much of it one of them may take: requests at work, by key,
// organization and address, and connections, by address. One table (shares.cc) names each share,
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
  // Counts one more, unless `limit` are there already: false.
  bool add(Places places, int limit);
  void remove(Places places);

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
    bool by_caller_ = false, by_organization_ = false;
    NameCounts::Places caller_, organization_;
  };
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
  Status refuse(Share share);

  const std::array<int, kShareCount> limits_;
  const int admin_limit_;
  std::atomic<int> all_{0};
  NameCounts callers_, organizations_, addresses_;
  std::array<std::atomic<uint64_t>, kShareCount> refused_{};
};

}  // namespace kvcs::http
