// Handlers of /admin/kv: the store as operators see it. Sealed values and short-lived secrets are
// shown as "***"; writes go through the audit, and secrets that come in clear are sealed.
// Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/route_rows.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"

namespace kvcs {

class KvApi final {
 public:
  // Returns the value to store for one that a request writes: the same with its secrets sealed.
  using Seal =
      std::function<Result<std::string>(KvFamily family, std::string_view key, std::string value)>;
  // Returns the batch with whatever its records need beside them, such as an entry in a list.
  using Complete = std::function<Result<KvBatch>(const KvBatch& batch, const AuditContext& who)>;
  KvApi(KvStore& kv, AuditedKv& audited, const Clock& clock, Seal seal, Complete complete);

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // GET /admin/kv?prefix=&cursor=&limit=: keys of every family but the outbox, each with its own.
  Result<http::Response> browse(http::Request& request);
  // GET /admin/kv/{family}/keys?prefix=&cursor=&limit=
  Result<http::Response> list(http::Request& request);
  // GET /admin/kv/{family}/values/{key}
  Result<http::Response> get(http::Request& request);
  // PUT: the body is the value.
  Result<http::Response> put(http::Request& request);
  Result<http::Response> remove(http::Request& request);
  // GET /admin/kv/bulk?family=&prefix= : Workers KV bulk JSON, streamed; sealed values stay sealed.
  // Without family: all but the outbox.
  Result<http::Response> export_bulk(http::Request& request);
  // PUT: each key goes where keyspace::family_of_key says.
  Result<http::Response> import_bulk(http::Request& request);

 private:
  Result<KvBatch> sealed(const KvBatch& batch) const;
  Status write(const KvBatch& batch, const AuditContext& who);

  KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  const Seal seal_;
  const Complete complete_;
};

// True when people must not see the value: credentials, tokens, sign-in states, kept answers.
bool is_hidden_kv_value(KvFamily family, std::string_view key);

}  // namespace kvcs
