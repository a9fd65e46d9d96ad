// A thread that repeats one message until the start is over.
#include "app/start_notice.h"

#include <string>
#include <utility>

#include "base/start_thread.h"
#include "base/wait.h"

namespace kvcs {
namespace {

// A machine that is busy may let a message wait for a while.
constexpr int64_t kBeyondMs = 30'000;

}  // namespace

StartNotice::StartNotice(std::function<void(const char* text)> notify, int64_t every_ms,
                         int64_t most_ms)
    : notify_(std::move(notify)), every_ms_(every_ms), most_ms_(most_ms) {
  Result<Thread> thread = start_thread("start-notice", [this] { run(); });
  if (thread.ok()) thread_.emplace(std::move(thread).value());
}

StartNotice::~StartNotice() {
  {
    const MutexLock lock(mutex_);
    is_over_ = true;
  }
  stopped_.notify_all();
}

void StartNotice::run() {
  const std::string text = "EXTEND_TIMEOUT_USEC=" + std::to_string((every_ms_ + kBeyondMs) * 1000);
  const int64_t until_ms = steady_ms() + most_ms_;
  MutexLock lock(mutex_);
  while (!is_over_ && steady_ms() < until_ms) {
    notify_(text.c_str());
    (void)stopped_.wait_for_ms(mutex_, every_ms_);
  }
}

}  // namespace kvcs
