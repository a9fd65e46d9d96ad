// The trace of an artifact's change in the audit: a row of its chain, through the same outbox as
// the changes of the key-value store (kv/audited_kv.h), since artifacts live in SQL.
#pragma once
#include "artifacts/artifacts.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "kv/kv.h"

namespace kvcs {

// The change is committed by then: a record that cannot be written is an error in the log, and
// nothing is undone.
void record_artifact_audit(KvStore& kv, const Clock& clock, Entropy& entropy,
                           const ArtifactEvent& event);

}  // namespace kvcs
