// The hash chain: whole after any history, broken by any change to it.
#include "ledger/audit.h"

#include <catch2/catch.hpp>

#include "ledger/ledger_fixture.h"

using namespace kvcs;
using test::LedgerFixture;

namespace {

void fill(LedgerFixture& f, int count) {
  for (int i = 1; i <= count; i++) {
    f.put_audit("a" + std::to_string(i), "key" + std::to_string(i), 1000 * i);
  }
  REQUIRE(f.ledger->drain().ok());
}

}  // namespace

TEST_CASE("audit: the chain grows by one hash a row and verifies", "[unit][ledger]") {
  LedgerFixture f;
  auto empty = f.ledger->verify_audit_chain();
  REQUIRE(empty.ok());
  CHECK(empty->rows == 0);
  fill(f, 20);
  auto chain = f.ledger->verify_audit_chain();
  REQUIRE(chain.ok());
  CHECK(chain->rows == 20);
  CHECK(chain->head.size() == 64);
  CHECK(f.number("SELECT count(*) FROM kv_audit WHERE prev_chain_hash=''") == 1);
  // The same record again adds nothing.
  f.put_audit("a20", "key20", 20'000);
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.ledger->verify_audit_chain()->rows == 20);
}

TEST_CASE("audit: a hash covers every field, and where one ends and the next begins",
          "[unit][ledger]") {
  const AuditRow base{"i", 1, "f", "k", "put", "o", "n", "s", "a", "r"};
  const std::string hash = audit_chain_hash("p", base);
  CHECK(audit_chain_hash("p", base) == hash);
  CHECK(audit_chain_hash("q", base) != hash);
  std::vector<AuditRow> others(10, base);
  others[0].id = "j";
  others[1].ts_ms = 2;
  others[2].family = "g";
  others[3].key = "l";
  others[4].action = "delete";
  others[5].old_hash = "";
  others[6].new_hash = "m";
  others[7].source = "t";
  others[8].actor = "b";
  others[9].request_id = "r\n";
  for (const AuditRow& other : others) CHECK(audit_chain_hash("p", other) != hash);
  AuditRow shifted = base;
  shifted.source = "sa";
  shifted.actor = "";
  CHECK(audit_chain_hash("p", shifted) != hash);
}

TEST_CASE("audit: every way to tamper is found, and the row named", "[unit][ledger]") {
  struct Tampering {
    const char* sql;
    const char* names;
  };
  for (const Tampering& tampering : {
           Tampering{"UPDATE kv_audit SET actor='me' WHERE seq=7", "Row 7"},
           Tampering{"UPDATE kv_audit SET ts_ms=ts_ms+1 WHERE seq=1", "Row 1 "},
           Tampering{"UPDATE kv_audit SET chain_hash=prev_chain_hash WHERE seq=7", "Row 7"},
           Tampering{"DELETE FROM kv_audit WHERE seq=7", "Row 8"},
           Tampering{"DELETE FROM kv_audit WHERE seq=1", "Row 2"},
           Tampering{"DELETE FROM kv_audit WHERE seq=10", "newest rows"},
           Tampering{"DELETE FROM kv_audit", "newest rows"},
           Tampering{"UPDATE kv_audit SET seq=-seq", "Row -10"},
           Tampering{"INSERT INTO kv_audit SELECT 11, 'x', ts_ms, family, key, action, old_hash,"
                     " new_hash, source, actor, request_id, chain_hash, chain_hash FROM kv_audit"
                     " WHERE seq=10",
                     "Row 11"},
       }) {
    INFO(tampering.sql);
    LedgerFixture f;
    fill(f, 10);
    REQUIRE(f.execute(tampering.sql).ok());
    const auto chain = f.ledger->verify_audit_chain();
    CHECK(chain.code() == Code::kConflict);
    CHECK(chain.status().reason() == "audit_chain_broken");
    INFO(chain.status().message());
    CHECK(chain.status().message().find(tampering.names) != std::string::npos);
  }
}

TEST_CASE("audit: pruning leaves a chain that still verifies and grows", "[unit][ledger]") {
  LedgerFixture f;
  fill(f, 10);
  f.clock.set_unix_ms(10'000);
  auto removed = f.ledger->prune("kv_audit", 5, 0);
  REQUIRE(removed.ok());
  CHECK(*removed == 4);
  auto chain = f.ledger->verify_audit_chain();
  REQUIRE(chain.ok());
  CHECK(chain->rows == 6);
  CHECK(chain->pruned == 4);
  CHECK(*f.ledger->prune("kv_audit", 0, 2) == 4);
  f.put_audit("a11", "key11", 11'000);
  REQUIRE(f.ledger->drain().ok());
  chain = f.ledger->verify_audit_chain();
  REQUIRE(chain.ok());
  CHECK(chain->rows == 3);
  CHECK(chain->pruned == 8);
  REQUIRE(f.execute("DELETE FROM kv_audit WHERE id='a9'").ok());
  CHECK(f.ledger->verify_audit_chain().code() == Code::kConflict);
}

TEST_CASE("audit: a row whose clock ran ahead keeps the younger ones behind it", "[unit][ledger]") {
  LedgerFixture f;
  f.put_audit("a1", "k", 1000);
  REQUIRE(f.ledger->drain().ok());
  f.put_audit("a2", "k", 9'000'000);
  REQUIRE(f.ledger->drain().ok());
  f.put_audit("a3", "k", 2000);
  REQUIRE(f.ledger->drain().ok());
  f.clock.set_unix_ms(1'000'000);
  CHECK(*f.ledger->prune("kv_audit", 100, 0) == 1);
  CHECK(f.ledger->verify_audit_chain()->rows == 2);
}
