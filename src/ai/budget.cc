#include "ai/budget.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "ai/budget_book.h"
#include "ai/budget_journal.h"
#include "base/json.h"
#include "base/mutex.h"
#include "kv/keyspace.h"

namespace kvcs::ai {

struct Budgets::Impl {
  Impl(KvStore& store, const Clock& time, BudgetNames called, std::string journal_path)
      : kv(store), clock(time), names(std::move(called)) {
    if (!journal_path.empty()) journal.emplace(std::move(journal_path));
  }

  BudgetBook& book(const std::string& organization_id) {
    {
      ReadLock lock(mutex);
      const auto it = books.find(organization_id);
      if (it != books.end()) return *it->second;
    }
    WriteLock lock(mutex);
    auto& slot = books[organization_id];
    if (!slot)
      slot = std::make_unique<BudgetBook>(organization_id, kv, clock, names,
                                          journal ? &*journal : nullptr);
    return *slot;
  }
  std::vector<BudgetBook*> all_books() {
    ReadLock lock(mutex);
    std::vector<BudgetBook*> all;
    for (const auto& [id, one] : books) all.push_back(one.get());
    return all;
  }

  KvStore& kv;
  const Clock& clock;
  const BudgetNames names;
  std::optional<BudgetJournal> journal;
  SharedMutex mutex;
  // Books live as long as Budgets: a reservation points into one.
  std::unordered_map<std::string, std::unique_ptr<BudgetBook>> books KVCS_GUARDED_BY(mutex);
  std::atomic<int64_t> recovered{0};
};

struct Reservation::Impl {
  BudgetBook& book;
  OpenReservation open;
  BudgetView user;
  std::optional<UsageRecord> seen;
  bool settled = false;

