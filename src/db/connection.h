// The common ground of db.cc and statement.cc: one SQLite connection and its prepared statements.
// Internal to db/; the sqlite3 types stay incomplete here. Used by one thread at a time, as
// Database is.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "db/db.h"

struct sqlite3;
struct sqlite3_stmt;

namespace kvcs {

inline constexpr size_t kStatementsMax = 256;

struct CachedStatement {
  sqlite3_stmt* handle = nullptr;
  bool in_use = false;
  // False when the same text was in use already: this one then lives with its Statement.
  bool cached = true;
  int bind_failure = 0;  // First failed bind since the last reset.

  CachedStatement() = default;
  CachedStatement(const CachedStatement&) = delete;
  CachedStatement& operator=(const CachedStatement&) = delete;
  ~CachedStatement();
};

struct Database::Impl {
  sqlite3* handle = nullptr;
  std::string path;
  std::unordered_map<std::string, std::unique_ptr<CachedStatement>> statements;
  // Of run_within(); 0: none.
  std::unique_ptr<Clock> clock;
  int64_t deadline_us = 0, limit_ms = 0;

  bool is_late() const { return deadline_us != 0 && clock->mono_us() >= deadline_us; }
  Status too_late() const;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();
  Result<std::unique_ptr<CachedStatement>> compile(std::string_view sql);
  void drop_idle_statements();
  // The Status for a failed call on this connection; `what` is for the log.
  Status failure(int result, std::string_view what) const;
};

// Maps an extended SQLite result code; `detail` (the library's words) becomes the cause.
Status sqlite_status(int result, std::string_view path, std::string_view what,
                     std::string_view detail);

}  // namespace kvcs
