// The master keys of a running daemon: which there are and what each still holds, a new one, and
// the walk that seals with it what an earlier one has sealed. The routes below /admin/master-keys,
// the job `reseal` and SIGHUP use it. Owned by App; thread-safe.
#pragma once
#include <functional>
#include <span>
#include <string>

#include "base/crypto.h"
#include "base/entropy.h"
#include "base/json.h"
#include "base/mutex.h"
#include "http/route_rows.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"

namespace kvcs {

class MasterKeys final {
 public:
  // So many keys at most are loaded: one seals, the others wait for the walk and for backups.
  static constexpr size_t kKeysMax = 8;

  struct Parts {
    KvStore& kv;
    AuditedKv& audited;
    Sealer& sealer;
    Entropy& entropy;
    std::string file;  // master.key, where the keys come from it; else "".
    // Called when the keys have changed: whatever is derived from them is derived anew.
    std::function<void()> changed;
    std::function<Status()> start_walk;  // The job.
  };
  explicit MasterKeys(Parts parts) : parts_(std::move(parts)) {}

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();
  Result<http::Response> show(http::Request& request);    // GET /admin/master-keys
  Result<http::Response> rotate(http::Request& request);  // POST …/rotate

  // A new first line in the file, which seals from then on; the earlier keys go on opening.
  // Conflict when the keys do not come from the file, or there are kKeysMax already.
  Status add_key(const AuditContext& who);
  // Reads the file again. Invalid: a line that is no key, or a key is gone that is still needed.
  Status read_again();
  // The job: "" when no earlier key holds anything.
  Result<std::string> reseal(const std::function<bool()>& cancelled);

 private:
  // Conflict, reason master_key_not_written: why the file is as it was.
  Status write_keys(const Secret& text) const;
  Result<Json> describe() const;
  Status load_file() KVCS_REQUIRES(mutex_);

  const Parts parts_;
  Mutex mutex_;  // Over a change of the file and the keys that follow from it.
};

}  // namespace kvcs
