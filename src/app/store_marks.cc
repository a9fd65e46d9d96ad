// Reads, compares and writes the marks. The file and the value in KV are JSON; the databases have a
// table of one row, made here and not by a migration, since it belongs to the directory and not to
// what a module keeps in the database.
#include "app/store_marks.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "app/files.h"
#include "base/bytes.h"
#include "base/damage.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "db/db.h"
#include "kv/keyspace.h"
#include "kv/kv.h"

namespace kvcs {
namespace {

constexpr size_t kFileMaxBytes = 4096;
constexpr int64_t kNumberMax = int64_t{1} << 53;

Json mark_json(const StoreMark& mark) {
  return Json{
      {"store_id", mark.store_id}, {"generation", mark.generation}, {"format", mark.format}};
}

Status newer(const std::string& name, int64_t format) {
  return conflict(name + " was written by a newer kvcs, in data format " + std::to_string(format) +
                  "; this one knows formats up to " + std::to_string(kDataFormat) +
                  ". Start the newer kvcs, or restore the directory from a backup.");
}

Status damaged(const std::string& name) {
  return invalid("The mark of the data directory in " + name +
                 " is damaged. Restore the directory from a backup, or run kvcs repair.")
      .with_reason(kMarkDamaged);
}

Result<DirectoryMark> parse_mark(const std::string& text, const std::string& name) {
  const Result<Json> json = parse_json(text);
  if (!json.ok() || !json->is_object()) return damaged(name);
  DirectoryMark found;
  JsonReader reader(*json);
  // First, since a newer format may have other members.
  found.mark.format = reader.integer("format", 1, kNumberMax);
  found.mark.store_id = reader.string("store_id");
  found.mark.generation = reader.integer("generation", 1, kNumberMax);
  found.through = reader.boolean_or("through", false);
  reader.ignore_unknown();
  if (found.mark.format > kDataFormat) return newer(name, found.mark.format);
  if (!reader.finish().ok() || !is_uuid(found.mark.store_id)) return damaged(name);
  return found;
}

// One store beside the directory's mark, in the order of the raise.
struct Compared {
  std::string name;
  const std::optional<StoreMark>& mark;
  const char* accept;  // What kvcs repair calls it.
};

// Conflict when a store bears another id than store.json, which is the odd one itself when all
// stores agree on another.
Status check_ids(const std::string& data_dir, const FoundMarks& found,
                 std::span<const Compared> stores) {
  const std::string& ours = found.directory->mark.store_id;
  const Compared* odd = nullptr;
  for (const Compared& store : stores) {
    if (store.mark && store.mark->store_id != ours) odd = odd == nullptr ? &store : odd;
  }
  if (odd == nullptr) return ok();
  std::string name = odd->name, id = odd->mark->store_id, beside = store_file_path(data_dir);
  std::string expected = ours;
  if (agreed_id(found) != ours) {
    name = std::exchange(beside, "the stores beside it");
    expected = std::exchange(id, ours);
  }
  return conflict(name + " belongs to another data directory, or its mark is damaged: its id is " +
                  id + ", and that of " + beside + " is " + expected + ". " +
                  how_ids_differ(id, expected) +
                  " If it was brought here from elsewhere, put back what was here." +
                  ways_out(data_dir, "generation"));
}

std::string generation_text(int64_t generation) {
  return generation == 0 ? "none" : std::to_string(generation);
}

}  // namespace

Result<StoresThere> look_for_stores(const std::string& data_dir) {
  const auto there = [&](const std::string& name) { return path_exists(data_dir + "/" + name); };
  StoresThere found{KVCS_TRY(there("kv/CURRENT")),
                    KVCS_TRY(there("sql/ledger.db")),
                    KVCS_TRY(there("sql/portal.db")),
                    {}};
  if (found.any()) return found;
  for (const char* name : {"initial-credentials.json", "charges.journal"}) {
    if (KVCS_TRY(there(name))) found.trace = name;
  }
  return found;
}

std::string store_file_path(const std::string& data_dir) {
  return data_dir + "/store.json";
}

Result<std::optional<DirectoryMark>> read_directory_mark(const std::string& data_dir) {
  const std::string path = store_file_path(data_dir);
  const Result<std::string> text = read_small_file(path, kFileMaxBytes);
  if (text.code() == Code::kNotFound) return std::optional<DirectoryMark>();
  if (!text.ok()) return text.status();
  return std::optional(KVCS_TRY(parse_mark(*text, path)));
}

Status write_directory_mark(const std::string& data_dir, const DirectoryMark& mark) {
  Json json = mark_json(mark.mark);
  json["through"] = mark.through;
  return write_private_file(store_file_path(data_dir), dump_json_pretty(json) + "\n");
}

Result<std::optional<StoreMark>> read_mark(const KvStore& kv, const std::string& name) {
  const Result<KvEntry> entry = kv.get(KvFamily::kSystem, keyspace::kStoreMark);
  if (entry.code() == Code::kNotFound) return std::optional<StoreMark>();
  if (!entry.ok()) return entry.status();
  const DirectoryMark found = KVCS_TRY(parse_mark(entry->value, name));
  return std::optional(found.mark);
}

Result<std::optional<StoreMark>> read_mark(Database& db, const std::string& name) {
  if (!KVCS_TRY(db.has_table("store_mark"))) return std::optional<StoreMark>();
  auto row = KVCS_TRY(db.prepare("SELECT mark FROM store_mark"));
  if (!KVCS_TRY(row.step())) return std::optional<StoreMark>();
  const DirectoryMark found = KVCS_TRY(parse_mark(row.text(0), name));
  return std::optional(found.mark);
}

Status write_mark(KvStore& kv, const StoreMark& mark) {
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kStoreMark), dump_json(mark_json(mark)));
  return kv.write(batch, KvDurability::kSynced);
}

