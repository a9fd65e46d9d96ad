// While it lives the process can start no thread, as under a limit of tasks (RLIMIT_NPROC, which
// does not hold for root, who runs tests in containers). Threads that run already go on. One at a
// time.
#pragma once
#include <catch2/catch.hpp>
#include <pthread.h>

#include <cstddef>

namespace kvcs::test {

class NoThreads final {
 public:
  // No address space has room for such a stack, hence pthread_create says EAGAIN.
  NoThreads() {
    pthread_attr_t wide;
    REQUIRE(::pthread_getattr_default_np(&before_) == 0);
    REQUIRE(::pthread_getattr_default_np(&wide) == 0);
    REQUIRE(::pthread_attr_setstacksize(&wide, size_t{1} << 47) == 0);
    REQUIRE(::pthread_setattr_default_np(&wide) == 0);
    ::pthread_attr_destroy(&wide);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  ~NoThreads() {
    ::pthread_setattr_default_np(&before_);
    ::pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

}  // namespace kvcs::test
