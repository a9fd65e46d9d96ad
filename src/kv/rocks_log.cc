// The logger that is given to RocksDB. It is called by any thread of the library, some of which
// hold the library's own lock, so it formats into a buffer on the stack and hands the line over.
#include "kv/rocks_log.h"

#include <rocksdb/env.h>

#include <cstdarg>
#include <cstdio>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"

namespace kvcs {
namespace {

constexpr size_t kLineMaxBytes = 1000;
constexpr int64_t kMinuteUs = 60'000'000;

class RocksLog final : public rocksdb::Logger {
 public:
  RocksLog() : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using rocksdb::Logger::Logv;

  void LogHeader(const char*, va_list) override {}
  void Logv(const char*, va_list) override {}  // Without a level: information.
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < rocksdb::InfoLogLevel::WARN_LEVEL) return;
    if (level >= rocksdb::InfoLogLevel::HEADER_LEVEL) return;
    // What a checkpoint says of each of its steps, as a warning.
    if (std::string_view(format).find("] File Deletions ") != std::string_view::npos) return;
    const int64_t left_out = take_line();
    if (left_out < 0) return;
    char text[kLineMaxBytes];
    const int written = std::vsnprintf(text, sizeof text, format, arguments);
    if (written < 0) return;
    const std::string line = printable(std::string_view(text));
    if (level == rocksdb::InfoLogLevel::WARN_LEVEL) {
      log::warn("rocksdb.warned", {{"text", line}, {"left_out", left_out}});
    } else {
      log::error("rocksdb.failed", {{"text", line}, {"left_out", left_out}});
    }
  }

 protected:
  rocksdb::Status CloseImpl() override { return rocksdb::Status::OK(); }

 private:
  // The lines that were left out before this one; -1 when this one is left out too.
  int64_t take_line() {
    const int64_t now_us = clock_->mono_us();
    MutexLock lock(mutex_);
    if (now_us - minute_began_us_ >= kMinuteUs) {
      minute_began_us_ = now_us;
      lines_ = 0;
    }
    if (++lines_ <= kRocksLinesPerMinute) return std::exchange(left_out_, 0);
    left_out_++;
    return -1;
  }

  const std::unique_ptr<Clock> clock_ = make_system_clock();
  Mutex mutex_;
  int64_t minute_began_us_ KVCS_GUARDED_BY(mutex_) = -kMinuteUs;
  int lines_ KVCS_GUARDED_BY(mutex_) = 0;
  int64_t left_out_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace

std::shared_ptr<rocksdb::Logger> make_rocks_log() {
  return std::make_shared<RocksLog>();
}

}  // namespace kvcs
