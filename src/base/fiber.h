// A function on a stack of its own that can stop in its middle and go on later, on any thread. It
// is what lets a request wait without a thread.
//
// resume() runs the body until the body calls suspend() or returns; the thread that resumes need
// not be the one that resumed before. Three rules follow for a body that suspends:
//   1. It holds no lock: a mutex must be unlocked by the thread that locked it.
//   2. It is not inside a catch block or an unwinding: the C++ runtime keeps the exceptions that
//      are being handled per thread.
//   3. It does not use the address of something thread-local (errno is such a thing) from before
//      the suspension after it. tests/tidy_test.cc lists the files that may say thread_local.
// suspend() asserts the first two; nothing can assert the third.
//
// One thread at a time runs a fiber; the code that hands a fiber on from thread to thread orders
// their memory. ThreadSanitizer and AddressSanitizer are told of every switch.
#pragma once
#include <functional>
#include <memory>

namespace kvcs {

class Fiber final {
 public:
  // 1 MiB of address space, of which only what is touched takes memory, over a guard page. Null
  // when the process gets no more of it.
  static std::unique_ptr<Fiber> create(std::function<void()> body);
  // The body has returned or was never begun; it may not be left in the middle.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Not from inside; not after the body returned. The caller holds no lock.
  void resume();
  // From inside only; returns when resumed. Aborts the process when a rule above is broken.
  void suspend();
  bool ended() const;  // The body has returned.

 private:
  struct Impl;
  explicit Fiber(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
