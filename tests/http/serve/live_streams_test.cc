// Goal: a stream ends with the write that shuts its caller out, also when that comes between the
// guard and the stream's beginning. Method: connections over socket pairs; who is admitted is a
// set.
#include "http/serve/live_streams.h"

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>

#include "http/serve/connection.h"

using namespace kvcs;
using namespace kvcs::http;

namespace {

// A connection and its client's end.
struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    connection.reset(ends[0], "127.0.0.1");
    client = ends[1];
  }
  ~Pair() {
    connection.close();
    ::close(client);
  }
  bool is_open() const {
    char byte = 0;
    return ::recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  Connection connection;
  int client = -1;
};

Principal caller(const std::string& key_id) {
  Principal who;
  who.key_id = key_id;
  return who;
}

struct Streams {
  std::set<std::string> refused;
  LiveStreams live{[this](const Principal& who) { return !refused.contains(who.key_id); }};
  void refuse(const std::string& key_id) {
    refused.insert(key_id);
    live.check([&](const Principal& who) { return who.key_id == key_id; });
  }
};

}  // namespace

TEST_CASE("live streams: those of a refused caller end, and no others", "[unit][http]") {
  Streams streams;
  Pair a, second_of_a, b;
  const uint64_t seen = streams.live.checks();
  const LiveStreams::Entry one(streams.live, caller("a"), a.connection, seen),
      two(streams.live, caller("a"), second_of_a.connection, seen),
      other(streams.live, caller("b"), b.connection, seen);
  streams.live.check([](const Principal&) { return true; });
  CHECK(a.is_open());
  streams.refuse("a");
  CHECK_FALSE(a.is_open());
  CHECK_FALSE(second_of_a.is_open());
  CHECK(b.is_open());
}

TEST_CASE("live streams: a caller refused after the guard has no stream", "[unit][http]") {
  Streams streams;
  Pair late, unharmed;
  const uint64_t seen = streams.live.checks();
  streams.refuse("a");
  const LiveStreams::Entry entry(streams.live, caller("a"), late.connection, seen),
      other(streams.live, caller("b"), unharmed.connection, seen);
  CHECK_FALSE(late.is_open());
  CHECK(unharmed.is_open());
}

TEST_CASE("live streams: one that is over is left alone", "[unit][http]") {
  Streams streams;
  Pair a;
  { const LiveStreams::Entry entry(streams.live, caller("a"), a.connection, 0); }
  streams.refuse("a");
  CHECK(a.is_open());
}
