// Budgets: the books of all organizations, the thread "budget-writer" that brings their charges to
// the store, and the recovery of what a dead process left in the journal.
#include "ai/budget/budget.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "ai/budget/budget_book.h"
#include "ai/budget/charge_journal.h"
#include "ai/budget/journal_check.h"
#include "ai/budget/journal_mark.h"
#include "ai/budget/recovery.h"
#include "base/boot_id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "kv/keyspace.h"
#include "ledger/alerts.h"

namespace kvcs::ai {

namespace {

// The writer waits this long after the first charge, and writes all that came meanwhile as one
// batch. A power cut may take this time and kv.sync_interval_ms.
constexpr int64_t kGroupMs = 10;
constexpr int64_t kRetryMaxMs = 1'000;  // The longest pause while the store fails.
// How often the journal is synced to disk. Charges that the store has taken are in the store's own
// log, which is synced more often; the journal alone knows what requests in flight hold. See
// ChargeJournal::sync_held().
constexpr int64_t kSyncMs = 500;

}  // namespace

struct Budgets::Impl {
  Impl(KvStore& store, const Clock& time, BudgetNames called)
      : kv(store), clock(time), names(std::move(called)) {}

  BudgetBook& book(const std::string& organization_id) {
    {
      ReadLock lock(mutex);
      const auto it = books.find(organization_id);
      if (it != books.end()) return *it->second;
    }
    WriteLock lock(mutex);
    if (const auto it = books.find(organization_id); it != books.end()) return *it->second;
    // Made first: where memory ends, the map must not be left with a book that is none.
    auto made = std::make_unique<BudgetBook>(organization_id, kv, clock, names, journal);
    return *books.emplace(organization_id, std::move(made)).first->second;
  }
  std::vector<BudgetBook*> all_books() {
    ReadLock lock(mutex);
    std::vector<BudgetBook*> all;
    for (const auto& [id, one] : books) all.push_back(one.get());
    return all;
  }

  // Tells the writer that this book has a charge which the store has not. Costs one atomic read
  // while the book is on the writer's list already.
  void note(BudgetBook& book) {
    if (book.is_noted.load() || book.is_noted.exchange(true)) return;
    MutexLock lock(writer_mutex);
    book.next_noted = std::exchange(noted, &book);
    if (book.next_noted == nullptr) wake.notify_one();
  }
  // Takes over a settlement for which memory did not last.
  void leave(std::unique_ptr<Reservation::Impl> unsettled);
  void settle_left();
  Status write_all();
  bool write_noted();
  void write_loop();
  std::function<void()> written;  // Immutable once the writer runs.

  KvStore& kv;
  const Clock& clock;
  const BudgetNames names;
  ChargeJournal journal;
  SharedMutex mutex;
  // Books live as long as Budgets, for reservations point into them.
  std::unordered_map<std::string, std::unique_ptr<BudgetBook>> books KVCS_GUARDED_BY(mutex);
  std::atomic<int64_t> recovered{0};

  Heartbeat heartbeat;  // The writer's.
  Mutex writer_mutex;
  CondVar wake;
  BudgetBook* noted KVCS_GUARDED_BY(writer_mutex) = nullptr;        // The first of a list.
  Reservation::Impl* left KVCS_GUARDED_BY(writer_mutex) = nullptr;  // Likewise.
  bool stopping KVCS_GUARDED_BY(writer_mutex) = false;
  Status journal_status KVCS_GUARDED_BY(writer_mutex);  // Of the last sync.
  std::optional<Thread> writer;
};

Status Budgets::Impl::write_all() {
  settle_left();
  Status first;
  for (BudgetBook* book : all_books()) {
    Status written = book->flush();
    if (first.ok()) first = std::move(written);
  }
  return first;
}

// False when the store did not take all.
bool Budgets::Impl::write_noted() {
  settle_left();
  BudgetBook* now;
  {
    MutexLock lock(writer_mutex);
    now = std::exchange(noted, nullptr);
  }
  const bool any = now != nullptr;
  bool all = true;
  while (now != nullptr) {
    BudgetBook& book = *std::exchange(now, now->next_noted);
    heartbeat.work();
    // Cleared before the flush: a charge that comes meanwhile is noted again.
    book.is_noted = false;
    bool flushed = false;
    (void)if_memory_lasts([&] { flushed = book.flush().ok(); });
    if (flushed) continue;
    all = false;
    note(book);
  }
  if (any && all) written();
  return all;
}

void Budgets::Impl::write_loop() {
  int64_t pause_ms = kGroupMs;
  int64_t synced_us = 0;
  for (;;) {
    heartbeat.rest();
    {
      MutexLock lock(writer_mutex);
      while (!stopping && noted == nullptr && left == nullptr) {
        // The writer wakes once more after its last write, for the journal may hold something that
        // is not on disk yet.
        if (!wake.wait_for_ms(writer_mutex, kSyncMs)) break;
      }
      if (stopping) return;
      if (noted != nullptr || left != nullptr) wake.wait_for_ms(writer_mutex, pause_ms);
    }
    heartbeat.work();
    const bool taken = write_noted();
    // A store that fails is asked less and less often, up to once a second.
    pause_ms = taken ? kGroupMs : std::min(2 * pause_ms, kRetryMaxMs);
    const int64_t now_us = clock.mono_us();
    if (taken && now_us - synced_us < kSyncMs * 1000) continue;
    synced_us = now_us;
    // While the store takes nothing, the journal alone has the charges: all of it is synced.
    const Status synced = taken ? journal.sync_held().status() : journal.sync();
    if (!synced.ok()) log::warn("budgets.journal_not_synced", {{"reason", synced.to_string()}});
    MutexLock lock(writer_mutex);
    journal_status = synced;
  }
}

struct Reservation::Impl {
  Budgets::Impl& owner;
  BudgetBook& book;
  OpenReservation open = {};
  BudgetView user = {};
  std::optional<UsageRecord> fallback = {};  // Charged when nobody settles.
  bool settled = false;
  // Of a settlement that is still to be made, whose record is `fallback`.
  bool is_last = true;
  std::vector<AlertEvent> alerts = {};
  Impl* next_left = nullptr;

