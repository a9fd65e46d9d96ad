#include "support/scripted_upstream.h"

#include <poll.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/wait.h"
#include "http/client/upstream_rules.h"

namespace kvcs::test {
namespace {

constexpr int64_t kLookAgainMs = 5;  // A descriptor cannot signal a condition.

bool has_left(const http::UpstreamRequest& request) {
  const int client = current_waiter().client_fd();
  if (client < 0 || !request.stop_if_client_leaves) return false;
  pollfd watched = {client, POLLRDHUP, 0};
  return ::poll(&watched, 1, 0) > 0;  // POLLHUP and POLLERR come unasked.
}

}  // namespace

class ScriptedResponse final : public http::UpstreamResponse {
 public:
  ScriptedResponse(ScriptedUpstream& upstream, ScriptedAnswer answer, http::UpstreamRequest request,
                   int64_t started_us)
      : upstream_(upstream),
        answer_(std::move(answer)),
        request_(std::move(request)),
        started_us_(started_us),
        left_bytes_(request_.after_client_left_bytes) {}
  ~ScriptedResponse() override { upstream_.closed(finished_); }
  int status() const override { return answer_.status; }
  const http::HeaderList& headers() const override { return answer_.headers; }

  bool client_left() const override { return left_; }
  void note_client_left() override { left_ = true; }

  Result<size_t> read(std::span<char> out) override {
    if (!failed_.ok()) return failed_;
    if (finished_) return size_t{0};
    left_ = left_ || has_left(request_);
    if (left_ && request_.after_client_left_ms <= 0) return failed_ = client_gone();
    if (next_ == answer_.chunks.size()) return end();
    const std::string& chunk = answer_.chunks[next_];
    if (offset_ == 0 && upstream_.clock_) upstream_.clock_->advance_ms(answer_.chunk_latency_ms);
    failed_ = deadline();
    if (!failed_.ok()) return failed_;
    const size_t n = std::min(out.size(), chunk.size() - offset_);
    std::memcpy(out.data(), chunk.data() + offset_, n);
    offset_ += n;
    if (left_ && n > left_bytes_) return failed_ = client_gone();
    left_bytes_ -= left_ ? n : 0;
    if (offset_ == chunk.size()) {
      next_++;
      offset_ = 0;
    }
    return n > 0 ? Result<size_t>(n) : read(out);
  }

 private:
  Result<size_t> end() {
    if (answer_.end == ScriptedAnswer::End::kTruncated) {
      return failed_ =
                 upstream_failed("\"scripted\" broke off its response").with_reason("truncated");
    }
    if (answer_.end == ScriptedAnswer::End::kHang) {
      failed_ = upstream_.hang(request_, started_us_);
      left_ = left_ || has_left(request_);
      if (!failed_.ok()) return failed_;
    }
    finished_ = true;
    return size_t{0};
  }
  Status deadline() const {
    if (upstream_.clock_ == nullptr || request_.deadline_ms <= 0) return ok();
    if (upstream_.clock_->mono_us() - started_us_ < request_.deadline_ms * 1000LL) return ok();
    return timed_out("\"scripted\" did not finish its response within " +
                     std::to_string(request_.deadline_ms) + " ms")
        .with_reason("deadline");
  }

