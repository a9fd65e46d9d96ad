// Writes records of sessions. Each stands in two places, under the hash of its token and in its
// person's list, and both are written by one batch.
#include "identity/sessions.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "identity/records.h"
#include "kv/keyspace.h"
#include "kv/last_used.h"

namespace kvcs {
namespace {

constexpr size_t kTokenRandomBytes = 32;
// What a browser says of itself is kept for its owner to tell sessions apart.
constexpr size_t kUserAgentShownBytes = 200;
constexpr int kEndAttemptsMax = 8, kRaceAttemptsMax = 8;

Status no_such_session(std::string_view id) {
  return not_found("No session '" + printable(id, kShownName) + "'.")
      .with_reason("session_not_found");
}

// With an end in the store itself, so that what nobody looks at any more is reclaimed.
KvEntry entry_of(std::string value, const Session& session) {
  return {std::move(value), {}, session.expires_ms / 1000};
}

void remove_session(KvBatch& batch, const Session& session) {
  batch.remove(KvFamily::kSystem, keyspace::session(session.token_hash));
  batch.remove(KvFamily::kSystem, keyspace::session_of(session.person_id, session.id));
}

}  // namespace

bool Session::has_ended(int64_t now_ms, const SessionLimits& limits) const {
  const int64_t last_ms = std::max(created_ms, used_ms ? used_ms->load() : 0);
  return now_ms >= expires_ms || now_ms - last_ms >= limits.idle_s * 1000;
}

std::string session_to_json(const Session& session) {
  return dump_json(Json{{"session_id", session.id},
                        {"person_id", session.person_id},
                        {"organization_id", session.organization_id},
                        {"project_id", session.project_id},
                        {"provider", session.provider},
                        {"address", session.address},
                        {"user_agent", session.user_agent},
                        {"device", session.device},
                        {"created_at", time_json(session.created_ms)},
                        {"expires_at", time_json(session.expires_ms)}});
}

Result<Session> parse_session(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json.ok()) return internal("damaged session record: " + json.status().message());
  Session session;
  session.id = text_member(*json, "session_id");
  session.person_id = text_member(*json, "person_id");
  session.organization_id = text_member(*json, "organization_id");
  session.project_id = text_member(*json, "project_id");
  session.provider = text_member(*json, "provider");
  session.address = text_member(*json, "address");
  session.user_agent = text_member(*json, "user_agent");
  session.device = text_member(*json, "device");
  const Result<int64_t> created = parse_iso8601_ms(text_member(*json, "created_at"));
  const Result<int64_t> expires = parse_iso8601_ms(text_member(*json, "expires_at"));
  if (session.id.empty() || session.person_id.empty() || !created.ok() || !expires.ok()) {
    return internal("damaged session record: a member is missing");
  }
  session.created_ms = created.value();
  session.expires_ms = expires.value();
  return session;
}

SessionService::SessionService(KvStore& kv, AuditedKv& audited, const Clock& clock,
                               Entropy& entropy, const SessionLimits& limits)
    : kv_(kv), audited_(audited), clock_(clock), entropy_(entropy), limits_(limits) {}

Result<Session> SessionService::read(std::string_view token_hash) const {
  const KvEntry entry = KVCS_TRY(kv_.get(KvFamily::kSystem, keyspace::session(token_hash)));
  Session session = KVCS_TRY(parse_session(entry.value));
  session.token_hash = token_hash;
  session.used_ms = std::make_shared<std::atomic<int64_t>>(find_last_used_ms(kv_, session.id));
  return session;
}

Result<StartedSession> SessionService::start(const NewSession& wanted, const AuditContext& who,
                                             const Write& write) {
  StartedSession started;
  started.token =
      Secret(std::string(kSessionTokenPrefix) + to_hex(entropy_.bytes(kTokenRandomBytes)));
  Session& session = started.session;
  session.created_ms = clock_.unix_ms();
  session.expires_ms = session.created_ms + limits_.lifetime_s * 1000;
  session.id = make_uuid_v7(entropy_, session.created_ms);
  session.person_id = wanted.person_id;
  session.token_hash = sha256_hex(started.token.reveal());
  session.organization_id = wanted.organization_id;
  session.project_id = wanted.project_id;
  session.provider = wanted.provider;
  session.address = wanted.address;
  session.user_agent = printable(wanted.user_agent, kUserAgentShownBytes);
  session.device = wanted.device;
  KvBatch batch;
  batch.put(KvFamily::kSystem, keyspace::session(session.token_hash),
            entry_of(session_to_json(session), session));
  batch.put(KvFamily::kSystem, keyspace::session_of(session.person_id, session.id),
            entry_of(session.token_hash, session));
  // Those that have ended go before any that somebody may be in. While the clock is far ahead all
  // have, and the oldest go.
  std::vector<Session> present = KVCS_TRY(stored(wanted.person_id));
  std::stable_partition(present.begin(), present.end(), [&](const Session& one) {
    return !one.has_ended(session.created_ms, limits_);
  });
  for (size_t i = kSessionsPerPersonMax - 1; i < present.size(); i++) {
    remove_session(batch, present[i]);
  }
  KVCS_TRY(write ? write(batch) : audited_.write(batch, who));
  return started;
}

