// Runs password hashing on two threads, and asks libzxcvbn how soon a password is guessed.
#include "portal/passwords.h"

#include <zxcvbn.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>

#include "base/mutex.h"
#include "base/password_hash.h"
#include "base/start_thread.h"
#include "base/wait.h"

namespace kvcs::portal {
namespace {

constexpr size_t kThreads = 2;
constexpr size_t kWaitingMax = 32;
constexpr size_t kWaitingOfOneMax = 6;
constexpr int kBusyRetryAfterS = 2;
constexpr int kWaitMaxMs = 1000;  // Of one wait; a loop waits on.
// Of guesses, as a power of two: 10^8, where zxcvbn begins to speak of a password that withstands
// guesses over a network.
constexpr double kBitsMin = 26.6;
// The time of zxcvbn grows with the square of the length; nobody guesses this much.
constexpr size_t kRatedBytes = 72;

// With the cost of every other hash, and of random bytes that nobody kept.
constexpr std::string_view kNobodysHash =
    "$argon2id$v=19$m=65536,t=2,p=1$i/0rIDmAouUnkRMoWUwpYg$"
    "20p+rgqZY7OSuE4UA2JTbyy4PQzBkMflMUs1cEyt81c";

}  // namespace

Status check_new_password(const Secret& password, const std::vector<std::string>& own_words) {
  const std::string& text = password.reveal();
  if (text.size() < kPasswordMinBytes || text.size() > kPasswordMaxBytes) {
    return invalid("password: " + std::to_string(kPasswordMinBytes) + " to " +
                   std::to_string(kPasswordMaxBytes) + " bytes are allowed.")
        .with_reason("password_length");
  }
  std::vector<const char*> words;
  for (const std::string& word : own_words) words.push_back(word.c_str());
  words.push_back("kvcs");
  words.push_back(nullptr);
  const double bits = ZxcvbnMatch(text.substr(0, kRatedBytes).c_str(), words.data(), nullptr);
  if (bits >= kBitsMin) return ok();
  return invalid(
             "password: it is among those that are guessed first. Use three or four words that "
             "have nothing to do with each other.")
      .with_reason("password_guessable");
}

// One piece of work. Owners: the request that waits for it, and the queue or the thread that does
// it, since a request whose client has gone waits no longer.
struct Job {
  Secret password;
  std::string known;  // The hash to compare with; "" makes a new one.
  std::string whose;
  std::string made;
  std::optional<bool> fits = false;
  std::atomic<bool> is_done{false};
  Event done;

  void run() {
    if (known.empty()) {
      made = hash_password(password);
    } else {
      fits = password_fits(password, known);
    }
    is_done.store(true, std::memory_order_release);
    done.signal();
  }
};

struct PasswordHasher::Impl {
  Mutex mutex;
  CondVar wake;
  std::deque<std::shared_ptr<Job>> jobs KVCS_GUARDED_BY(mutex);
  bool stops KVCS_GUARDED_BY(mutex) = false;
  std::vector<Thread> threads KVCS_GUARDED_BY(mutex);

  void work() {
    while (const std::shared_ptr<Job> job = next()) job->run();
  }
  std::shared_ptr<Job> next() {
    MutexLock lock(mutex);
    while (jobs.empty() && !stops) wake.wait(mutex);
    if (jobs.empty()) return nullptr;
    std::shared_ptr<Job> job = std::move(jobs.front());
    jobs.pop_front();
    return job;
  }
  // The threads begin with the first job: most daemons have few sign-ins, and some none.
  Status enqueue(const std::shared_ptr<Job>& job) {
    MutexLock lock(mutex);
    const auto of_one = std::count_if(jobs.begin(), jobs.end(), [&](const auto& waiting) {
      return waiting->whose == job->whose;
    });
    if (jobs.size() >= kWaitingMax || static_cast<size_t>(of_one) >= kWaitingOfOneMax) {
      return rate_limited("Too many people sign in at once; try again.", kBusyRetryAfterS)
          .with_reason("sign_in_busy");
    }
    while (threads.size() < kThreads) {
      Result<Thread> thread = start_thread("passwords", [this] { work(); });
      if (!thread.ok() && threads.empty()) return thread.status();
      if (!thread.ok()) break;
      threads.push_back(std::move(thread).value());
    }
    jobs.push_back(job);
    wake.notify_one();
    return ok();
  }
  void abandon(const std::shared_ptr<Job>& job) {
    MutexLock lock(mutex);
    std::erase(jobs, job);
  }
  Status run(const std::shared_ptr<Job>& job) {
    KVCS_TRY(enqueue(job));
    while (!job->is_done.load(std::memory_order_acquire)) {
      const uint64_t seen = job->done.count();
      if (job->is_done.load(std::memory_order_acquire)) break;
      if (wait_for_event(job->done, seen, kWaitMaxMs) == Waiter::Woken::kClientGone) {
        abandon(job);
        return client_gone();
      }
    }
    return ok();
  }
};

PasswordHasher::PasswordHasher() : impl_(new Impl) {}

PasswordHasher::~PasswordHasher() {
  std::vector<Thread> threads;
  {
    MutexLock lock(impl_->mutex);
    impl_->stops = true;
    threads = std::move(impl_->threads);
  }
  impl_->wake.notify_all();
}

Result<std::string> PasswordHasher::hash(const Secret& password, std::string_view whose) {
  const auto job = std::make_shared<Job>();
  job->whose = whose;
  job->password = password;
  KVCS_TRY(impl_->run(job));
  if (job->made.empty()) {
    return unavailable("There is no memory to store a password at the moment; try again.");
  }
  return job->made;
}

Result<bool> PasswordHasher::fits(const Secret& password, std::string_view hash,
                                  std::string_view whose) {
  const auto job = std::make_shared<Job>();
  job->whose = whose;
  job->password = password;
  job->known = hash.empty() ? kNobodysHash : hash;
  KVCS_TRY(impl_->run(job));
  if (!job->fits) {
    return unavailable("There is no memory to compare a password at the moment; try again.")
        .with_retry_after_s(kBusyRetryAfterS);
  }
  return *job->fits && !hash.empty();
}

}  // namespace kvcs::portal