  void complete(UsageRecord& record) const {
    record.request_id = open.request_id;
    record.organization_id = open.organization_id;
    record.user_id = open.user_id;
    record.key_id = open.key_id;
    record.period = open.month;
    record.grace = open.grace;
  }
};

Reservation::Reservation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reservation::Reservation(Reservation&&) noexcept = default;
Reservation::~Reservation() {
  if (!impl_ || impl_->settled) return;
  if (impl_->seen) {
    (void)settle(std::move(*impl_->seen));  // A failed write stays queued in the book.
  } else {
    (void)impl_->book.settle(impl_->open, nullptr);
  }
}
bool Reservation::grace() const {
  return impl_->open.grace;
}
const std::string& Reservation::period() const {
  return impl_->open.month;
}
const BudgetView& Reservation::user_at_admission() const {
  return impl_->user;
}
void Reservation::set_seen(UsageRecord record) {
  impl_->seen = std::move(record);
}
Status Reservation::extend(int64_t more_nano_usd) {
  return impl_->book.extend(impl_->open, more_nano_usd);
}
Status Reservation::settle(UsageRecord record) {
  KVCS_ASSERT(!impl_->settled);
  impl_->settled = true;
  impl_->complete(record);
  return impl_->book.settle(impl_->open, &record);
}

Budgets::Budgets(KvStore& kv, const Clock& clock, BudgetNames names, std::string journal_path)
    : impl_(std::make_unique<Impl>(kv, clock, std::move(names), std::move(journal_path))) {}
Budgets::~Budgets() {
  (void)reconcile();
}

// Before the reservations: a row says what a request has cost, its reservation only what it asked.
Status Budgets::recover_journal(const IsKnown& is_known) {
  if (!impl_->journal) return ok();
  const std::vector<std::string> rows = KVCS_TRY(impl_->journal->read());
  for (const std::string& row : rows) {
    const JournaledRow one = KVCS_TRY(parse_journaled(row));
    const bool known = is_known && KVCS_TRY(is_known(one.open.request_id));
    if (known) continue;
    KVCS_TRY(impl_->book(one.open.organization_id).settle_recovered(one.open, one.charge, row));
    impl_->recovered++;
  }
  return rows.empty() ? ok() : impl_->journal->remove();
}

Status Budgets::recover(const IsKnown& is_known) {
  KVCS_TRY(recover_journal(is_known));
  std::vector<OpenReservation> left_behind;
  const std::string prefix = keyspace::reservation("");
  const auto collect = [&](const KvItem& item) -> Status {
    const std::string_view id = std::string_view(item.key).substr(prefix.size());
    left_behind.push_back(KVCS_TRY(parse_reservation(id, item.entry.value)));
    return ok();
  };
  KVCS_TRY(kv_for_each(impl_->kv, KvFamily::kQuota, prefix, collect));
  for (const OpenReservation& open : left_behind) {
    UsageRecord record{.request_id = open.request_id,
                       .ts_ms = open.created_ms,
                       .organization_id = open.organization_id,
                       .user_id = open.user_id,
                       .key_id = open.key_id,
                       .provider = open.provider,
                       .model = open.model,
                       .cost_nano_usd = open.input_only,
                       .price_version = open.price_version,
                       .status = 500,
                       .recovered = true,
                       .period = open.month};
    record.tokens.estimated = true;
    KVCS_TRY(impl_->book(open.organization_id).settle_recovered(open, record, usage_json(record)));
    impl_->recovered++;
  }
  return ok();
}

Result<Reservation> Budgets::reserve(const BudgetAsk& ask) {
  BudgetBook& book = impl_->book(ask.organization_id);
  BudgetBook::Admission admission = KVCS_TRY(book.admit(ask));
  return Reservation(std::make_unique<Reservation::Impl>(
      Reservation::Impl{book, std::move(admission.open), std::move(admission.user), {}, false}));
}

namespace {

Result<BudgetView> stored_view(const KvStore& kv, const std::string& key, std::string_view month) {
  BudgetView view;
  view.month = month;
  Result<KvEntry> entry = kv.get(KvFamily::kQuota, key);
  if (entry.code() == Code::kNotFound) return view;
  if (!entry.ok()) return std::move(entry).status();
  const Json value = KVCS_TRY(parse_json(entry->value));
  JsonReader reader(value, key);
  view.used_nano_usd = reader.integer("used_nano_usd", INT64_MIN, INT64_MAX);
  view.request_count = reader.integer("request_count", 0, INT64_MAX);
  view.error_count = reader.integer("error_count", 0, INT64_MAX);
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  return view;
}

}  // namespace

Result<BudgetView> Budgets::view(std::string_view kind, std::string_view id,
                                 std::string_view month) const {
  const std::string wanted =
      month.empty() ? format_month(impl_->clock.unix_ms()) : std::string(month);
  for (BudgetBook* book : impl_->all_books()) {
    if (auto found = book->peek(kind, id, wanted)) return *found;
  }
  return stored_view(impl_->kv, keyspace::quota(kind, id, wanted), wanted);
}

Result<std::vector<BudgetView>> Budgets::history(std::string_view kind, std::string_view id) const {
  std::vector<BudgetView> months;
  const std::string prefix = keyspace::quota(kind, id, "");
  const auto collect = [&](const KvItem& item) -> Status {
    months.push_back(KVCS_TRY(view(kind, id, std::string_view(item.key).substr(prefix.size()))));
    return ok();
  };
  KVCS_TRY(kv_for_each(impl_->kv, KvFamily::kQuota, prefix, collect));
  std::reverse(months.begin(), months.end());
  return months;
}

Result<int64_t> Budgets::reset_user(std::string_view user_id, std::string_view organization_id,
                                    bool organization_too) {
  return impl_->book(std::string(organization_id)).reset_user(user_id, organization_too);
}

Status Budgets::reconcile() {
  Status first;
  for (BudgetBook* book : impl_->all_books()) {
    Status written = book->flush();
    if (first.ok()) first = std::move(written);
  }
  return first;
}

Budgets::Stats Budgets::stats() const {
  Stats total{0, 0, 0, impl_->recovered};
  for (BudgetBook* book : impl_->all_books()) {
    const BudgetBook::Stats one = book->stats();
    total.open_reservations += one.open;
    total.unwritten_settlements += one.unwritten;
    total.grace_requests += one.grace;
  }
  return total;
}

}  // namespace kvcs::ai
