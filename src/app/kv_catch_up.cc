// Brings a key-value store that lacks its last writes up to what other stores know of them. The
// audit has of each write the digest of the value: with it the value can be told to be the right
// one wherever it is found, and the store's own to be an old one.
#include <algorithm>
#include <map>
#include <set>

#include "ai/budget/budget_ledger.h"
#include "app/deletion_recall.h"
#include "app/deletion_record.h"
#include "app/kv_rescue.h"
#include "app/store_look.h"
#include "app/usage_sums.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "db/db.h"
#include "identity/keys.h"
#include "identity/records.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"
#include "kv/kv.h"
#include "kv/outbox.h"
#include "ledger/audit.h"
#include "ledger/audit_head.h"
#include "ledger/usage_report.h"

namespace kvcs {
namespace {

constexpr size_t kNamesMax = 20;  // Of records that are named one by one.
constexpr size_t kCountersPerWrite = 1000;

using Place = std::pair<KvFamily, std::string>;

// Text for people: what is counted, or "" of nothing.
std::string some(int64_t count, const std::string& one, const std::string& many) {
  return count == 0 ? "" : std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

class CatchUp final {
 public:
  CatchUp(KvStore& kv, const KvStore* behind, Database* ledger, const Clock& clock,
          Entropy& entropy)
      : kv_(kv),
        behind_(behind),
        ledger_(ledger),
        clock_(clock),
        audited_(kv, clock, entropy),
        keys_(kv, audited_, clock, entropy) {}

  Status settle_counters() {
    KVCS_TRY(raise_counters());
    return kv_.sync();
  }

  Status run(std::vector<std::string>& told) {
    KVCS_TRY(bring_back_outbox());
    KVCS_TRY(read_audit());
    // While the records are there that say whose name an owner had.
    recalled_ = KVCS_TRY(recall_deletions(kv_, behind_, audited_, last_, who_));
    for (const auto& [place, row] : last_) KVCS_TRY(compare(place, row));
    KVCS_TRY(raise_counters());
    KVCS_TRY(note_audit_head());
    KVCS_TRY(kv_.sync());
    tell(told);
    return ok();
  }

 private:
  // Records are moved once more where they were moved already: SQL takes each id once.
  Status bring_back_outbox() {
    if (behind_ == nullptr) return ok();
    return kv_for_each(*behind_, KvFamily::kOutbox, "", [this](const KvItem& item) -> Status {
      if (KVCS_TRY(find_entry(kv_, KvFamily::kOutbox, item.key))) return ok();
      KvBatch batch;
      batch.put(KvFamily::kOutbox, item.key, item.entry);
      outbox_++;
      return kv_.write(batch, KvDurability::kBuffered);
    });
  }

  void note(const AuditRow& row) {
    const auto family = parse_kv_family(row.family);
    if (!family.ok() || *family == KvFamily::kOutbox || *family == KvFamily::kQuota) return;
    AuditRow& last = last_[{*family, row.key}];
    if (std::tie(row.ts_ms, row.id) > std::tie(last.ts_ms, last.id)) last = row;
  }

  // What is in SQL, and what is on its way there.
  Status read_audit() {
    if (ledger_ != nullptr) {
      KVCS_TRY(for_each_last_audit(*ledger_, [this](const AuditRow& row) {
        note(row);
        return ok();
      }));
    }
    return for_each_in_outbox(kv_, [this](const OutboxRecord& record) {
      if (record.kind != "audit") return ok();
      if (const auto row = parse_audit(record); row.ok()) note(*row);
      return ok();
    });
  }

  Status compare(const Place& place, const AuditRow& row) {
    const auto now = KVCS_TRY(find_entry(kv_, place.first, place.second));
    if (place.first == KvFamily::kSystem && parse_deletion_key(place.second)) {
      // How far a deletion has come is no part of the audit.
      if (recalled_.keys.contains(place.second) || row.action != "delete") return ok();
    }
    const bool is_key = place.first == KvFamily::kAuth;
    if (row.action == "delete") {
      if (!now) return ok();
      KvBatch batch;
      batch.remove(place.first, place.second);
      (is_key ? revoked_ : removed_)++;
      return write(batch);
    }
    if (now && sha256_hex(now->value) == row.new_hash) return ok();
    // The owner's list of a key that was closed says so.
    if (closed_.contains(place.second.substr(place.second.rfind(':') + 1))) return ok();
    if (behind_ != nullptr) {
      // Unreadable in one place is no reason not to close the key in the other.
      const auto found = find_entry(*behind_, place.first, place.second);
      if (found.ok() && *found && sha256_hex((*found)->value) == row.new_hash) {
        KvBatch batch;
        batch.put(place.first, place.second, **found);
        put_back_++;
        return write(batch);
      }
    }
    if (is_key && now) return close(place, now->value);
    // What is not there may have ended by itself since.
    if (now) unknown_.push_back(row);
    if (!now && place.first == KvFamily::kConfig) gone_.push_back(row);  // These never do.
    return ok();
  }

  // The record of a key is older than its last change, which may have been its revocation.
  Status close(const Place& place, const std::string& value) {
    const auto key = parse_key(value, PrincipalKind::kProjectKey);
    if (key.ok()) {
      if (key->status == KeyStatus::kRevoked) return ok();
      const KeyOwner owner{key->kind, key->organization_id, key->project_id, key->user_id};
      (void)keys_.revoke(owner, key->id, who_);
      closed_.insert(key->id);
    }
    // Where it could not be revoked by its owner's list it is taken away.
    const auto after = KVCS_TRY(find_entry(kv_, place.first, place.second));
    const auto revoked = after ? parse_key(after->value, PrincipalKind::kProjectKey)
                               : Result<KeyRecord>(not_found("gone"));
    doubtful_++;
    if (!after || (revoked.ok() && revoked->status == KeyStatus::kRevoked)) return ok();
    KvBatch batch;
    batch.remove(place.first, place.second);
    return write(batch);
  }

  Status write(const KvBatch& batch) { return audited_.write(batch, who_); }

  // From here on the store knows all rows that are there.
  Status note_audit_head() {
    if (ledger_ == nullptr) return ok();
    const std::string head = KVCS_TRY(read_audit_head(*ledger_));
    if (head.empty()) return ok();
    KvBatch batch;
    batch.put(KvFamily::kSystem, std::string(keyspace::kAuditHead), head);
    return kv_.write(batch, KvDurability::kBuffered);
  }

  struct Owner {
    std::string kind, id, month;
    auto operator<=>(const Owner&) const = default;
  };

  Status raise_counters() {
    std::map<Owner, ai::BudgetView> sums;
    for (const char* kind : {"key", "user", "org"}) {
      if (ledger_ == nullptr) break;
      KVCS_TRY(for_each_usage_sum(
          *ledger_, kind,
          [&](const std::string& id, const std::string& period, const UsageGroup& sum) {
            sums[{kind, id, period}] = {sum.cost_nano_usd, 0, sum.requests, sum.failures, period};
            return ok();
          }));
    }
    KVCS_TRY(add_waiting(sums));
    KVCS_TRY(add_counted(sums));
    KvBatch batch;
    for (const auto& [owner, sum] : sums) {
      const bool raised =
          KVCS_TRY(ai::raise_counter(kv_, owner.kind, owner.id, sum, clock_.unix_ms(), batch));
      raised_ += raised ? 1 : 0;
      if (batch.ops().size() < kCountersPerWrite) continue;
      KVCS_TRY(kv_.write(batch, KvDurability::kBuffered));
      batch = {};
    }
    return batch.empty() ? ok() : kv_.write(batch, KvDurability::kBuffered);
  }

  Status add_waiting(std::map<Owner, ai::BudgetView>& sums) const {
    return for_each_waiting_usage(kv_, ledger_, [&](const UsageRecord& row) {
      const Owner owners[] = {{"key", row.key_id, row.period},
                              {"user", row.user_id, row.period},
                              {"org", row.organization_id, row.period}};
      for (const Owner& owner : owners) {
        if (owner.id.empty()) continue;
        ai::BudgetView& sum = sums[owner];
        sum.month = row.period;
        sum.used_nano_usd += row.cost_nano_usd;
        sum.request_count += counts_as_request(row) ? 1 : 0;
        sum.error_count += counts_as_request(row) && row.status >= 400 ? 1 : 0;
      }
      return ok();
    });
  }

  // Organizations of which no row is left.
  Status add_counted(std::map<Owner, ai::BudgetView>& sums) const {
    std::string prefix = keyspace::quota("org", "", "");
    prefix.pop_back();  // All organizations, whatever their ids.
    return kv_for_each(kv_, KvFamily::kQuota, prefix, [&](const KvItem& item) {
      const size_t colon = item.key.rfind(':');
      if (colon < prefix.size()) return ok();
      const std::string month = item.key.substr(colon + 1);
      sums[{"org", item.key.substr(prefix.size(), colon - prefix.size()), month}].month = month;
      return ok();
    });
  }

  void tell(std::vector<std::string>& told) const {
    const std::string again = joined(
        {some(revoked_, "key that was removed is so again", "keys that were removed are so again"),
         some(put_back_, "record has its last value again", "records have their last values again"),
         some(removed_, "other record is removed again", "other records are removed again"),
         some(outbox_, "group of rows is on its way to ledger.db again",
              "groups of rows are on their way to ledger.db again"),
         some(raised_, "counter is raised to its rows", "counters are raised to their rows")});
    told.push_back("Made good from audit, usage rows and what is whole behind: " +
                   (again.empty() ? "nothing was to be." : again + "."));
    told.insert(told.end(), recalled_.told.begin(), recalled_.told.end());
    if (doubtful_ > 0) {
      told.push_back(some(doubtful_, "key", "keys") +
                     " whose last change is known to the audit and lost: it may have been the "
                     "revocation, hence revoked now.");
    }
    if (ledger_ == nullptr) {
      told.emplace_back(
          "Keys that were revoked since may work again, and counters may be below their rows: "
          "ledger.db, which would tell, cannot be read.");
      return;
    }
    told.emplace_back(
        "Not known at all: what was changed without the audit's record having reached ledger.db, "
        "in the last moments. Look through keys, users and budgets.");
    for (size_t i = 0; i < unknown_.size() && i < kNamesMax; i++) {
      const AuditRow& row = unknown_[i];
      told.push_back("An older value is kept of " + printable(row.key) + ", last changed at " +
                     format_iso8601_ms(row.ts_ms) + " by " + printable(row.actor) + ".");
    }
    for (size_t i = 0; i < gone_.size() && i < kNamesMax; i++) {
      told.push_back("Lost is " + printable(gone_[i].key) + ", last changed at " +
                     format_iso8601_ms(gone_[i].ts_ms) + " by " + printable(gone_[i].actor) + ".");
    }
    if (gone_.size() > kNamesMax) {
      told.push_back("And so are " + std::to_string(gone_.size() - kNamesMax) + " more records.");
    }
    if (unknown_.size() > kNamesMax) {
      told.push_back("And of " + std::to_string(unknown_.size() - kNamesMax) + " more records.");
    }
  }

  const AuditContext who_{"kvcs-repair", "repair", ""};
  KvStore& kv_;
  const KvStore* const behind_;
  Database* const ledger_;
  const Clock& clock_;
  AuditedKv audited_;
  KeyService keys_;
  LastAudit last_;  // Keys first: kAuth is the first family.
  RecalledDeletions recalled_;
  std::set<std::string> closed_;  // Ids of keys.
  std::vector<AuditRow> unknown_, gone_;
  int64_t outbox_ = 0, revoked_ = 0, removed_ = 0, put_back_ = 0, doubtful_ = 0, raised_ = 0;
};

}  // namespace

Status settle_counters(KvStore& kv, Database* ledger, const Clock& clock, Entropy& entropy) {
  return CatchUp(kv, nullptr, ledger, clock, entropy).settle_counters();
}

Status catch_up(KvStore& kv, const KvStore* behind, Database* ledger, const Clock& clock,
                Entropy& entropy, std::vector<std::string>& told) {
  return CatchUp(kv, behind, ledger, clock, entropy).run(told);
}

}  // namespace kvcs
