// Organizations, users, keys, people and sessions as the hot path reads them: parsed once, kept in
// memory, dropped by the write that changes them, so that a suspension or revocation counts on the
// next request. Owned by App, shared by the authenticator and the doors. Thread-safe.
//
// While the store is down, what is in memory still answers: it is exactly what was last written.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "identity/members.h"
#include "identity/people.h"
#include "identity/records.h"
#include "identity/sessions.h"
#include "kv/kv.h"
#include "kv/record_cache.h"

namespace kvcs {

class Directory final {
 public:
  // Registers with `changes`, which must be the store that every write goes through.
  Directory(const KvStore& kv, WatchedKv& changes, size_t keys_max = 100'000);

  // NotFound; Unavailable when the store does not answer; Internal when the record is damaged.
  Result<std::shared_ptr<const Organization>> organization(std::string_view id) const;
  Result<std::shared_ptr<const User>> user(std::string_view id) const;
  // `kind` says which table: kUserKey, kProjectKey and kOrganizationKey share apikey:, the others
  // have their own.
  Result<std::shared_ptr<const KeyRecord>> key(PrincipalKind kind,
                                               std::string_view sha256_hex) const;
  // By its first slug, the tenant's name.
  Result<std::shared_ptr<const Organization>> organization_by_slug(std::string_view slug) const;
  Result<std::shared_ptr<const Session>> session(std::string_view token_sha256_hex) const;
  Result<std::shared_ptr<const Person>> person(std::string_view id) const;
  // Where the person's bearers act; empty ids when nothing was chosen.
  Result<std::shared_ptr<const ActivePlace>> active_place(std::string_view person_id) const;
  // The members of an organization; empty when it has none.
  Result<std::shared_ptr<const Roster>> roster(std::string_view organization_id) const;

 private:
  void forget(KvFamily family, std::string_view key);

  const KvStore& kv_;
  mutable RecordCache<Organization> organizations_;
  mutable RecordCache<User> users_;
  mutable RecordCache<KeyRecord> keys_;
  mutable RecordCache<std::string> slugs_;
  mutable RecordCache<Session> sessions_;
  mutable RecordCache<Person> people_;
  mutable RecordCache<ActivePlace> active_places_;
  mutable RecordCache<Roster> rosters_;
};

}  // namespace kvcs
