// One-time tickets in KV: a sealed record per secret, removed by whoever reads it first.
#include "oauth/ticket_store.h"

#include "base/bytes.h"
#include "base/json.h"
#include "kv/keyspace.h"

namespace kvcs::oauth {
namespace {

constexpr size_t kSecretBytes = 32;

}  // namespace

std::string make_one_time_secret(Entropy& entropy) {
  return to_base64url(entropy.bytes(kSecretBytes));
}

// The store never sees the secret itself: whoever reads a backup cannot use a link from it.
std::string TicketStore::key_of(std::string_view secret) const {
  return keyspace::oauth_state(sha256_hex(kind_ + ":" + std::string(secret)));
}

KvBatch TicketStore::make(std::string_view secret, std::string_view record, int64_t lifetime_s,
                          std::string_view owner) const {
  const std::string key = key_of(secret);
  std::string metadata;
  if (!owner.empty()) append_json_string(metadata, owner);
  KvBatch batch;
  batch.put(KvFamily::kSystem, key,
            KvEntry{sealer_.seal(record, key), metadata, clock_.unix_s() + lifetime_s});
  return batch;
}

Status TicketStore::put(std::string_view secret, std::string_view record, int64_t lifetime_s,
                        std::string_view owner) {
  const KvBatch batch = make(secret, record, lifetime_s, owner);
  return kv_.write(batch, KvDurability::kSynced);
}

Result<Secret> TicketStore::take(std::string_view secret, const Exchange& exchange) {
  const std::string key = key_of(secret);
  const Status gone = not_found("This link has expired or was used already; ask for a new one.");
  const Result<KvEntry> entry = kv_get_live(kv_, KvFamily::kSystem, key, clock_);
  if (entry.code() == Code::kNotFound) return gone;
  if (!entry.ok()) return entry.status();
  // A record that cannot be opened is left where it is: it is a fault of the store or of the key,
  // and not the caller's use of the ticket.
  Secret opened = KVCS_TRY(sealer_.open(entry.value().value, key));
  KvBatch batch;
  batch.remove(KvFamily::kSystem, key);
  if (exchange) batch.append(KVCS_TRY(exchange(opened)));
  // The removal is synced before the record counts, so that a ticket that was used cannot come
  // back with a power cut.
  const Status taken = kv_.compare_and_swap(KvFamily::kSystem, key, entry.value().value, batch,
                                            KvDurability::kSynced);
  if (taken.code() == Code::kConflict) return gone;
  if (!taken.ok()) return taken;
  return opened;
}

}  // namespace kvcs::oauth