// Whether they have ended or not: the clock may be wrong for a while.
Result<std::vector<Session>> SessionService::stored(std::string_view person_id) const {
  std::vector<Session> sessions;
  const auto add = [&](const KvItem& item) -> Status {
    Result<Session> session = read(item.entry.value);
    if (session.code() == Code::kNotFound) return ok();
    KVCS_TRY(session.status());
    sessions.push_back(std::move(*session));
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kSystem, keyspace::session_of_prefix(person_id), add));
  std::reverse(sessions.begin(), sessions.end());
  return sessions;
}

Result<std::vector<Session>> SessionService::list(std::string_view person_id) const {
  std::vector<Session> sessions = KVCS_TRY(stored(person_id));
  const int64_t now_ms = clock_.unix_ms();
  std::erase_if(sessions, [&](const Session& one) { return one.has_ended(now_ms, limits_); });
  return sessions;
}

Status SessionService::end(std::string_view person_id, std::string_view session_id,
                           const AuditContext& who) {
  if (!is_uuid(session_id)) return no_such_session(session_id);
  const Result<KvEntry> hash =
      kv_.get(KvFamily::kSystem, keyspace::session_of(person_id, session_id));
  if (hash.code() == Code::kNotFound) return no_such_session(session_id);
  KVCS_TRY(hash.status());
  Session session;
  session.id = session_id;
  session.person_id = person_id;
  session.token_hash = hash->value;
  KvBatch batch;
  remove_session(batch, session);
  return audited_.write(batch, who);
}

Result<KvBatch> SessionService::ending_token(const Secret& token) const {
  const Result<Session> session = read(sha256_hex(token.reveal()));
  KvBatch batch;
  if (session.code() == Code::kNotFound) return batch;
  KVCS_TRY(session.status());
  remove_session(batch, *session);
  return batch;
}

// All that are stored: one that has ended by a clock which is ahead would be back with the clock.
Result<KvBatch> SessionService::ending(std::string_view person_id, std::string_view kept_id) const {
  KvBatch batch;
  for (const Session& session : KVCS_TRY(stored(person_id))) {
    if (session.id != kept_id) remove_session(batch, session);
  }
  return batch;
}

// Until a look finds none: one that began between a look and its write is met by the next.
Status SessionService::end_each(std::string_view person_id, const Which& which,
                                const AuditContext& who) {
  for (int attempt = 0; attempt < kEndAttemptsMax; attempt++) {
    KvBatch batch;
    for (const Session& session : KVCS_TRY(stored(person_id))) {
      if (which(session)) remove_session(batch, session);
    }
    if (batch.empty()) return ok();
    KVCS_TRY(audited_.write(batch, who));
  }
  return unavailable("Sessions of this person go on beginning while they are ended. Try again.")
      .with_retry_after_s(1);
}

Status SessionService::end_of_provider(std::string_view person_id, std::string_view provider,
                                       const AuditContext& who) {
  const auto is_of_it = [&](const Session& session) { return session.provider == provider; };
  return end_each(person_id, is_of_it, who);
}

Status SessionService::end_all(std::string_view person_id, std::string_view kept_id,
                               const AuditContext& who) {
  const auto is_other = [&](const Session& session) { return session.id != kept_id; };
  return end_each(person_id, is_other, who);
}

// What is active is a person's view and no right, so that it leaves no record in the audit. The
// swap fails when the session was changed meanwhile, as by another tab; only one that is there no
// longer has ended.
Status SessionService::set_active(std::string_view token_hash, std::string_view organization_id,
                                  std::string_view project_id) {
  const std::string key = keyspace::session(token_hash);
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    const Result<KvEntry> entry = kv_.get(KvFamily::kSystem, key);
    if (entry.code() == Code::kNotFound) {
      return unauthenticated("The session has ended. Sign in again.").with_reason("session_ended");
    }
    KVCS_TRY(entry.status());
    Session session = KVCS_TRY(parse_session(entry->value));
    session.organization_id = organization_id;
    session.project_id = project_id;
    KvBatch batch;
    batch.put(KvFamily::kSystem, key, entry_of(session_to_json(session), session));
    Status stored =
        kv_.compare_and_swap(KvFamily::kSystem, key, entry->value, batch, KvDurability::kSynced);
    if (stored.code() != Code::kConflict) return stored;
  }
  return unavailable("What is active is being changed by others of this session. Try again.")
      .with_retry_after_s(1);
}

}  // namespace kvcs
