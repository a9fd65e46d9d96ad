// A function on a stack of its own, that can stop in its middle and go on later, on any thread.
// What lets a request wait without a thread.
//
// resume() runs the body until it calls suspend() or returns; the thread that resumes need not be
// the one before. So a body that suspends must not hold a lock, must not be inside a catch block or
// an unwinding, and must not use the address of something thread-local (errno is such a thing)
// from before the suspension after it. One thread at a time; whoever hands a fiber on from thread
// to thread orders their memory. ThreadSanitizer and AddressSanitizer are told of every switch.
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

  void resume();   // Not from inside; not after the body returned.
  void suspend();  // From inside only; returns when resumed.
  bool ended() const;

 private:
  struct Impl;
  explicit Fiber(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
