// Each connection fetches the next piece that nobody has begun, no further ahead than the window.
#include "cli/range_reader.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/mutex.h"
#include "base/start_thread.h"
#include "cli/interrupt.h"

namespace kvcs::cli {
namespace {

constexpr uint64_t kPieceBytes = 8 << 20;
constexpr size_t kConnections = 4;
constexpr uint64_t kWindow = kConnections + 2;  // Pieces that are under way or wait.

class RangeReader final {
 public:
  RangeReader(const ApiSettings& settings, const RangeSource& source)
      : settings_(settings),
        source_(source),
        count_((source.to - source.from + kPieceBytes - 1) / kPieceBytes) {
    settings_.policy.stopped = [this] { return interrupted() || is_over(); };
  }

  Status run(const std::function<Status(std::string_view)>& take) {
    std::vector<Thread> threads;
    for (size_t i = 0; i < std::min<uint64_t>(kConnections, count_); i++) {
      Result<Thread> thread = start_thread("range", [this] { fetch_some(); });
      if (!thread.ok() && threads.empty()) return std::move(thread).status();
      if (!thread.ok()) break;  // The others do its work.
      threads.push_back(std::move(thread).value());
    }
    for (uint64_t i = 0; i < count_; i++) {
      const Status passed = pass_on(take);
      if (!passed.ok()) end(passed);
      if (!passed.ok()) break;
    }
    threads.clear();
    const MutexLock lock(mutex_);
    return failure_;
  }

 private:
  Status pass_on(const std::function<Status(std::string_view)>& take);
  void fetch_some();
  bool claim(uint64_t& piece);
  std::string take_spare();
  Result<std::string> fetch(ApiClient& api, uint64_t piece);
  // What has failed first is the reason of all that ends after it.
  void end(Status failure) {
    const MutexLock lock(mutex_);
    if (failure_.ok()) failure_ = std::move(failure);
    changed_.notify_all();
  }
  bool is_over() {
    const MutexLock lock(mutex_);
    return !failure_.ok();
  }

  ApiSettings settings_;
  const RangeSource& source_;
  const uint64_t count_;
  Mutex mutex_;
  CondVar changed_;
  std::map<uint64_t, std::string> waiting_ KVCS_GUARDED_BY(mutex_);  // By piece.
  std::vector<std::string> spare_ KVCS_GUARDED_BY(mutex_);
  uint64_t next_ KVCS_GUARDED_BY(mutex_) = 0;    // To be fetched.
  uint64_t passed_ KVCS_GUARDED_BY(mutex_) = 0;  // So many were handed over.
  Status failure_ KVCS_GUARDED_BY(mutex_);
};

// Hands the next piece over, once it is there.
Status RangeReader::pass_on(const std::function<Status(std::string_view)>& take) {
  std::string bytes;
  {
    const MutexLock lock(mutex_);
    while (failure_.ok() && !waiting_.contains(passed_)) changed_.wait(mutex_);
    if (!failure_.ok()) return failure_;
    bytes = std::move(waiting_.extract(passed_).mapped());
  }
  KVCS_TRY(take(bytes));
  const MutexLock lock(mutex_);
  passed_++;
  spare_.push_back(std::move(bytes));
  changed_.notify_all();
  return ok();
}

// False when there is nothing more to do.
bool RangeReader::claim(uint64_t& piece) {
  const MutexLock lock(mutex_);
  while (failure_.ok() && next_ < count_ && next_ >= passed_ + kWindow) changed_.wait(mutex_);
  if (!failure_.ok() || next_ == count_) return false;
  piece = next_++;
  return true;
}

void RangeReader::fetch_some() {
  ApiClient api(settings_);
  for (uint64_t piece; claim(piece);) {
    Result<std::string> bytes = fetch(api, piece);
    if (!bytes.ok()) return end(bytes.status());
    const MutexLock lock(mutex_);
    waiting_.emplace(piece, std::move(*bytes));
    changed_.notify_all();
  }
}

// Memory that has held a piece: the system would have to clear new memory for each.
std::string RangeReader::take_spare() {
  const MutexLock lock(mutex_);
  if (spare_.empty()) return {};
  std::string bytes = std::move(spare_.back());
  spare_.pop_back();
  bytes.clear();
  return bytes;
}

Result<std::string> RangeReader::fetch(ApiClient& api, uint64_t piece) {
  const uint64_t from = source_.from + piece * kPieceBytes;
  const uint64_t to = std::min(from + kPieceBytes, source_.to);
  std::string bytes = take_spare();
  bytes.reserve(to - from);
  const auto take = [&](const http::FetchAnswer& head, std::string_view more) -> Status {
    if (head.status != 206) {
      return upstream_failed("The server sends no ranges of it.").with_reason(kNoRanges);
    }
    if (more.size() > to - from - bytes.size()) {
      return upstream_failed("The server sends too many bytes.");
    }
    bytes += more;
    return ok();
  };
  KVCS_TRY(api.get_bytes(source_.url, {from, to}, source_.etag, source_.authorization, take));
  if (bytes.size() != to - from) return upstream_failed("The transfer broke off.");
  return bytes;
}

}  // namespace

Status read_ranges(const ApiSettings& settings, const RangeSource& source,
                   const std::function<Status(std::string_view bytes)>& take) {
  return RangeReader(settings, source).run(take);
}

}  // namespace kvcs::cli
