// Goal: a fiber stops and goes on where it should, on any thread, and a body that suspends against
// the rules ends the process at once. Method: bodies that write down how far they came; a child
// process for each rule that is broken.
#include "base/fiber.h"

#include <catch2/catch.hpp>
#include <sys/resource.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "support/death.h"

using kvcs::Fiber;

TEST_CASE("fiber: stops in the middle and goes on", "[base][fiber]") {
  std::string seen;
  Fiber* self = nullptr;
  const auto fiber = Fiber::create([&] {
    seen += 'a';
    self->suspend();
    seen += 'b';
    self->suspend();
    seen += 'c';
  });
  self = fiber.get();
  CHECK(seen.empty());
  fiber->resume();
  CHECK(seen == "a");
  CHECK_FALSE(fiber->ended());
  fiber->resume();
  CHECK(seen == "ab");
  fiber->resume();
  CHECK(seen == "abc");
  CHECK(fiber->ended());
}

TEST_CASE("fiber: one that was never begun may go", "[base][fiber]") {
  bool ran = false;
  {
    const auto fiber = Fiber::create([&] { ran = true; });
  }
  CHECK_FALSE(ran);
}

TEST_CASE("fiber: each step may be on another thread", "[base][fiber]") {
  std::vector<std::thread::id> threads;
  Fiber* self = nullptr;
  const auto fiber = Fiber::create([&] {
    for (int i = 0; i < 3; i++) {
      threads.push_back(std::this_thread::get_id());
      self->suspend();
    }
  });
  self = fiber.get();
  for (int i = 0; i < 3; i++) std::thread([&] { fiber->resume(); }).join();
  fiber->resume();
  REQUIRE(threads.size() == 3);
  CHECK(fiber->ended());
}

TEST_CASE("fiber: exceptions stay inside, and fibers nest", "[base][fiber]") {
  std::string seen;
  Fiber* outer_self = nullptr;
  const auto outer = Fiber::create([&] {
    Fiber* inner_self = nullptr;
    const auto inner = Fiber::create([&] {
      try {
        inner_self->suspend();
        throw std::runtime_error("thrown");
      } catch (const std::runtime_error& error) {
        seen += error.what();
      }
    });
    inner_self = inner.get();
    inner->resume();
    outer_self->suspend();
    inner->resume();
    seen += inner->ended() ? ", ended" : ", waits";
  });
  outer_self = outer.get();
  outer->resume();
  CHECK(seen.empty());
  outer->resume();
  CHECK(seen == "thrown, ended");
}

namespace {

// What the process says when it aborts as a fiber runs `body`, which suspends it.
std::string death_of_fiber(const std::function<void(Fiber& self)>& body) {
  return kvcs::test::death_of([&] {
    Fiber* self = nullptr;
    const auto fiber = Fiber::create([&] { body(*self); });
    self = fiber.get();
    fiber->resume();
    fiber->resume();
  });
}

}  // namespace

TEST_CASE("fiber: a suspension with a lock held aborts", "[base][fiber]") {
  kvcs::Mutex mutex;
  kvcs::SharedMutex shared;
  const std::string why = "assertion failed: holds_no_lock";
  CHECK_THAT(death_of_fiber([&](Fiber& self) {
               const kvcs::MutexLock lock(mutex);
               self.suspend();
             }),
             Catch::Contains(why));
  CHECK_THAT(death_of_fiber([&](Fiber& self) {
               const kvcs::ReadLock lock(shared);
               self.suspend();
             }),
             Catch::Contains(why));
  CHECK_THAT(death_of_fiber([&](Fiber& self) {
               const kvcs::WriteLock lock(shared);
               self.suspend();
             }),
             Catch::Contains(why));
}

TEST_CASE("fiber: a suspension inside a catch block aborts", "[base][fiber]") {
  CHECK_THAT(death_of_fiber([](Fiber& self) {
               try {
                 throw std::runtime_error("thrown");
               } catch (const std::runtime_error&) {
                 self.suspend();
               }
             }),
             Catch::Contains("assertion failed: is_not_in_catch"));
}

TEST_CASE("fiber: a suspension while an exception unwinds aborts", "[base][fiber]") {
  struct Suspends {
    ~Suspends() { self.suspend(); }
    Fiber& self;
  };
  CHECK_THAT(death_of_fiber([](Fiber& self) {
               try {
                 const Suspends leaves{self};
                 throw std::runtime_error("thrown");
               } catch (const std::runtime_error&) {
               }
             }),
             Catch::Contains("assertion failed: is_not_unwinding"));
}

TEST_CASE("fiber: locks and exceptions that are over do not hinder a suspension", "[base][fiber]") {
  CHECK(death_of_fiber([](Fiber& self) {
          kvcs::Mutex mutex;
          if (mutex.try_lock()) mutex.unlock();
          { const kvcs::MutexLock lock(mutex); }
          try {
            throw std::runtime_error("thrown");
          } catch (const std::runtime_error&) {
          }
          self.suspend();
        }).empty());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // They need the memory.
TEST_CASE("fiber: without memory for a stack there is none", "[base][fault][fiber]") {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_AS, &limit) == 0);
  const rlimit none{1, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_AS, &none) == 0);
  const auto fiber = Fiber::create([] {});
  REQUIRE(::setrlimit(RLIMIT_AS, &limit) == 0);
  CHECK(fiber == nullptr);
}
#endif

TEST_CASE("fiber: a deep call has room", "[base][fiber]") {
  size_t sum = 0;
  const auto fiber = Fiber::create([&] {
    volatile char room[512 << 10];
    for (size_t i = 0; i < sizeof room; i += 4096) room[i] = 1;
    for (size_t i = 0; i < sizeof room; i += 4096) sum += static_cast<size_t>(room[i]);
  });
  fiber->resume();
  CHECK(sum == 128);
}
