// Goal: a change of an artifact and its audit record happen together or not at all, and the record
// comes to the chain once, whatever fails on the way. Method: the artifact store and a ledger, with
// faults between the steps of the move.
#include "artifacts/artifact_audit.h"

#include "artifact_world.h"
#include "ledger/ledger_fixture.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;
using test::FaultVfs;
using test::LedgerFixture;

Result<int64_t> move(ArtifactWorld& w, LedgerFixture& history) {
  return move_artifact_audit(*w.writer, *w.readers, *history.ledger);
}

}  // namespace

TEST_CASE("artifact audit: each change is one row of the chain, in order", "[artifacts][unit]") {
  ArtifactWorld w;
  LedgerFixture history;
  const Artifact a = w.store("bytes", w.acme);
  REQUIRE(w.service->set_visibility(w.acme, a.id, true, "r1").ok());
  REQUIRE(w.service->set_visibility(w.acme, a.id, true, "r2").ok());  // Changes nothing.
  REQUIRE(w.service->remove(w.acme, a.id, "r3").ok());
  CHECK(w.audits().size() == 3);
  CHECK(move(w, history).value() == 3);
  CHECK(w.audits().empty());
  CHECK(move(w, history).value() == 0);
  CHECK(history.number("SELECT count(*) FROM kv_audit WHERE family = 'artifact' AND key = '" +
                       a.id + "'") == 3);
  CHECK(history.number("SELECT count(*) FROM kv_audit WHERE seq = 3 AND action = 'delete' AND "
                       "request_id = 'r3' AND old_hash = '" +
                       a.sha256 + "'") == 1);
  CHECK(history.ledger->verify_audit_chain()->rows == 3);
}

TEST_CASE("artifact audit: what is not changed is not told of", "[artifacts][fault]") {
  ArtifactWorld w;
  const Artifact a = w.store("bytes", w.acme);
  const size_t before = w.audits().size();
  CHECK(w.service->remove(w.other, a.id, "r").code() == Code::kNotFound);
  w.disk.fail_from(FaultVfs::Op::kSync, 1, FaultVfs::Fault::kIoError);
  CHECK_FALSE(w.service->remove(w.acme, a.id, "r").ok());
  w.disk.heal();
  CHECK(w.audits().size() == before);
  CHECK(w.service->find(a.id).ok());
}

TEST_CASE("artifact audit: a process that dies between the two commits moves the record once",
          "[artifacts][fault]") {
  ArtifactWorld w;
  LedgerFixture history;
  const Artifact a = w.store("bytes", w.acme);
  REQUIRE(w.service->remove(w.acme, a.id, "r").ok());
  // The chain has the records; the outbox cannot let go of them.
  w.disk.fail_from(FaultVfs::Op::kSync, 1, FaultVfs::Fault::kIoError);
  CHECK_FALSE(move(w, history).ok());
  w.disk.heal();
  CHECK(history.number("SELECT count(*) FROM kv_audit") == 2);
  CHECK(w.audits().size() == 2);
  w.restart();
  CHECK(move(w, history).value() == 2);
  CHECK(w.audits().empty());
  CHECK(history.number("SELECT count(*) FROM kv_audit") == 2);
  CHECK(history.ledger->verify_audit_chain().ok());
}

}  // namespace kvcs
