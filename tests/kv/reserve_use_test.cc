// Goal: on a full disk somebody comes in and takes permissions away, and nobody fills the rest.
// Method: batches as the daemon writes them, each asked about over a store in memory.
#include "kv/reserve_use.h"

#include <catch2/catch.hpp>

#include "base/clock.h"
#include "kv/keyspace.h"

using namespace kvcs;

namespace {

struct Reserve {
  ManualClock clock;
  std::unique_ptr<KvStore> kv = make_memory_kv(clock);

  bool takes(KvFamily family, const std::string& key, size_t bytes) const {
    KvBatch batch;
    batch.put(family, key, KvEntry{std::string(bytes, 'x'), {}, 0});
    return may_use_reserve(*kv, batch);
  }
};

}  // namespace

TEST_CASE("reserve: a sign-in and a small record of an idempotency key have room", "[unit][kv]") {
  const Reserve reserve;
  for (const std::string& key : {keyspace::session("a"), keyspace::session_of("person", "a"),
                                 keyspace::oauth_state("a"), keyspace::idempotency("key", "a")}) {
    INFO(key);
    CHECK(reserve.takes(KvFamily::kSystem, key, 4096));
    CHECK_FALSE(reserve.takes(KvFamily::kSystem, key, 4097));
    CHECK_FALSE(reserve.takes(KvFamily::kConfig, key, 1));
  }
  CHECK_FALSE(reserve.takes(KvFamily::kSystem, keyspace::invitation("a"), 1));
}

TEST_CASE("reserve: what is there may change and go, and what is new has no room", "[unit][kv]") {
  const Reserve reserve;
  const std::string key = keyspace::person_profile("ada");
  CHECK_FALSE(reserve.takes(KvFamily::kConfig, key, 1));
  KvBatch first;
  first.put(KvFamily::kConfig, key, KvEntry{"x", {}, 0});
  REQUIRE(reserve.kv->write(first, KvDurability::kBuffered).ok());
  CHECK(reserve.takes(KvFamily::kConfig, key, 4097));
  CHECK_FALSE(reserve.takes(KvFamily::kConfig, key, 4098));
  // One change that has no room keeps all others of its batch out.
  KvBatch both;
  both.remove(KvFamily::kConfig, key);
  CHECK(may_use_reserve(*reserve.kv, both));
  both.put(KvFamily::kConfig, keyspace::person_profile("eve"), KvEntry{"x", {}, 0});
  CHECK_FALSE(may_use_reserve(*reserve.kv, both));
}