  // Without memory the settlement is kept for later; nothing has happened then.
  void settle(UsageRecord&& record, bool last, std::vector<AlertEvent>&& told) {
    KVCS_ASSERT(!settled);
    fallback = std::move(record);
    is_last = last;
    alerts = std::move(told);
    (void)settle_kept();
  }
  // False: memory did not last for it.
  bool settle_kept() {
    settled = if_memory_lasts([&] {
      complete(*fallback, is_last);
      book.settle(open, &*fallback, alerts);
    });
    if (settled) owner.note(book);
    return settled;
  }

  // Fills in what the reservation knows better than the caller.
  void complete(UsageRecord& record, bool last) const {
    if (record.attempt == 0) record.attempt = open.attempt;
    if (last) {
      if (record.attempt == 1) record.attempt = 0;  // The first and the last: there was one.
      record.request_id = open.request_id;
    } else {
      record.attempt = std::max<int64_t>(1, record.attempt);
      record.request_id = usage_row_id(open.request_id, record.attempt);
    }
    record.reserved_nano_usd = open.estimate;
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
  if (!impl_->fallback) {
    impl_->book.settle(impl_->open, nullptr, {});
  } else if (!impl_->settle_kept()) {
    Budgets::Impl& owner = impl_->owner;
    owner.leave(std::move(impl_));
  }
}

void Budgets::Impl::leave(std::unique_ptr<Reservation::Impl> unsettled) {
  MutexLock lock(writer_mutex);
  unsettled->next_left = left;
  left = unsettled.release();
  wake.notify_one();
}

void Budgets::Impl::settle_left() {
  Reservation::Impl* now;
  {
    MutexLock lock(writer_mutex);
    now = std::exchange(left, nullptr);
  }
  while (now != nullptr) {
    std::unique_ptr<Reservation::Impl> one(std::exchange(now, now->next_left));
    if (!one->settle_kept()) leave(std::move(one));
  }
}

bool Reservation::is_settled() const {
  return impl_->settled;
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
void Reservation::set_fallback_charge(UsageRecord record) {
  impl_->fallback = std::move(record);
}
void Reservation::note_output(int64_t tokens) {
  impl_->owner.journal.note_output(impl_->open.slot, tokens);
}
void Reservation::settle(UsageRecord record, std::vector<AlertEvent> alerts) {
  impl_->settle(std::move(record), true, std::move(alerts));
}
void Reservation::settle_try(UsageRecord record, std::vector<AlertEvent> alerts) {
  impl_->settle(std::move(record), false, std::move(alerts));
}

Budgets::Budgets(KvStore& kv, const Clock& clock, BudgetNames names)
    : impl_(std::make_unique<Impl>(kv, clock, std::move(names))) {}
Budgets::~Budgets() {
  {
    MutexLock lock(impl_->writer_mutex);
    impl_->stopping = true;
    impl_->wake.notify_all();
  }
  impl_->writer.reset();  // Joins.
  (void)reconcile();      // What the store does not take stays in the journal.
  (void)impl_->journal.sync();
}

void Budgets::start(std::function<void()> written) {
  impl_->written = std::move(written);
  impl_->writer.emplace("budget-writer", [impl = impl_.get()] { impl->write_loop(); });
}

namespace {

// One line in the log, and an alert that rides through the outbox like any other.
Status tell_damage(KvStore& kv, const Clock& clock, const std::string& path, size_t records,
                   size_t illegible) {
  log::warn("budgets.journal_damaged",
            {{"path", path}, {"records", records}, {"illegible", illegible}});
  KvBatch batch;
  const std::string message =
      "The journal of charges had " + std::to_string(records) +
      " damaged records; what was set aside for their requests is charged, but for " +
      std::to_string(illegible) + " of which nothing was legible.";
  add_alert(batch, {"budget.journal_damaged", "charges.journal", message},
            "journal-damaged-" + std::to_string(clock.unix_ms()), clock.unix_ms());
  return kv.write(batch, KvDurability::kSynced);
}

}  // namespace

Status Budgets::recover(const std::string& journal_path, const IsKnown& is_known) {
  const std::optional<JournalMark> last = KVCS_TRY(noted_journal(impl_->kv));
  const ChargeJournal::Left left = KVCS_TRY(read_noted_journal(journal_path, last));
  const Recovered recovered = KVCS_TRY(read_charges(left, is_known));
  // Only a power cut may leave half a record, of a request whose answer it cut off as well.
  if (recovered.illegible > 0 && last && last->boot == boot_id()) {
    return journal_refused(journal_path, "is damaged (" + std::to_string(recovered.illegible) +
                                             " records are illegible)");
  }
  if (left.damaged > 0) {
    KVCS_TRY(tell_damage(impl_->kv, impl_->clock, journal_path, left.damaged, recovered.illegible));
  }
  for (const ChargedRow& row : recovered.rows) {
    BudgetBook& book = impl_->book(row.open.organization_id);
    KVCS_TRY(book.settle_recovered(row.open, row.charge));
    impl_->recovered++;
  }
  // The journal is emptied only once the store has its charges on disk.
  if (!left.all.empty()) KVCS_TRY(impl_->kv.sync());
  if (!last) {
    // The first journal is there before the store knows of it, which would miss it if this start
    // ended in between.
    KVCS_TRY(impl_->journal.open(journal_path, 1));
    return note_journal(impl_->kv, last).status();
  }
  const Result<uint64_t> start = note_journal(impl_->kv, last);
  Status begun = start.ok() ? impl_->journal.open(journal_path, *start) : start.status();
  const bool is_empty = left.all.empty() && left.damaged == 0 && left.illegible == 0;
  if (begun.code() != Code::kUnavailable || !is_empty) return begun;
  // A full disk is no reason not to serve what is there: the journal of the last start has its
  // space on disk, and no record.
  log::warn("budgets.journal_kept", {{"path", journal_path}, {"reason", begun.to_string()}});
  return impl_->journal.open_again(journal_path, left.start);
}

Status Budgets::write_empty_journal(const std::string& path) {
  return ChargeJournal::write_empty(path);
}

Result<Reservation> Budgets::reserve(BudgetAsk ask) {
  BudgetBook& book = impl_->book(ask.organization_id);
  // Made first: once the money is held, nothing may fail any more.
  std::unique_ptr<Reservation::Impl> held(
      new Reservation::Impl{.owner = *impl_, .book = book, .open = book.opening(std::move(ask))});
  KVCS_TRY(book.admit(held->open, held->user));
  return Reservation(std::move(held));
}

Result<int64_t> Budgets::room(const BudgetAsk& ask) {
  return impl_->book(ask.organization_id).room(ask);
}

Status Budgets::check_left(const BudgetAsk& ask) {
  return impl_->book(ask.organization_id).check_left(ask);
}

namespace {

Result<BudgetView> stored_view(const KvStore& kv, const std::string& key, std::string_view month) {
  BudgetView view;
  view.month = month;
  Result<KvEntry> entry = kv.get(KvFamily::kQuota, key);
  if (entry.code() == Code::kNotFound) return view;
  if (!entry.ok()) return std::move(entry).status();
  Result<BudgetView> read = parse_counter(entry->value, month);
  if (!read.ok()) return unreadable_counter(read.status().to_string());
  return read;
}

}  // namespace

Result<BudgetView> Budgets::view(std::string_view kind, std::string_view id,
                                 std::string_view month) const {
  const std::string wanted =
      month.empty() ? format_month(impl_->clock.unix_ms()) : std::string(month);
  // Memory knows more than the store: what is reserved, and the charges of the last milliseconds.
  for (BudgetBook* book : impl_->all_books()) {
    if (auto found = book->peek(kind, id, wanted)) return *found;
  }
  return stored_view(impl_->kv, keyspace::quota(kind, id, wanted), wanted);
}

Result<std::vector<BudgetView>> Budgets::history(std::string_view kind, std::string_view id) const {
  KVCS_TRY(impl_->write_all());  // A month begins with its first counter in the store.
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

bool Budgets::forget(std::string_view organization_id, std::string_view kind, std::string_view id) {
  return impl_->book(std::string(organization_id)).forget(kind, id);
}

Pulse Budgets::pulse() const {
  return impl_->heartbeat.pulse();
}

Status Budgets::journal_status() const {
  MutexLock lock(impl_->writer_mutex);
  return impl_->journal_status;
}

Status Budgets::reconcile() {
  return impl_->write_all();
}

Status Budgets::repair(const Recount& recount) {
  Status first;
  for (BudgetBook* book : impl_->all_books()) {
    Status repaired = book->repair(recount);
    if (repaired.ok()) repaired = book->flush();
    if (first.ok()) first = std::move(repaired);
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
