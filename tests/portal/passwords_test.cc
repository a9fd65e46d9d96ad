// Goal: weak passwords are refused, and the work of hashing is shared. Method: the hasher itself,
// with threads that wait for it.
#include "portal/passwords.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "base/password_hash.h"
#include "base/wait.h"
#include "portal/portal_rig.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

TEST_CASE("passwords: those that are guessed first are refused", "[unit][portal]") {
  for (const char* weak : {"password", "12345678", "qwertyuiop", "ada.lovelace", "iloveyou1"}) {
    INFO(weak);
    CHECK(check_new_password(Secret(weak), {"ada.lovelace@example.com", "ada.lovelace"}).reason() ==
          "password_guessable");
  }
  CHECK(check_new_password(Secret("seven77"), {}).reason() == "password_length");
  CHECK(check_new_password(Secret(std::string(1001, 'x')), {}).reason() == "password_length");
  CHECK(check_new_password(kPassword, {}).ok());
  CHECK(check_new_password(Secret("Ub9!hq-27zL"), {}).ok());
}

TEST_CASE("passwords: without memory nobody is told that a password is wrong", "[fault][portal]") {
  const std::string hash = hash_password(kPassword);
  REQUIRE(password_fits(kPassword, hash) == true);
  CHECK(password_fits(Secret("other"), hash) == false);
  // A process of its own, as memory that is taken away from one does not come back.
  const pid_t child = ::fork();
  if (child == 0) {
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    const rlim_t limit = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (16u << 20);
    const rlimit memory{limit, limit};
    const bool limited = ::setrlimit(RLIMIT_AS, &memory) == 0;
    ::_exit(limited && !password_fits(kPassword, hash) ? 0 : 1);
  }
  REQUIRE(child > 0);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("passwords: a hash fits its password alone", "[unit][portal]") {
  PasswordHasher hasher;
  const std::string hash = hasher.hash(kPassword, "a").value();
  // What an account that is not there is compared with has the same cost.
  CHECK(hash.starts_with("$argon2id$v=19$m=65536,t=2,p=1$"));
  CHECK(hasher.hash(kPassword, "a").value() != hash);
  CHECK(hasher.fits(kPassword, hash, "a").value());
  CHECK_FALSE(hasher.fits(Secret("other"), hash, "a").value());
  CHECK_FALSE(hasher.fits(kPassword, "", "a").value());
  CHECK_FALSE(hasher.fits(kPassword, "no hash", "a").value());
}

TEST_CASE("passwords: so many wait and no more", "[fault][portal]") {
  PasswordHasher hasher;
  std::atomic<int> busy{0}, hashed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 60; i++) {
    threads.emplace_back([&, i] {
      const Result<std::string> hash = hasher.hash(kPassword, std::to_string(i));
      if (hash.ok()) hashed++;
      if (hash.status().reason() == "sign_in_busy") busy++;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(busy > 0);
  CHECK(hashed >= 32);
  CHECK(busy + hashed == 60);
}

TEST_CASE("passwords: one address has a share of the work", "[fault][portal]") {
  PasswordHasher hasher;
  std::atomic<int> busy{0}, hashed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; i++) {
    threads.emplace_back([&, i] {
      const Result<std::string> hash =
          hasher.hash(kPassword, i < 30 ? "flood" : "other " + std::to_string(i));
      if (hash.ok() && i >= 30) hashed++;
      if (hash.status().reason() == "sign_in_busy" && i < 30) busy++;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(hashed == 10);
  CHECK(busy > 0);
}

TEST_CASE("passwords: what a client that has left asked for is not done", "[fault][portal]") {
  PasswordHasher hasher;
  const auto leave = [&](const std::string& whose) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    ::close(ends[1]);
    ThreadWaiter waiter(ends[0]);
    const WaiterScope scope(waiter);
    const std::string reason(hasher.hash(kPassword, whose).status().reason());
    ::close(ends[0]);
    return reason;
  };
  // Far more than may wait: none is refused, since none waits any more. The first ones may have
  // been begun, and one may end before its client is looked at.
  int left = 0;
  for (int i = 0; i < 60; i++) {
    const std::string reason = leave("gone");
    CHECK(reason != "sign_in_busy");
    left += reason.empty() ? 0 : 1;
  }
  CHECK(left > 30);
  CHECK(hasher.hash(kPassword, "gone").ok());
}
