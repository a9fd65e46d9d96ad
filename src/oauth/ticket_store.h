// Secrets that work once: the tickets of links and the states of consents in the browser. A ticket
// is a record `oauth_state:{sha256 hex of "{kind}:{secret}"}` of the system family, sealed with its
// key as the context, so that the store alone gives neither the secret nor what it stands for.
// Taking a ticket is a compare-and-swap: of two requests with the same secret one gets the record,
// and the other is told that the ticket is gone. No state in memory; thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"
#include "kv/kv.h"

namespace kvcs::oauth {

// 256 random bits as base64url: for tickets, states, PKCE verifiers and cookies.
std::string make_one_time_secret(Entropy& entropy);

class TicketStore final {
 public:
  // All outlive it. `kind` names the door: a ticket is good at the one that it was made for alone.
  // `clock`: KeptClock::latest().
  TicketStore(std::string_view kind, KvStore& kv, const Sealer& sealer, const Clock& clock)
      : kind_(kind), kv_(kv), sealer_(sealer), clock_(clock) {}

  // The ticket that keeps `record` under `secret` for `lifetime_s`, to be written with kSynced.
  // `owner` is the tenant with which the ticket goes ("" = none); it stands in the metadata, in
  // clear.
  KvBatch make(std::string_view secret, std::string_view record, int64_t lifetime_s,
               std::string_view owner = {}) const;
  // Writes it; synced before it returns.
  Status put(std::string_view secret, std::string_view record, int64_t lifetime_s,
             std::string_view owner = {});
  // The record, which is gone afterwards. NotFound, in words for a person, when it never was, has
  // expired or was taken. `exchange` makes of it what is written in the same write, which may be
  // the ticket of the same secret with another record; its failure is returned, and leaves the
  // ticket as it is. So whatever reads the store for the sake of a ticket does it there.
  using Exchange = std::function<Result<KvBatch>(const Secret& record)>;
  Result<Secret> take(std::string_view secret, const Exchange& exchange = {});

 private:
  std::string key_of(std::string_view secret) const;

  const std::string kind_;
  KvStore& kv_;
  const Sealer& sealer_;
  const Clock& clock_;
};

}  // namespace kvcs::oauth
