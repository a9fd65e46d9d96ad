// Sessions: a person who has signed in, in a browser or on a command line. The token, ks_<64 hex>,
// is random, given once and never stored; its SHA-256 is the key of the record. A session ends when
// it is revoked, when it is not used for `idle_s`, and `lifetime_s` after it began at the latest.
// Thread-safe.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"
#include "kv/audited_kv.h"

namespace kvcs {

inline constexpr std::string_view kSessionTokenPrefix = "ks_";
// Beyond it the oldest ends, after those that have ended already.
inline constexpr size_t kSessionsPerPersonMax = 50;

struct SessionLimits {
  int64_t idle_s = 14 * 86'400;
  int64_t lifetime_s = 90 * 86'400;
};

struct Session {
  std::string id;  // UUID, in order of time; shown to the person, and not secret.
  std::string person_id;
  std::string token_hash;
  std::string organization_id, project_id;  // The active ones; "" = none.
  std::string provider;             // How the person signed in: "password", an issuer's name.
  std::string address, user_agent;  // Of the sign-in, for people.
  std::string device;               // A name, of a device that its person has let in.
  int64_t created_ms = 0, expires_ms = 0;
  // Unix milliseconds of the last use that is known. Owners: every copy of this record, so that a
  // use that one request notes is seen by the next.
  std::shared_ptr<std::atomic<int64_t>> used_ms;

  bool has_ended(int64_t now_ms, const SessionLimits& limits) const;
};

std::string session_to_json(const Session& session);
Result<Session> parse_session(std::string_view json);  // Internal when the record is damaged.

// What a new session is for; the service makes the rest.
struct NewSession {
  std::string person_id, organization_id, project_id, provider, address, user_agent, device;
};
struct StartedSession {
  Session session;
  Secret token;
};

class SessionService final {
 public:
  // All outlive it.
  SessionService(KvStore& kv, AuditedKv& audited, const Clock& clock, Entropy& entropy,
                 const SessionLimits& limits);

  // `write` writes the records, with whatever is spent for them in the same write; empty: start()
  // does. Its failure is returned, and there is no session.
  using Write = std::function<Status(const KvBatch& records)>;
  Result<StartedSession> start(const NewSession& wanted, const AuditContext& who,
                               const Write& write = {});
  // Those that have not ended, the newest first.
  Result<std::vector<Session>> list(std::string_view person_id) const;
  // NotFound with reason session_not_found, for another person's too.
  Status end(std::string_view person_id, std::string_view session_id, const AuditContext& who);
  // What ends the session of this token, whosever it is; empty when there is none.
  Result<KvBatch> ending_token(const Secret& token) const;
  // Ends those that began through this provider, also those that begin meanwhile: whoever takes
  // away what a sign-in goes by does so before, and start()'s caller looks at it again behind it.
  Status end_of_provider(std::string_view person_id, std::string_view provider,
                         const AuditContext& who);
  // What ends all sessions of the person but `kept_id`, to be written with whatever ends them. The
  // store is asked for them and not the clock, by which one may have ended for a while only.
  Result<KvBatch> ending(std::string_view person_id, std::string_view kept_id) const;
  // Ends them, also those that begin meanwhile, as end_of_provider().
  Status end_all(std::string_view person_id, std::string_view kept_id, const AuditContext& who);
  // Changes the active organization and project. Unauthenticated when the session has ended.
  Status set_active(std::string_view token_hash, std::string_view organization_id,
                    std::string_view project_id);
  const SessionLimits& limits() const { return limits_; }

 private:
  Result<Session> read(std::string_view token_hash) const;
  Result<std::vector<Session>> stored(std::string_view person_id) const;  // The newest first.
  using Which = std::function<bool(const Session& session)>;
  Status end_each(std::string_view person_id, const Which& which, const AuditContext& who);

  KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  Entropy& entropy_;
  const SessionLimits limits_;
};

}  // namespace kvcs
