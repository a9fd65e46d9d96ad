// DbReaders: connections that are lent to one query at a time. Callers beyond the number of
// connections wait.
#include <algorithm>
#include <utility>

#include "base/mutex.h"
#include "db/db.h"

namespace kvcs {

struct DbReaders::Impl {
  Connect connect;
  size_t connections_max = 0;
  DbTimer timer;
  Mutex mutex;
  CondVar returned;
  std::vector<std::unique_ptr<Database>> idle KVCS_GUARDED_BY(mutex);
  size_t lent KVCS_GUARDED_BY(mutex) = 0;

  // An idle connection, or null: the caller opens one. Counted as lent either way.
  std::unique_ptr<Database> borrow() {
    MutexLock lock(mutex);
    while (idle.empty() && lent >= connections_max) returned.wait(mutex);
    lent++;
    if (idle.empty()) return nullptr;
    auto db = std::move(idle.back());
    idle.pop_back();
    return db;
  }
  void give_back(std::unique_ptr<Database> db) {
    MutexLock lock(mutex);
    lent--;
    if (db) idle.push_back(std::move(db));
    returned.notify_one();
  }
};

DbReaders::DbReaders(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DbReaders::~DbReaders() = default;

Result<std::unique_ptr<DbReaders>> DbReaders::open(Connect connect, size_t connections_max,
                                                   DbTimer timer) {
  auto impl = std::make_unique<Impl>();
  impl->connect = std::move(connect);
  impl->connections_max = std::max<size_t>(1, connections_max);
  impl->timer = std::move(timer);
  auto first = KVCS_TRY(impl->connect());
  {
    MutexLock lock(impl->mutex);
    impl->idle.push_back(std::move(first));
  }
  return std::unique_ptr<DbReaders>(new DbReaders(std::move(impl)));
}

Status DbReaders::run(const std::function<Status(Database&)>& query) {
  struct Loan {
    Impl& impl;
    std::unique_ptr<Database> db;
    const int64_t begin_us;
    ~Loan() {
      impl.timer.stop(begin_us);
      // A connection that cannot end its snapshot would hold the WAL for ever; drop it.
      if (db && db->in_transaction() && !db->rollback().ok()) db.reset();
      impl.give_back(std::move(db));
    }
  } loan{*impl_, impl_->borrow(), impl_->timer.now_us()};
  if (!loan.db) loan.db = KVCS_TRY(impl_->connect());
  // A transaction around the query: all its reads see one snapshot, whatever is committed
  // meanwhile.
  KVCS_TRY(loan.db->begin(DbAccess::kRead));
  KVCS_TRY(query(*loan.db));
  return loan.db->commit();
}

}  // namespace kvcs