Status write_mark(Database& db, const StoreMark& mark) {
  KVCS_TRY(
      db.execute("CREATE TABLE IF NOT EXISTS store_mark"
                 " (one INTEGER PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL)"));
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO store_mark (one, mark) VALUES (1, ?)"
                          " ON CONFLICT (one) DO UPDATE SET mark = excluded.mark"));
  return put.bind(1, dump_json(mark_json(mark))).run();
}

std::string agreed_id(const FoundMarks& found) {
  std::vector<std::string> ids;
  if (found.directory) ids.push_back(found.directory->mark.store_id);
  for (const auto& mark : {found.kv, found.ledger, found.portal}) {
    if (mark) ids.push_back(mark->store_id);
  }
  std::string agreed;
  std::ptrdiff_t most = 0;
  for (const std::string& id : ids) {
    const auto count = std::count(ids.begin(), ids.end(), id);
    if (count > most) agreed = id;
    most = std::max(most, count);
  }
  return agreed;
}

std::string how_ids_differ(const std::string& one, const std::string& other) {
  // Of two random ids 28 of the 36 characters differ in the mean, and hardly ever fewer than 20.
  constexpr int kDamagedMax = 8;
  int differ = 0;
  for (size_t i = 0; i < std::min(one.size(), other.size()); i++) differ += one[i] != other[i];
  return "The two differ in " + std::to_string(differ) + " of " + std::to_string(one.size()) +
         " characters" +
         (differ <= kDamagedMax ? ", as a mark does that is damaged; two directories have ids that "
                                  "differ in nearly all."
                                : ", as the ids of two directories do; a damaged mark differs in "
                                  "one or a few.");
}

Status check_stores_there(const std::string& data_dir, const StoresThere& there,
                          const std::optional<DirectoryMark>& directory) {
  if (!directory) {
    // KV is made first, so that databases without it are no first start that was cut off.
    if (!there.kv && (there.ledger || there.portal)) {
      return conflict("The key-value store " + data_dir +
                      "/kv is missing, while the databases beside it are there." +
                      ways_out(data_dir, "kv-log"));
    }
    if (there.trace.empty()) return ok();
    return conflict("The data directory " + data_dir + " has lost its stores: " + there.trace +
                    " is there, and neither kv nor sql is." + ways_out(data_dir, "generation"));
  }
  const bool is_first_start = directory->mark.generation == 1 && !directory->through;
  if (is_first_start || there.all()) return ok();
  if (!there.kv) {
    return conflict("The key-value store " + data_dir +
                    "/kv is missing; with it go all keys, budgets and credentials." +
                    ways_out(data_dir, "kv-log"));
  }
  const std::string name = there.ledger ? "portal.db" : "ledger.db";
  return conflict("The database " + data_dir + "/sql/" + name + " is missing." +
                  ways_out(data_dir, "sql"));
}

Result<StoreMark> check_marks(const std::string& data_dir, const FoundMarks& found,
                              Entropy& entropy) {
  const Compared stores[] = {{data_dir + "/kv", found.kv, "kv-log"},
                             {data_dir + "/sql/ledger.db", found.ledger, "sql"},
                             {data_dir + "/sql/portal.db", found.portal, "sql"}};
  if (!found.directory) {
    for (const Compared& store : stores) {
      if (!store.mark) continue;
      return conflict("The file " + store_file_path(data_dir) + " is missing, and " + store.name +
                      " knows that it was there." + ways_out(data_dir, "generation"));
    }
    return StoreMark{make_uuid_v4(entropy), 1, kDataFormat};
  }
  KVCS_TRY(check_ids(data_dir, found, stores));
  const StoreMark& directory = found.directory->mark;
  // A start that was through has given all of them its generation, one that was cut off has given
  // it to the first ones; the others then have the one before. A first start has none before.
  const int64_t before = directory.generation - (found.directory->through ? 0 : 1);
  int64_t most = directory.generation;
  for (const Compared& store : stores) {
    const int64_t generation = store.mark ? store.mark->generation : 0;
    if (generation < before || generation > most) {
      return conflict(store.name +
                      " is not of the same moment as the stores beside it: its "
                      "generation is " +
                      generation_text(generation) + ", and " + std::to_string(most) +
                      " was expected." +
                      ways_out(data_dir, generation == 0 ? store.accept : "generation"));
    }
    most = generation;
  }
  StoreMark next = directory;
  next.format = kDataFormat;
  if (found.directory->through) next.generation++;
  return next;
}

}  // namespace kvcs
