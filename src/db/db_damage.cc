// The books of damage of all databases that are open, by their paths.
#include "db/db_damage.h"

#include <map>

#include "base/bytes.h"
#include "base/damage.h"
#include "base/file.h"
#include "base/mutex.h"

namespace kvcs {
namespace {

// A database stands in the folder "sql" of the data directory.
StoreDamage::Store words_of(const std::string& path) {
  return {"The database \"" + printable(path) + "\"", "db.damaged", std::string(kDbDamaged),
          " Stop the daemon." + ways_out(folder_of(folder_of(path)), "sql")};
}

}  // namespace

std::shared_ptr<StoreDamage> damage_of_database(const std::string& path) {
  static Mutex mutex;
  static std::map<std::string, std::weak_ptr<StoreDamage>> books;
  MutexLock lock(mutex);
  std::erase_if(books, [](const auto& entry) { return entry.second.expired(); });
  if (auto book = books[path].lock()) return book;
  auto made = std::make_shared<StoreDamage>(words_of(path));
  books[path] = made;
  return made;
}

}  // namespace kvcs
