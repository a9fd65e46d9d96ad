// Goal: a wait ends at a signal, at a ready descriptor, at its time and when the client leaves, and
// a signal that comes between the look and the wait is not lost. Method: plain threads here;
// parked requests wait in tests/http/serve.
#include "base/wait.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <list>

#include "base/clock.h"
#include "base/thread.h"

using namespace kvcs;
using Woken = Waiter::Woken;

namespace {

constexpr int kLongMs = 30'000;  // Ends a test that would wait for ever.

struct SocketPair {
  SocketPair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0); }
  ~SocketPair() {
    ::close(ends[0]);
    leave();
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  void leave() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  int ends[2];
};

// Ends every wait early, as a waiter may.
class Impatient final : public Waiter {
 public:
  Woken wait(const WaitFor& what) override {
    WaitFor shorter = what;
    shorter.timeout_ms = 5;
    return ThreadWaiter().wait(shorter);
  }
  int client_fd() const override { return -1; }
};

WaitFor signal_of(Event& event, uint64_t seen, int timeout_ms = kLongMs) {
  WaitFor what;
  what.event = &event;
  what.seen = seen;
  what.timeout_ms = timeout_ms;
  return what;
}

}  // namespace

TEST_CASE("wait: a signal that came before the wait ends it at once", "[base][wait]") {
  Event event;
  CHECK(event.count() == 0);
  event.signal();
  event.signal();
  CHECK(event.count() == 2);
  SocketPair client;
  ThreadWaiter alone, for_client(client.ends[0]);
  for (Waiter* waiter : {static_cast<Waiter*>(&alone), static_cast<Waiter*>(&for_client)}) {
    CHECK(waiter->wait(signal_of(event, 0)) == Woken::kReady);
    CHECK(waiter->wait(signal_of(event, 1)) == Woken::kReady);
    CHECK(waiter->wait(signal_of(event, 2, 1)) == Woken::kTimeout);
  }
}

TEST_CASE("wait: one signal wakes all threads that wait, with a client and without",
          "[base][wait]") {
  constexpr int kThreads = 8;
  Event event, all_here;
  std::atomic<int> here = 0, woken = 0;
  std::list<SocketPair> clients(kThreads);
  std::list<Thread> threads;
  for (int i = 0; i < kThreads; i++) {
    threads.emplace_back(
        "waits", [&, client = std::next(clients.begin(), i)->ends[0], watches = i % 2 == 0] {
          ThreadWaiter waiter(watches ? client : -1);
          if (++here == kThreads) all_here.signal();
          if (waiter.wait(signal_of(event, 0)) == Woken::kReady) ++woken;
        });
  }
  REQUIRE(wait_for_event(all_here, 0, kLongMs) == Woken::kReady);
  event.signal();
  threads.clear();  // Joins.
  CHECK(woken == kThreads);
}

TEST_CASE("wait: no signal is lost between two threads that take turns", "[base][wait]") {
  constexpr uint64_t kTurns = 20'000;
  Event asked, answered;
  std::atomic<uint64_t> question = 0, answer = 0;
  std::atomic<bool> lost = false;
  // Waits until `value` has come as far as `wanted`, as the header of Event says.
  const auto reaches = [&](Event& event, std::atomic<uint64_t>& value, uint64_t wanted) {
    while (!lost) {
      const uint64_t seen = event.count();
      if (value >= wanted) return;
      if (wait_for_event(event, seen, kLongMs) != Woken::kReady) lost = true;
    }
  };
  Thread other("answers", [&] {
    for (uint64_t i = 1; i <= kTurns && !lost; i++) {
      reaches(asked, question, i);
      answer = i;
      answered.signal();
    }
  });
  for (uint64_t i = 1; i <= kTurns && !lost; i++) {
    question = i;
    asked.signal();
    reaches(answered, answer, i);
  }
  other.join();
  CHECK_FALSE(lost);
  CHECK(answer == kTurns);
}

