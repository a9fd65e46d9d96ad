// std::mutex with the annotations that clang's -Wthread-safety checks (`make check`).
// Never hold a lock over I/O, a callback or another lock, unless the header that owns it says so.
//
// Each thread counts the locks that it holds, so that a wait that may move a request to another
// thread can assert that there are none (base/fiber.h): a mutex must be unlocked by its locker.
#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define KVCS_TSA(x) __attribute__((x))
#else
#define KVCS_TSA(x)
#endif
#define KVCS_GUARDED_BY(x) KVCS_TSA(guarded_by(x))
#define KVCS_REQUIRES(...) KVCS_TSA(requires_capability(__VA_ARGS__))

namespace kvcs {

// Mutexes of this file that the calling thread holds. The functions are never inlined: a compiler
// that saw the thread-local counter could keep its address over a suspension.
int locks_held();
void count_locked();
void count_unlocked();

class KVCS_TSA(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock() KVCS_TSA(acquire_capability()) {
    m_.lock();
    count_locked();
  }
  void unlock() KVCS_TSA(release_capability()) {
    count_unlocked();
    m_.unlock();
  }
  bool try_lock() KVCS_TSA(try_acquire_capability(true)) {
    const bool locked = m_.try_lock();
    if (locked) count_locked();
    return locked;
  }

 private:
  friend class CondVar;
  std::mutex m_;
};

class KVCS_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& m) KVCS_TSA(acquire_capability(m)) : m_(m) { m_.lock(); }
  ~MutexLock() KVCS_TSA(release_capability()) { m_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& m_;
};

// Waits may wake early; the caller loops over its condition. A wait blocks its thread: code that
// serves requests waits for an Event (base/wait.h) where the wait may be long.
class CondVar {
 public:
  void wait(Mutex& m) KVCS_REQUIRES(m) {
    std::unique_lock<std::mutex> l(m.m_, std::adopt_lock);
    cv_.wait(l);
    l.release();
  }
  // False when the time ran out.
  bool wait_for_ms(Mutex& m, int64_t ms) KVCS_REQUIRES(m) {
    std::unique_lock<std::mutex> l(m.m_, std::adopt_lock);
    const bool notified =
        cv_.wait_until(l, std::chrono::steady_clock::now() + std::chrono::milliseconds(ms)) ==
        std::cv_status::no_timeout;
    l.release();
    return notified;
  }
  void notify_one() { cv_.notify_one(); }
  void notify_all() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

// Any number of readers or one writer.
class KVCS_TSA(capability("shared_mutex")) SharedMutex {
 public:
  void lock() KVCS_TSA(acquire_capability()) {
    m_.lock();
    count_locked();
  }
  void unlock() KVCS_TSA(release_capability()) {
    count_unlocked();
    m_.unlock();
  }
  void lock_shared() KVCS_TSA(acquire_shared_capability()) {
    m_.lock_shared();
    count_locked();
  }
  void unlock_shared() KVCS_TSA(release_shared_capability()) {
    count_unlocked();
    m_.unlock_shared();
  }

 private:
  std::shared_mutex m_;
};
class KVCS_TSA(scoped_lockable) WriteLock {
 public:
  explicit WriteLock(SharedMutex& m) KVCS_TSA(acquire_capability(m)) : m_(m) { m_.lock(); }
  ~WriteLock() KVCS_TSA(release_capability()) { m_.unlock(); }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  SharedMutex& m_;
};
class KVCS_TSA(scoped_lockable) ReadLock {
 public:
  explicit ReadLock(SharedMutex& m) KVCS_TSA(acquire_shared_capability(m)) : m_(m) {
    m_.lock_shared();
  }
  ~ReadLock() KVCS_TSA(release_generic_capability()) { m_.unlock_shared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  SharedMutex& m_;
};

}  // namespace kvcs
