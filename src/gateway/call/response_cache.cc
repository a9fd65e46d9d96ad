// The LRU list behind the cache of answers, under one lock that is never held over I/O.
#include "gateway/call/response_cache.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs::gateway {
namespace {
// The memory of an entry beside its body: key, list node, index.
constexpr size_t kEntryOverheadBytes = 512;
}  // namespace

std::string ResponseCache::key(const AccountId& account, const Authority& authority,
                               const OutboundRequest& request) {
  auto query = request.query;
  std::sort(query.begin(), query.end());
  auto headers = request.headers;
  // The token changes when it is refreshed, and a signature with each call; the authority stays.
  std::erase_if(headers, [](const auto& header) {
    return header.first == "authorization" || header.first.starts_with("x-amz-");
  });
  std::sort(headers.begin(), headers.end());
  // Lengths between the parts, so that no two lists read the same.
  std::string text;
  const auto add = [&](std::string_view part) {
    append_u64be(text, part.size());
    text += part;
  };
  for (const std::string* part : {&account.tenant, &account.provider, &account.account,
                                  &request.method, &request.origin, &request.path, &request.body}) {
    add(*part);
  }
  add(authority.credential);
  add(authority.provider);
  append_u64be(text, query.size());
  for (const auto& [name, value] : query) (add(name), add(value));
  for (const auto& [name, value] : headers) (add(name), add(value));
  return sha256_hex(text);
}

ResponseCache::Found ResponseCache::find(const std::string& key) {
  MutexLock lock(mutex_);
  const auto it = index_.find(key);
  if (it == index_.end()) return {};
  const int64_t now = clock_.mono_us();
  // Entries are dropped when they are met or displaced; no thread sweeps.
  if (it->second->stale_until_us <= now) {
    drop(it->second);
    return {};
  }
  entries_.splice(entries_.begin(), entries_, it->second);
  return {it->second->answer, it->second->fresh_until_us > now};
}

Result<std::unique_ptr<ResponseCache::Flight>> ResponseCache::begin_flight(
    const std::string& key, int wait_ms, bool stop_if_client_leaves) {
  std::shared_ptr<Event> landing;
  {
    const MutexLock lock(mutex_);
    std::shared_ptr<Event>& flight = flights_[key];
    if (!flight) {
      flight = std::make_shared<Event>();
      return std::make_unique<Flight>(*this, key);
    }
    landing = flight;
    ++waiting_;
  }
  // The event counts its one signal: 0 while the flight lasts, so that a landing between the look
  // above and this wait is not missed.
  const Waiter::Woken woken =
      wait_for_event(*landing, 0, std::max(wait_ms, 0), stop_if_client_leaves);
  {
    const MutexLock lock(mutex_);
    --waiting_;
  }
  if (woken == Waiter::Woken::kClientGone) return client_gone();
  return std::unique_ptr<Flight>();
}

// The answer is in the cache by now, or there is none. A call that comes from here on flies itself.
void ResponseCache::land(const std::string& key) {
  std::shared_ptr<Event> landing;
  {
    const MutexLock lock(mutex_);
    const auto it = flights_.find(key);
    landing = std::move(it->second);
    flights_.erase(it);
  }
  landing->signal();
}

size_t ResponseCache::waiting() const {
  MutexLock lock(mutex_);
  return waiting_;
}

uint64_t ResponseCache::generation() const {
  MutexLock lock(mutex_);
  return generation_;
}

void ResponseCache::put(const std::string& key, const AccountId& account, CachedAnswer answer,
                        int64_t ttl_s, size_t provider_entries_max, uint64_t generation) {
  const size_t size = answer.body->size() + kEntryOverheadBytes;
  if (ttl_s <= 0 || answer.body->size() > kCachedBodyMaxBytes || size > max_bytes_) return;
  MutexLock lock(mutex_);
  // A purge came between the question and the answer, so that the answer may be of before it.
  if (generation != generation_) return;
  if (const auto old = index_.find(key); old != index_.end()) drop(old->second);
  if (per_provider_[account.provider] >= provider_entries_max) {
    const auto oldest = std::find_if(entries_.rbegin(), entries_.rend(), [&](const Entry& entry) {
      return entry.account.provider == account.provider;
    });
    if (oldest != entries_.rend()) drop(std::prev(oldest.base()));
  }
  while (!entries_.empty() && size_bytes_ + size > max_bytes_) drop(std::prev(entries_.end()));
  const int64_t now = clock_.mono_us(), ttl_us = ttl_s * 1'000'000;
  entries_.push_front({key, account, std::move(answer), now + ttl_us, now + 2 * ttl_us, size});
  index_[key] = entries_.begin();
  per_provider_[account.provider]++;
  size_bytes_ += size;
}

void ResponseCache::drop(Entries::iterator it) {
  size_bytes_ -= it->size_bytes;
  per_provider_[it->account.provider]--;
  index_.erase(it->key);
  entries_.erase(it);
}

size_t ResponseCache::purge(std::string_view tenant, std::string_view provider,
                            std::string_view account) {
  MutexLock lock(mutex_);
  size_t count = 0;
  ++generation_;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto here = it++;
    const AccountId& id = here->account;
    if ((!tenant.empty() && id.tenant != tenant) ||
        (!provider.empty() && id.provider != provider) ||
        (!account.empty() && id.account != account)) {
      continue;
    }
    drop(here);
    ++count;
  }
  return count;
}

size_t ResponseCache::size_bytes() const {
  MutexLock lock(mutex_);
  return size_bytes_;
}
size_t ResponseCache::entries() const {
  MutexLock lock(mutex_);
  return entries_.size();
}

int64_t cacheable_s(std::string_view cache_control, int64_t ttl_s) {
  for (const std::string_view part : split(cache_control, ',')) {
    const std::string directive = lower_ascii(trim(part));
    if (directive == "no-store" || directive == "no-cache" || directive.starts_with("private")) {
      return 0;
    }
    if (!directive.starts_with("max-age=")) continue;
    const Result<uint64_t> seconds = parse_u64(directive.substr(8), "max-age");
    if (seconds.ok())
      ttl_s = std::min<int64_t>(ttl_s,
                                static_cast<int64_t>(std::min<uint64_t>(seconds.value(), 86'400)));
  }
  return ttl_s;
}

}  // namespace kvcs::gateway
