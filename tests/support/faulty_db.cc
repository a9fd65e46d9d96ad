// The faulty Database: asks its plan, then does what the one below does.
#include "support/faulty_db.h"

#include <string>
#include <utility>

namespace kvcs::test {
namespace {

class FaultyStatement final : public EngineStatement {
 public:
  FaultyStatement(Statement base, const DbFaultPlan& plan, std::string_view sql)
      : base_(std::move(base)), plan_(plan), sql_(sql) {}

  void bind(int position, int64_t value) override { base_.bind(position, value); }
  void bind(int position, double value) override { base_.bind(position, value); }
  void bind(int position, std::string_view text) override { base_.bind(position, text); }
  void bind_bytes(int position, std::string_view bytes) override {
    base_.bind_bytes(position, bytes);
  }
  void bind_null(int position) override { base_.bind_null(position); }
  Result<bool> step() override {
    KVCS_TRY(plan_("step", sql_));
    return base_.step();
  }
  void reset() override { base_.reset(); }
  int64_t integer(int column) const override { return base_.integer(column); }
  double real(int column) const override { return base_.real(column); }
  std::string text(int column) const override { return base_.text(column); }
  std::string bytes(int column) const override { return base_.bytes(column); }
  bool is_null(int column) const override { return base_.is_null(column); }
  void give_back() override { delete this; }

 private:
  Statement base_;
  const DbFaultPlan& plan_;
  const std::string sql_;
};

class FaultyDb final : public Database {
 public:
  FaultyDb(std::unique_ptr<Database> base, DbFaultPlan plan)
      : base_(std::move(base)), plan_(std::move(plan)) {}

  Result<Statement> prepare(std::string_view sql) override {
    KVCS_TRY(plan_("prepare", sql));
    Statement base = KVCS_TRY(base_->prepare(sql));
    auto statement = std::make_unique<FaultyStatement>(std::move(base), plan_, sql);
    return Statement(*statement.release());  // Deleted by give_back().
  }
  Status execute(std::string_view sql) override {
    KVCS_TRY(plan_("execute", sql));
    return base_->execute(sql);
  }
  int64_t changes() const override { return base_->changes(); }
  Status begin(DbAccess access) override {
    KVCS_TRY(plan_("begin", access == DbAccess::kWrite ? "write" : "read"));
    return base_->begin(access);
  }
  Status commit() override {
    KVCS_TRY(plan_("commit", {}));
    return base_->commit();
  }
  Status rollback() override {
    KVCS_TRY(plan_("rollback", {}));
    return base_->rollback();
  }
  bool in_transaction() const override { return base_->in_transaction(); }
  Status take_snapshot() override {
    KVCS_TRY(plan_("snapshot", {}));
    return base_->take_snapshot();
  }
  Status backup_to(const std::string& path, const std::function<Status()>& between_steps) override {
    KVCS_TRY(plan_("backup", path));
    return base_->backup_to(path, between_steps);
  }
  Status checkpoint() override {
    KVCS_TRY(plan_("checkpoint", {}));
    return base_->checkpoint();
  }
  Status run_within(int64_t limit_ms, const std::function<Status()>& query) override {
    return base_->run_within(limit_ms, query);
  }
  Result<int64_t> schema_number() override {
    KVCS_TRY(plan_("schema", "get"));
    return base_->schema_number();
  }
  Status set_schema_number(int64_t number) override {
    KVCS_TRY(plan_("schema", "set"));
    return base_->set_schema_number(number);
  }
  Result<bool> has_table(std::string_view name) override {
    KVCS_TRY(plan_("table", name));
    return base_->has_table(name);
  }
  Result<int64_t> last_given_number(std::string_view table) override {
    KVCS_TRY(plan_("number", table));
    return base_->last_given_number(table);
  }
  Result<std::string> find_damage() override {
    KVCS_TRY(plan_("damage", {}));
    return base_->find_damage();
  }

 private:
  const std::unique_ptr<Database> base_;
  const DbFaultPlan plan_;
};

}  // namespace

std::unique_ptr<Database> make_faulty_db(std::unique_ptr<Database> base, DbFaultPlan plan) {
  return std::make_unique<FaultyDb>(std::move(base), std::move(plan));
}

DbReaders::Connect faulty_readers(DbReaders::Connect connect, DbFaultPlan plan) {
  return [connect = std::move(connect),
          plan = std::move(plan)]() -> Result<std::unique_ptr<Database>> {
    return make_faulty_db(KVCS_TRY(connect()), plan);
  };
}

}  // namespace kvcs::test