TEST_CASE("wait: whichever of descriptor, event and client comes first ends the wait",
          "[base][wait]") {
  Event event;
  SocketPair client, other;
  ThreadWaiter waiter(client.ends[0]);
  WaitFor what = signal_of(event, 0);
  what.descriptor = other.ends[0];
  what.events = POLLIN;
  // What a client pipelines is no reason to wake.
  REQUIRE(::write(client.ends[1], "x", 1) == 1);
  what.timeout_ms = 1;
  CHECK(waiter.wait(what) == Woken::kTimeout);
  what.timeout_ms = kLongMs;
  bool written = false;
  Thread writer("writes", [&] { written = ::write(other.ends[1], "x", 1) == 1; });
  CHECK(waiter.wait(what) == Woken::kReady);
  writer.join();
  CHECK(written);
  char byte;
  REQUIRE(::read(other.ends[0], &byte, 1) == 1);
  Thread signaller("signals", [&] { event.signal(); });
  CHECK(waiter.wait(what) == Woken::kReady);
  signaller.join();
  what.seen = event.count();
  Thread leaver("leaves", [&] { client.leave(); });
  CHECK(waiter.wait(what) == Woken::kClientGone);
  leaver.join();
  what.timeout_ms = 1;
  what.client_too = false;
  CHECK(waiter.wait(what) == Woken::kTimeout);
}

TEST_CASE("wait: wait_for_event keeps its time, and knows the client", "[base][wait]") {
  Event event;
  const auto clock = make_system_clock();
  const int64_t begun_us = clock->mono_us();
  CHECK(wait_for_event(event, 0, 30) == Woken::kTimeout);
  CHECK(clock->mono_us() - begun_us > 20'000);  // The clock of waits is coarse.
  {
    Impatient impatient;
    const WaiterScope scope(impatient);
    const int64_t again_us = clock->mono_us();
    CHECK(wait_for_event(event, 0, 30) == Woken::kTimeout);
    CHECK(clock->mono_us() - again_us > 20'000);
  }
  SocketPair client;
  client.leave();
  ThreadWaiter waiter(client.ends[0]);
  const WaiterScope scope(waiter);
  CHECK(wait_for_event(event, 0, kLongMs) == Woken::kClientGone);
  CHECK(wait_for_event(event, 0, 1, false) == Woken::kTimeout);
}

TEST_CASE("wait: the current waiter is the thread's, but for the scope of another",
          "[base][wait]") {
  CHECK(current_waiter().client_fd() == -1);
  ThreadWaiter outer(7), inner(8);
  {
    const WaiterScope outer_scope(outer);
    CHECK(&current_waiter() == &outer);
    {
      const WaiterScope inner_scope(inner);
      CHECK(&current_waiter() == &inner);
      int client_of_other = 0;
      Thread("other", [&] { client_of_other = current_waiter().client_fd(); }).join();
      CHECK(client_of_other == -1);
    }
    CHECK(&current_waiter() == &outer);
  }
  CHECK(current_waiter().client_fd() == -1);
  CHECK(current_waiter().wait({-1, 0, 1}) == Woken::kTimeout);  // For time alone.
}

TEST_CASE("wait: a thread that finds no descriptor for an event still sees its signal",
          "[base][fault][wait]") {
  Event event;
  SocketPair client;
  ThreadWaiter waiter(client.ends[0]);
  const int next = ::dup(client.ends[0]);  // The lowest number that is free.
  ::close(next);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit full{static_cast<rlim_t>(next), limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &full) == 0);
  const bool is_full = ::dup(client.ends[0]) < 0;
  const WaiterScope scope(waiter);
  const auto clock = make_system_clock();
  const int64_t begun_us = clock->mono_us();
  // The signal comes while the other thread waits, most probably.
  Thread signaller("signals", [&] {
    Event never;
    wait_for_event(never, 0, 50);
    event.signal();
  });
  const Woken woken = wait_for_event(event, 0, kLongMs);
  const int64_t took_ms = (clock->mono_us() - begun_us) / 1000;
  const Woken timed_out = wait_for_event(event, 1, 30);
  client.leave();
  const Woken gone = wait_for_event(event, 1, kLongMs);
  signaller.join();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(is_full);
  CHECK(woken == Woken::kReady);
  CHECK(took_ms < kLongMs / 3);
  CHECK(timed_out == Woken::kTimeout);
  CHECK(gone == Woken::kClientGone);
}
