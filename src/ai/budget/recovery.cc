// Turns the slots of a dead process's journal into charges, each under the id that its row would
// have had.
#include "ai/budget/recovery.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/money.h"

namespace kvcs::ai {
namespace {

// An open try, and the output that had passed when its process died.
struct OpenTry {
  OpenReservation open;
  int64_t output_tokens = 0;
  bool is_damaged = false;  // It may have cost anything, up to what was set aside.
};

int64_t cost_of_output(const OpenTry& one) {
  const __int128 pico = __int128{one.output_tokens} * one.open.output_token_pico;
  return pico_to_nano_ceil(std::min(pico, __int128{kSaturated} * 1000));
}

UsageRecord recovered_charge(const OpenTry& one) {
  const OpenReservation& open = one.open;
  UsageRecord record{.ts_ms = open.created_ms,
                     .organization_id = open.organization_id,
                     .user_id = open.user_id,
                     .key_id = open.key_id,
                     .provider = open.provider,
                     .model = open.model,
                     .reserved_nano_usd = open.estimate,
                     .price_version = open.price_version,
                     .status = 500,
                     .grace = open.grace,
                     .recovered = true,
                     .period = open.month};
  record.cost_nano_usd =
      one.is_damaged
          ? open.estimate
          : std::min(open.estimate, saturating_add(open.input_only, cost_of_output(one)));
  record.tokens.output = one.output_tokens;
  record.tokens.estimated = true;
  return record;
}

bool is_earlier_try(const OpenTry& a, const OpenTry& b) {
  return a.open.attempt < b.open.attempt;
}

// The rows that are charged, and the ids and tries that they take.
class Charges final {
 public:
  void add(ChargedRow row) {
    note_try(usage_request_id(row.charge), row.charge.attempt);
    ids_.insert(row.charge.request_id);
    rows_.push_back(std::move(row));
  }
  void note_try(std::string_view request_id, int64_t attempt) {
    int64_t& last = last_tries_[std::string(request_id)];
    last = std::max(last, attempt);
  }
  void add(OpenTry one) {
    UsageRecord record = recovered_charge(one);
    const std::string& request_id = one.open.request_id;
    int64_t attempt = std::max<int64_t>(1, one.open.attempt);
    record.request_id = request_id;
    record.attempt = attempt > 1 ? attempt : 0;
    if (one.open.attempt < last_tries_[request_id] || ids_.contains(request_id)) {
      while (ids_.contains(usage_row_id(request_id, attempt))) attempt++;
      record.request_id = usage_row_id(request_id, attempt);
      record.attempt = attempt;
    }
    ids_.insert(record.request_id);
    rows_.push_back({std::move(one.open), std::move(record)});
  }
  std::vector<ChargedRow> take() { return std::move(rows_); }

 private:
  std::vector<ChargedRow> rows_;
  std::set<std::string> ids_;
  std::map<std::string, int64_t> last_tries_;  // By the request's id.
};

// Whether the row of an open try is known, of which nobody can say whether it was to be the last
// one. A try is settled before the next begins and rows reach the store in their order, so a row of
// the request itself says that all of its tries are known or cost nothing.
Result<bool> is_try_known(const OpenReservation& open, const Budgets::IsKnown& is_known) {
  if (KVCS_TRY(is_known(open.request_id))) return true;
  return is_known(usage_row_id(open.request_id, std::max<int64_t>(1, open.attempt)));
}

}  // namespace

Result<Recovered> read_charges(const ChargeJournal::Left& left, const Budgets::IsKnown& is_known) {
  Charges charges;
  size_t illegible = left.illegible;
  std::vector<OpenTry> tries;
  for (const ChargeJournal::Left::One& one : left.all) {
    if (!one.charge_json.empty()) {
      ChargedRow row = KVCS_TRY(parse_charge(one.charge_json));
      if (!KVCS_TRY(is_known(row.charge.request_id))) charges.add(std::move(row));
      continue;
    }
    Result<OpenReservation> reservation = parse_reservation(one.reservation_json);
    if (!reservation.ok()) {
      if (!one.is_damaged) return reservation.status();
      illegible++;
      continue;
    }
    OpenTry open{std::move(reservation).value(), one.output_tokens, one.is_damaged};
    if (KVCS_TRY(is_try_known(open.open, is_known))) continue;
    charges.note_try(open.open.request_id, open.open.attempt);
    tries.push_back(std::move(open));
  }
  // The rows reach the store in this order. A start that dies between two of them must not leave
  // the row of the request itself without those of its earlier tries; see is_try_known().
  std::stable_sort(tries.begin(), tries.end(), is_earlier_try);
  for (OpenTry& open : tries) charges.add(std::move(open));
  return Recovered{charges.take(), illegible};
}

}  // namespace kvcs::ai
