// The providers that calls can go to: the shipped catalogue (config/providers/*.yaml), read once,
// and over it the records of `api_config:{provider}` in KV. A stored record is a JSON merge patch
// (RFC 7396) of the catalogue's entry of that name, so that {"auth":{"client_id":…}} is enough to
// use one with an OAuth client of one's own; for a new provider it is the whole record. The client
// secret and the named secrets are stored sealed, for the origins of the URLs that the record had
// when they were given; what a PUT does not mention of them stays.
//
// Owned by App; thread-safe. Reads are cached and dropped by the write.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "gateway/catalogue/provider_record.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"
#include "kv/record_cache.h"

namespace kvcs::gateway {

inline constexpr size_t kProvidersMax = 5'000;

// Name → the record as JSON text.
using Catalogue = std::map<std::string, std::string, std::less<>>;
// Every *.yaml of the directory. Invalid: "<file>, line 7: …" for the first fault; Unavailable when
// a file cannot be read. A directory that does not exist is an empty catalogue.
Result<Catalogue> load_catalogue(const std::string& directory);
// One file's text; `file_name` is what faults are prefixed with.
Result<std::pair<std::string, std::string>> parse_catalogue_file(std::string_view yaml,
                                                                 std::string_view file_name);

class ProviderDirectory final {
 public:
  ProviderDirectory(const KvStore& kv, AuditedKv& audited, WatchedKv& changes, const Sealer& sealer,
                    Catalogue catalogue);

  // NotFound with reason CONFIG_MISSING. Internal when the stored record does not fit.
  using Pointer = std::shared_ptr<const Provider>;  // The cache and the request.
  Result<Pointer> find(std::string_view id) const;
  // Names of all, sorted.
  Result<std::vector<std::string>> list() const;
  bool in_catalogue(std::string_view id) const { return catalogue_.contains(id); }
  bool is_stored(std::string_view id) const;

  // Stores `record` (see above) in place of what was stored; a client secret that it does not
  // mention stays. Invalid names the member. Conflict with reason secret_origin_changed when the
  // secret would stay and was not given for the record's URLs; `rebind`, an owner's word, carries
  // it over.
  Status put(std::string_view id, const Json& record, const AuditContext& who,
             std::string_view if_match = {}, bool rebind = false);
  Result<std::string> etag(std::string_view id) const;  // See kv/if_match.h.
  // Returns the record to store for one that comes from elsewhere: its secrets sealed.
  std::string seal_record(std::string_view key, std::string value) const;
  // Binds client secrets of before, which are bound to nothing, to the origins that their records
  // have now, and seals credentials that stand among the headers; how many records. Once, at a
  // start.
  Result<int64_t> bind_unbound(const AuditContext& who);
  // Removes what is stored; a catalogue entry then counts again. NotFound when nothing is.
  Status remove(std::string_view id, const AuditContext& who);

 private:
  Result<Json> merged(std::string_view id, const Json& stored) const;
  Origins origins_of_record(std::string_view id, const Json& stored) const;
  Status seal_secrets(Json& stored, std::string_view id, const Json& old, const Origins& wanted,
                      bool rebind) const;
  bool seal_client_secret(Json& auth, std::string_view key, const Origins& origins) const;
  Status keep_client_secret(Json& auth, std::string_view id, const Json& old_auth,
                            const Origins& wanted, bool rebind) const;
  Result<Provider> load(std::string_view id, std::string_view key) const;

  const KvStore& kv_;
  AuditedKv& audited_;
  const Sealer& sealer_;
  const Catalogue catalogue_;
  mutable RecordCache<Provider> cache_;
};

}  // namespace kvcs::gateway
