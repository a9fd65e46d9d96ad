// Which data directory makes backups. A store's id is not enough: a restored copy has the same one,
// and two that keep their backups in one place would rotate those of each other away.
#pragma once
#include <string>

#include "base/entropy.h"
#include "base/status.h"

namespace kvcs {

struct BackupMaker {
  std::string store_id;  // Of the data directory, as in its store.json.
  std::string id;        // Of this directory alone, as in its backup-maker.json.
};

// Reads who this directory is. One that is another than the file says, by inode and by path, is a
// copy: it gets an id of its own, as does one without the file, which no backup has.
Result<BackupMaker> read_backup_maker(const std::string& data_dir, Entropy& entropy);

}  // namespace kvcs
