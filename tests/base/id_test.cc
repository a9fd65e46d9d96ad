#include "base/id.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

#include "base/bytes.h"

using namespace kvcs;

TEST_CASE("id: request ids never repeat, also among threads", "[unit][base]") {
  std::vector<std::vector<std::string>> made(4);
  std::vector<std::thread> threads;
  for (auto& mine : made) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < 20'000; i++) mine.push_back(make_request_id());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& mine : made) all.insert(mine.begin(), mine.end());
  CHECK(all.size() == 80'000);
  CHECK(std::all_of(all.begin(), all.end(), [](const std::string& id) { return is_hex(id, 16); }));
}

TEST_CASE("id: request ids sort by the millisecond they were made in", "[unit][base]") {
  // Of one millisecond the counter may wrap around; of two the first is less.
  const std::string first = make_request_id();
  std::string later = make_request_id();
  while (later.substr(0, 10) == first.substr(0, 10)) later = make_request_id();
  CHECK(first < later);
}
