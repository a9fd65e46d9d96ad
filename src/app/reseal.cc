// Finds sealed texts in records and replaces them in place: the rest of a record stays as it is
// written, byte by byte.
#include "app/reseal.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "base/origins.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr size_t kNamesMax = 5;  // Of unreadable records that are named.

// A place of sealed texts: records of a prefix, the member (within `object` when that is not "")
// that holds the text, and the one that lists the origins it is bound to. A record that is no
// object is the text itself. `suffix` stands behind the record's key in the context.
struct SealedPlace {
  KvFamily family;
  std::string prefix;
  const char* object;
  const char* member;
  const char* origins;
  const char* suffix;
  bool audited;
};
// tests/app/reseal_test.cc has a record for each.
std::vector<SealedPlace> all_places() {
  // "idempotency:", of every scope.
  std::string answers = keyspace::idempotency("", "");
  answers.pop_back();
  return {
      {KvFamily::kTokens, std::string(keyspace::kTokenPrefix), "", "sealed", "origins", "", true},
      {KvFamily::kTokens, std::string(keyspace::kRefreshPrefix), "", "sealed", "origins", "", true},
      {KvFamily::kConfig, std::string(keyspace::kApiConfigPrefix), "auth", "client_secret_sealed",
       "client_secret_origins", "", true},
      {KvFamily::kConfig, std::string(keyspace::kApiConfigPrefix), "", "secrets_sealed",
       "secrets_origins", ":secrets", true},
      {KvFamily::kConfig, std::string(keyspace::kTenantConfigPrefix), "", "secrets_sealed", "",
       ":secrets", true},
      {KvFamily::kConfig, std::string(keyspace::kAiProviderPrefix), "", "sealed_api_key",
       "api_key_origins", "", true},
      // Of the records below "org:" only credentials hold a sealed text.
      {KvFamily::kConfig, std::string(keyspace::kOrgPrefix), "", "sealed", "origins", "", true},
      // Of the records below "person:" only second factors hold a sealed text.
      {KvFamily::kConfig, std::string(keyspace::kPersonPrefix), "", "sealed", "origins", "", true},
      // What lives for minutes or a day: tickets of consents, and answers under idempotency keys.
      {KvFamily::kSystem, keyspace::oauth_state(""), "", "sealed", "origins", "", false},
      {KvFamily::kSystem, std::move(answers), "", "sealed", "origins", "", false},
      {KvFamily::kSystem, std::string(keyspace::kDevIssuerKey), "", "", "", "", false},
  };
}

// A sealed text in a record, and what it is sealed for.
struct SealedText {
  std::string text, context;
};
std::optional<SealedText> find_sealed(const SealedPlace& place, const KvItem& item) {
  if (place.prefix == keyspace::kOrgPrefix && !keyspace::is_credential(item.key)) return {};
  const bool is_of_person = place.prefix == keyspace::kPersonPrefix;
  if (is_of_person && !item.key.ends_with(keyspace::kTotpSuffix)) return {};
  const std::string key = item.key + place.suffix;
  if (!item.entry.value.starts_with('{')) {
    if (Sealer::key_id_of(item.entry.value).empty()) return {};
    return SealedText{item.entry.value, key};
  }
  const Result<Json> record = parse_json(item.entry.value);
  if (!record.ok()) return {};
  const Json* holder = &*record;
  if (*place.object != '\0') {
    const auto inner = record->find(place.object);
    if (inner == record->end() || !inner->is_object()) return {};
    holder = &*inner;
  }
  std::string text = text_member(*holder, place.member);
  if (Sealer::key_id_of(text).empty()) return {};
  return SealedText{std::move(text), bound_context(key, origins_member(*holder, place.origins))};
}

Status for_each_sealed(const KvStore& kv,
                       const std::function<Status(const SealedPlace& place, const KvItem& item,
                                                  const SealedText& sealed)>& visit) {
  for (const SealedPlace& place : all_places()) {
    KVCS_TRY(kv_for_each(kv, place.family, place.prefix, [&](const KvItem& item) -> Status {
      const std::optional<SealedText> sealed = find_sealed(place, item);
      return sealed ? visit(place, item, *sealed) : ok();
    }));
  }
  return ok();
}

Result<std::string> proof_of(const KvStore& kv) {
  const Result<KvEntry> proof = kv.get(KvFamily::kSystem, keyspace::kMasterKeyCheck);
  if (proof.code() == Code::kNotFound) return std::string();
  if (!proof.ok()) return proof.status();
  return proof->value;
}

Status reseal_proof(KvStore& kv, const Sealer& sealer) {
  const std::string proof = KVCS_TRY(proof_of(kv));
  if (proof.empty() || Sealer::key_id_of(proof) == sealer.key_ids().front()) return ok();
  const Secret plain = KVCS_TRY(sealer.open(proof, keyspace::kMasterKeyCheck));
  const std::string key(keyspace::kMasterKeyCheck);
  KvBatch batch;
  batch.put(KvFamily::kSystem, key, sealer.seal(plain.reveal(), key));
  return kv.compare_and_swap(KvFamily::kSystem, key, proof, batch, KvDurability::kSynced);
}

}  // namespace

Result<SealedCounts> count_sealed(const KvStore& kv) {
  SealedCounts counts;
  KVCS_TRY(for_each_sealed(kv, [&](const SealedPlace&, const KvItem&, const SealedText& sealed) {
    ++counts[Sealer::key_id_of(sealed.text)];
    return ok();
  }));
  if (const std::string proof = KVCS_TRY(proof_of(kv)); !proof.empty()) {
    ++counts[Sealer::key_id_of(proof)];
  }
  return counts;
}

Result<ResealReport> reseal_all(KvStore& kv, AuditedKv& audited, const Sealer& sealer,
                                const AuditContext& who, const std::function<bool()>& cancelled) {
  ResealReport report;
  const std::string current = sealer.key_ids().front();
  const auto visit = [&](const SealedPlace& place, const KvItem& item,
                         const SealedText& sealed) -> Status {
    if (Sealer::key_id_of(sealed.text) == current) return ok();
    if (cancelled()) {
      ++report.left;
      return ok();
    }
    const Result<Secret> plain = sealer.open(sealed.text, sealed.context);
    if (!plain.ok()) {
      ++report.unreadable;
      log::error("reseal.unreadable",
                 {{"key", item.key}, {"master_key", Sealer::key_id_of(sealed.text)}});
      if (report.unreadable_keys.size() < kNamesMax) report.unreadable_keys.push_back(item.key);
      return ok();
    }
    KvEntry entry = item.entry;
    // A sealed text is base64url, so that it stands in JSON as it is.
    const size_t at = entry.value.find(sealed.text);
    entry.value.replace(at, sealed.text.size(), sealer.seal(plain->reveal(), sealed.context));
    KvBatch batch;
    batch.put(place.family, item.key, std::move(entry));
    const Status written =
        place.audited
            ? audited.compare_and_swap(place.family, item.key, item.entry.value, batch, who)
            : kv.compare_and_swap(place.family, item.key, item.entry.value, batch,
                                  KvDurability::kSynced);
    // Whoever wrote it meanwhile may have sealed with the earlier key: the next walk looks.
    if (written.code() == Code::kConflict) {
      ++report.left;
      return ok();
    }
    KVCS_TRY(Status(written));
    ++report.resealed;
    return ok();
  };
  KVCS_TRY(for_each_sealed(kv, visit));
  if (report.left == 0 && report.unreadable == 0) KVCS_TRY(reseal_proof(kv, sealer));
  return report;
}

}  // namespace kvcs
