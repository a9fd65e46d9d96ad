#include "base/fiber.h"

#include <catch2/catch.hpp>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using kvcs::Fiber;

TEST_CASE("fiber: stops in the middle and goes on", "[base][fiber]") {
  std::string seen;
  Fiber* self = nullptr;
  Fiber fiber([&] {
    seen += 'a';
    self->suspend();
    seen += 'b';
    self->suspend();
    seen += 'c';
  });
  self = &fiber;
  CHECK(seen.empty());
  fiber.resume();
  CHECK(seen == "a");
  CHECK_FALSE(fiber.ended());
  fiber.resume();
  CHECK(seen == "ab");
  fiber.resume();
  CHECK(seen == "abc");
  CHECK(fiber.ended());
}

TEST_CASE("fiber: one that was never begun may go", "[base][fiber]") {
  bool ran = false;
  {
    Fiber fiber([&] { ran = true; });
  }
  CHECK_FALSE(ran);
}

TEST_CASE("fiber: each step may be on another thread", "[base][fiber]") {
  std::vector<std::thread::id> threads;
  Fiber* self = nullptr;
  Fiber fiber([&] {
    for (int i = 0; i < 3; i++) {
      threads.push_back(std::this_thread::get_id());
      self->suspend();
    }
  });
  self = &fiber;
  for (int i = 0; i < 3; i++) std::thread([&] { fiber.resume(); }).join();
  fiber.resume();
  REQUIRE(threads.size() == 3);
  CHECK(fiber.ended());
}

TEST_CASE("fiber: exceptions stay inside, and fibers nest", "[base][fiber]") {
  std::string seen;
  Fiber* outer_self = nullptr;
  Fiber outer([&] {
    Fiber* inner_self = nullptr;
    Fiber inner([&] {
      try {
        inner_self->suspend();
        throw std::runtime_error("thrown");
      } catch (const std::runtime_error& error) {
        seen += error.what();
      }
    });
    inner_self = &inner;
    inner.resume();
    outer_self->suspend();
    inner.resume();
    seen += inner.ended() ? ", ended" : ", waits";
  });
  outer_self = &outer;
  outer.resume();
  CHECK(seen.empty());
  outer.resume();
  CHECK(seen == "thrown, ended");
}

TEST_CASE("fiber: a deep call has room", "[base][fiber]") {
  size_t sum = 0;
  Fiber fiber([&] {
    volatile char room[512 << 10];
    for (size_t i = 0; i < sizeof room; i += 4096) room[i] = 1;
    for (size_t i = 0; i < sizeof room; i += 4096) sum += static_cast<size_t>(room[i]);
  });
  fiber.resume();
  CHECK(sum == 128);
}
