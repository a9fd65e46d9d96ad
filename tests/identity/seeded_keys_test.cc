// Goal: keys of a seed are those that the self-hosted backend makes of it.
// Method: the known answers of its documentation.
#include "identity/seeded_keys.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("seeded keys: the known ones", "[unit][identity]") {
  struct Row {
    const char *seed, *organization, *key;
  };
  const Row rows[] = {
      {"test-seed-deadbeef", "acme",
       "kv_72e24653cf65c3ca971e307a5a435579353205766ef04f40f8e0ec6ade95af9f"},
      {"isolation-test-seed", "acme",
       "kv_4d04b25aaeccac959ca1c7112f80941a78c4ae4eb79f188222634acb1494853e"},
      {"quota-test-seed", " Acme ",
       "kv_6cad0b9d0f9b481c9c7f1d53a8d9411235ab26ac1f9def6bdadaf3f944a91793"},
  };
  for (const Row& row : rows) {
    INFO(row.seed);
    CHECK(seeded_key(Secret(row.seed), row.organization).reveal() == row.key);
  }
  CHECK(seeded_key(Secret("test-seed-deadbeef"), "contoso").reveal() != rows[0].key);
}
