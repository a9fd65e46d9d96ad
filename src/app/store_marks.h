// How the stores of a data directory know that they belong together. Each bears a mark: the id of
// the directory, and its generation, which is one more at each start. A store that was lost and
// made anew has none; one of another directory has another id; one that was put back from an older
// copy, or has lost the end of its log, has an older generation. Then the daemon does not start,
// for what it would do next could not be mended: money would be spent twice, revoked keys work
// again, blobs without a row be swept.
//
// A start raises the marks in a fixed order: the file store.json, KV, ledger.db, portal.db, and
// then notes in the file that it is through. So a start that was cut off shows as one step of
// difference in that order, in a file that is not through, and the next one completes it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/entropy.h"
#include "base/status.h"

namespace kvcs {

class Database;
class KvStore;

// What this program writes. A directory with a higher number is a newer program's.
// 2: secret values in tenants' records are sealed; an older program would send what stands there.
inline constexpr int64_t kDataFormat = 2;

struct StoreMark {
  std::string store_id;
  int64_t generation = 0;
  int64_t format = kDataFormat;
  bool operator==(const StoreMark&) const = default;
};

// store.json, the mark of the directory itself.
struct DirectoryMark {
  StoreMark mark;
  bool through = false;  // Every store has had this generation.
};

// Which stores there are, before any is opened; opening makes what is missing.
struct StoresThere {
  bool kv = false, ledger = false, portal = false;
  std::string trace;  // A file of an earlier life, beside no store at all; "" = none.
  bool any() const { return kv || ledger || portal; }
  bool all() const { return kv && ledger && portal; }
};
// A failure when the system cannot tell: a store that cannot be looked at is not a missing one.
Result<StoresThere> look_for_stores(const std::string& data_dir);

std::string store_file_path(const std::string& data_dir);
// Nothing when there is no file. Invalid, reason kMarkDamaged, when it is damaged; Conflict when it
// is a newer program's.
Result<std::optional<DirectoryMark>> read_directory_mark(const std::string& data_dir);
Status write_directory_mark(const std::string& data_dir, const DirectoryMark& mark);
// Nothing when the store has no mark; failures as above. `name` is for the text of a failure.
Result<std::optional<StoreMark>> read_mark(const KvStore& kv, const std::string& name);
Result<std::optional<StoreMark>> read_mark(Database& db, const std::string& name);
Status write_mark(KvStore& kv, const StoreMark& mark);  // Synced.
Status write_mark(Database& db, const StoreMark& mark);

// The marks that were found; nothing = none.
struct FoundMarks {
  std::optional<DirectoryMark> directory;
  std::optional<StoreMark> kv, ledger, portal;
};

// The id that most of the marks bear; the directory's, or the first one's, of as many. "": no mark.
std::string agreed_id(const FoundMarks& found);
// A sentence that tells a damaged mark from one of another directory by their ids.
std::string how_ids_differ(const std::string& one, const std::string& other);

// May the stores be opened? Conflict names what is missing and the ways out. A directory without
// store.json is one of before: it is new when nothing is there.
Status check_stores_there(const std::string& data_dir, const StoresThere& there,
                          const std::optional<DirectoryMark>& directory);
// Do the marks fit? Returns the one that this start gives to all. Conflict names the store, what
// was found, and the ways out.
Result<StoreMark> check_marks(const std::string& data_dir, const FoundMarks& found,
                              Entropy& entropy);

}  // namespace kvcs
