// The table of shares, and the counts by name that they are enforced with.
#include "http/serve/shares.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <functional>
#include <random>

#include "base/address_block.h"
#include "http/serve/server.h"

namespace kvcs::http {
namespace {

constexpr int kRetryAfterS = 1;

struct ShareRow {
  Share share;
  std::string_view name;
  int (*limit)(const ServerConfig&);
  Code code;        // Of the refusal.
  const char* why;  // "%": the limit.
};

// A share of all is none: the limit of all comes first.
int percent_of(int all, int percent) {
  if (percent >= 100) return INT_MAX;
  return std::max(1, static_cast<int>(int64_t{all} * percent / 100));
}

int kib_of(uint64_t bytes, int percent) {
  const uint64_t kib = (bytes >> 10) * static_cast<uint64_t>(percent) / 100;
  return static_cast<int>(std::min<uint64_t>(kib, INT_MAX / 2));
}

// Who a request's share is counted for.
std::string_view caller_of(const Request& request, std::string& block) {
  if (!request.principal.key_id.empty()) return request.principal.key_id;
  block = address_block(request.remote_ip);
  return block;
}

bool is_admin(const Request& request) {
  return request.principal.kind == PrincipalKind::kAdminKey ||
         request.principal.role != AdminRole::kNone;
}

// In the order of the enumerators.
constexpr ShareRow kShares[] = {
    {Share::kAll, "streams", [](const ServerConfig& c) { return c.streams_max; },
     Code::kUnavailable, "Too many requests at once; try again."},
    {Share::kKey, "streams_key",
     [](const ServerConfig& c) { return percent_of(c.streams_max, c.streams_key_percent); },
     Code::kRateLimited,
     "This key, or this address without one, has % requests at work, its share "
     "(http.streams_key_percent of http.streams_max); try again when one of them has ended."},
    {Share::kOrganization, "streams_organization",
     [](const ServerConfig& c) {
       return percent_of(c.streams_max, c.streams_organization_percent);
     },
     Code::kRateLimited,
     "This organization has % requests at work, its share (http.streams_organization_percent of "
     "http.streams_max); try again when one of them has ended."},
    {Share::kKeyless, "streams_keyless",
     [](const ServerConfig& c) { return percent_of(c.streams_max, c.streams_keyless_percent); },
     Code::kUnavailable,
     "Callers without a key have % requests at work, their share (http.streams_keyless_percent of "
     "http.streams_max); try again."},
    {Share::kConnections, "connections_address",
     [](const ServerConfig& c) {
       return percent_of(c.connections_max, c.connections_address_percent);
     },
     Code::kUnavailable, "Too many connections from this address."},
    {Share::kMemory, "memory",
     [](const ServerConfig& c) { return kib_of(c.memory_max_bytes, 100); }, Code::kUnavailable,
     "Requests hold bodies and answers of % KiB in memory, all that they may "
     "(http.memory_max_bytes); try again."},
    {Share::kMemoryKey, "memory_key",
     [](const ServerConfig& c) { return kib_of(c.memory_max_bytes, c.memory_key_percent); },
     Code::kRateLimited,
     "Requests of this key, or of this address without one, hold bodies and answers of % KiB in "
     "memory, its share (http.memory_key_percent of http.memory_max_bytes); send less at once."},
    {Share::kMemoryOrganization, "memory_organization",
     [](const ServerConfig& c) {
       return kib_of(c.memory_max_bytes, c.memory_organization_percent);
     },
     Code::kRateLimited,
     "Requests of this organization hold bodies and answers of % KiB in memory, its share "
     "(http.memory_organization_percent of http.memory_max_bytes); send less at once."},
};
static_assert([] {
  for (size_t i = 0; i < kShareCount; i++) {
    if (kShares[i].share != static_cast<Share>(i)) return false;
  }
  return std::size(kShares) == kShareCount;
}());

std::array<int, kShareCount> limits_of(const ServerConfig& config) {
  std::array<int, kShareCount> limits{};
  for (const ShareRow& row : kShares) limits[static_cast<size_t>(row.share)] = row.limit(config);
  return limits;
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

std::string_view share_name(Share share) {
  return kShares[static_cast<size_t>(share)].name;
}

const char* Shares::why(Share share) {
  return kShares[static_cast<size_t>(share)].why;
}

NameCounts::NameCounts() : seed_(random_seed()) {}

NameCounts::Places NameCounts::places_of(std::string_view name) const {
  // FNV-1a from a secret start (http://www.isthe.com/chongo/tech/comp/fnv, 64 bits), so that names
  // which meet under one seed do not meet under another; two odd factors spread it, and the high
  // bits are the well mixed ones.
  uint64_t hash = seed_;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  static constexpr int kShift = 64 - std::bit_width(kPlaces - 1);
  return {static_cast<uint32_t>((hash * 0x9e3779b97f4a7c15) >> kShift),
          static_cast<uint32_t>((hash * 0xd6e8feb86659fd93) >> kShift)};
}

bool NameCounts::add(Places places, int limit, int count) {
  const int first = counts_[0][places.first].fetch_add(count, std::memory_order_relaxed);
  const int second = counts_[1][places.second].fetch_add(count, std::memory_order_relaxed);
  if (std::min(first, second) <= limit - count) return true;
  remove(places, count);
  return false;
}

void NameCounts::remove(Places places, int count) {
  counts_[0][places.first].fetch_sub(count, std::memory_order_relaxed);
  counts_[1][places.second].fetch_sub(count, std::memory_order_relaxed);
}

Shares::Shares(const ServerConfig& config)
    : limits_(limits_of(config)), admin_limit_(config.streams_max + config.streams_reserved) {}

Status Shares::refuse(Share share) {
  refused_[static_cast<size_t>(share)].fetch_add(1, std::memory_order_relaxed);
  const ShareRow& row = kShares[static_cast<size_t>(share)];
  std::string why = row.why;
  if (const size_t at = why.find('%'); at != why.npos) {
    why.replace(at, 1, std::to_string(limit(share)));
  }
  return Status(row.code, std::move(why)).with_retry_after_s(kRetryAfterS);
}

Status Shares::enter(const Request& request, Ticket& ticket) {
  const bool admin = is_admin(request);
  ticket.shares_ = this;
  const int before = all_.fetch_add(1, std::memory_order_relaxed);
  if (request.route->is_probe) return ok();
  Status entered =
      before >= (admin ? admin_limit_ : limit(Share::kAll)) ? refuse(Share::kAll) : ok();
  if (entered.ok() && !admin) entered = enter_shares(request, ticket);
  if (!entered.ok()) ticket.leave();
  return entered;
}

Status Shares::enter_shares(const Request& request, Ticket& ticket) {
  std::string block;
  const NameCounts::Places caller = callers_.places_of(caller_of(request, block));
  if (!callers_.add(caller, limit(Share::kKey))) return refuse(Share::kKey);
  ticket.caller_ = caller;
  if (request.principal.key_id.empty()) {
    ticket.is_keyless_ = true;
    if (keyless_.fetch_add(1, std::memory_order_relaxed) >= limit(Share::kKeyless)) {
      return refuse(Share::kKeyless);
    }
  }
  if (request.principal.organization_id.empty()) return ok();
  const NameCounts::Places organization =
      organizations_.places_of(request.principal.organization_id);
  if (!organizations_.add(organization, limit(Share::kOrganization))) {
    return refuse(Share::kOrganization);
  }
  ticket.organization_ = organization;
  return ok();
}

void Shares::Ticket::leave() {
  if (shares_ == nullptr) return;
  if (organization_) shares_->organizations_.remove(*organization_);
  if (is_keyless_) shares_->keyless_.fetch_sub(1, std::memory_order_relaxed);
  if (caller_) shares_->callers_.remove(*caller_);
  shares_->all_.fetch_sub(1, std::memory_order_relaxed);
  caller_ = organization_ = std::nullopt;
  is_keyless_ = false;
  shares_ = nullptr;
}

Status Shares::Memory::take(uint64_t bytes) {
  const Status counted = count_to(taken_bytes_ + bytes);
  if (counted.ok()) taken_bytes_ += bytes;
  return counted;
}

void Shares::Memory::give(uint64_t bytes) {
  taken_bytes_ -= bytes;
  (void)count_to(taken_bytes_);  // Less is never refused.
}

Status Shares::Memory::count_to(uint64_t bytes) {
  const uint64_t over = bytes <= kFreeBytes ? 0 : bytes - kFreeBytes;
  const int kib = static_cast<int>(std::min<uint64_t>((over + 1023) >> 10, INT_MAX / 4));
  const int more = kib - counted_kib_;
  if (more > 0) {
    KVCS_TRY(count_more(more));
  } else if (more < 0) {
    count_less(-more);
  }
  counted_kib_ = kib;
  return ok();
}

Status Shares::Memory::count_more(int kib) {
  const bool admin = is_admin(request_);
  if (!admin && !caller_) {
    std::string block;
    caller_ = shares_.memory_callers_.places_of(caller_of(request_, block));
    const std::string& organization = request_.principal.organization_id;
    if (!organization.empty()) {
      organization_ = shares_.memory_organizations_.places_of(organization);
    }
  }
  if (caller_ && !shares_.memory_callers_.add(*caller_, shares_.limit(Share::kMemoryKey), kib)) {
    return shares_.refuse(Share::kMemoryKey);
  }
  if (organization_ && !shares_.memory_organizations_.add(
                           *organization_, shares_.limit(Share::kMemoryOrganization), kib)) {
    shares_.memory_callers_.remove(*caller_, kib);
    return shares_.refuse(Share::kMemoryOrganization);
  }
  const int all = shares_.limit(Share::kMemory);
  const int before = shares_.held_kib_.fetch_add(kib, std::memory_order_relaxed);
  if (before <= (admin ? all + all / 8 : all) - kib) return ok();
  count_less(kib);
  return shares_.refuse(Share::kMemory);
}

void Shares::Memory::count_less(int kib) {
  shares_.held_kib_.fetch_sub(kib, std::memory_order_relaxed);
  if (caller_) shares_.memory_callers_.remove(*caller_, kib);
  if (organization_) shares_.memory_organizations_.remove(*organization_, kib);
}

bool Shares::add_connection(std::string_view ip) {
  const NameCounts::Places places = addresses_.places_of(address_block(ip));
  if (addresses_.add(places, limit(Share::kConnections))) return true;
  refused_[static_cast<size_t>(Share::kConnections)].fetch_add(1, std::memory_order_relaxed);
  return false;
}

void Shares::remove_connection(std::string_view ip) {
  addresses_.remove(addresses_.places_of(address_block(ip)));
}

std::array<uint64_t, kShareCount> Shares::refused() const {
  std::array<uint64_t, kShareCount> counts{};
  std::transform(refused_.begin(), refused_.end(), counts.begin(),
                 [](const auto& count) { return count.load(std::memory_order_relaxed); });
  return counts;
}

}  // namespace kvcs::http