  ScriptedUpstream& upstream_;
  ScriptedAnswer answer_;
  http::UpstreamRequest request_;
  int64_t started_us_;
  size_t left_bytes_;
  bool left_ = false;
  size_t next_ = 0, offset_ = 0;
  bool finished_ = false;
  Status failed_;
};

std::string SeenRequest::header(std::string_view name) const {
  for (const auto& [have, value] : headers) {
    if (equal_ignore_case(have, name)) return value;
  }
  return {};
}

void ScriptedUpstream::push(ScriptedAnswer answer) {
  MutexLock lock(mutex_);
  queue_.push_back(std::move(answer));
}

void ScriptedUpstream::push_json(int status, std::string json) {
  ScriptedAnswer answer;
  answer.status = status;
  answer.headers = {{"content-type", "application/json"},
                    {"content-length", std::to_string(json.size())}};
  answer.chunks = {std::move(json)};
  push(std::move(answer));
}

void ScriptedUpstream::push_sse(const std::vector<std::string>& events, ScriptedAnswer::End end) {
  ScriptedAnswer answer;
  answer.headers = {{"content-type", "text/event-stream"}};
  answer.chunks = events;
  answer.end = end;
  push(std::move(answer));
}

void ScriptedUpstream::set_handler(Handler handler) {
  MutexLock lock(mutex_);
  handler_ = std::move(handler);
}

void ScriptedUpstream::release_hanging() {
  MutexLock lock(mutex_);
  releases_++;
  changed_.notify_all();
}

Result<std::unique_ptr<http::UpstreamResponse>> ScriptedUpstream::open(
    const http::UpstreamRequest& request) {
  KVCS_TRY(http::check_sendable(request.method, request.headers));
  KVCS_TRY(http::check_upstream_url(request.url));
  SeenRequest seen{request.method,
                   request.url,
                   request.body,
                   request.headers,
                   request.deadline_ms,
                   request.allow_private_addresses,
                   request.after_client_left_ms};
  ScriptedAnswer answer;
  Handler handler;
  bool queued = false;
  {
    MutexLock lock(mutex_);
    seen_.push_back(seen);
    changed_.notify_all();
    queued = !queue_.empty();
    if (queued) {
      answer = std::move(queue_.front());
      queue_.pop_front();
    }
    handler = handler_;
  }
  if (!queued) {
    if (!handler) return upstream_failed("\"scripted\" has no answer left for " + seen.url);
    answer = handler(seen);
  }
  const int64_t started_us = clock_ != nullptr ? clock_->mono_us() : 0;
  if (clock_ != nullptr) clock_->advance_ms(answer.latency_ms);
  if (answer.hang_before_head) {
    Status waited = hang(request, started_us);
    if (!waited.ok()) {
      MutexLock lock(mutex_);
      cancelled_++;
      return waited;
    }
  }
  if (!answer.open_failure.ok()) return answer.open_failure;
  if (clock_ != nullptr && request.deadline_ms > 0 && answer.latency_ms >= request.deadline_ms) {
    return timed_out("\"scripted\" did not answer in time").with_reason("deadline");
  }
  {
    MutexLock lock(mutex_);
    open_++;
  }
  return std::unique_ptr<http::UpstreamResponse>(
      std::make_unique<ScriptedResponse>(*this, std::move(answer), request, started_us));
}

Status ScriptedUpstream::hang(const http::UpstreamRequest& request, int64_t started_us) {
  MutexLock lock(mutex_);
  const uint64_t before = releases_;
  int64_t left_ms = -1;  // When the client left.
  while (releases_ == before) {
    const int64_t now_ms = clock_ != nullptr ? clock_->mono_us() / 1000 : steady_ms();
    if (left_ms < 0 && has_left(request)) left_ms = now_ms;
    if (left_ms >= 0 && now_ms - left_ms >= request.after_client_left_ms) return client_gone();
    if (clock_ != nullptr && request.deadline_ms > 0 &&
        clock_->mono_us() - started_us >= request.deadline_ms * 1000LL) {
      return timed_out("\"scripted\" did not answer in time").with_reason("deadline");
    }
    changed_.wait_for_ms(mutex_, kLookAgainMs);
  }
  return ok();
}

void ScriptedUpstream::closed(bool finished) {
  MutexLock lock(mutex_);
  open_--;
  if (!finished) cancelled_++;
  changed_.notify_all();
}

std::vector<SeenRequest> ScriptedUpstream::seen() const {
  MutexLock lock(mutex_);
  return seen_;
}

SeenRequest ScriptedUpstream::last_seen() const {
  MutexLock lock(mutex_);
  return seen_.empty() ? SeenRequest{} : seen_.back();
}

size_t ScriptedUpstream::seen_count() const {
  MutexLock lock(mutex_);
  return seen_.size();
}

size_t ScriptedUpstream::cancelled_count() const {
  MutexLock lock(mutex_);
  return cancelled_;
}

size_t ScriptedUpstream::open_count() const {
  MutexLock lock(mutex_);
  return open_;
}

}  // namespace kvcs::test
