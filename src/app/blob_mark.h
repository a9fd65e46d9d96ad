// Which data directory the blobs belong to: a file store.json among them bears its id. Two
// directories with one folder of blobs would sweep each other's, one after the other too, when no
// lock tells. And where the blobs of a data directory are: its file blobs.json names the folder
// that was marked. A folder of that name without the mark is another one, such as the place of a
// disk that is not mounted. Used by build_stores.cc.
#pragma once
#include <string>

#include "base/status.h"

namespace kvcs {

// The file of a data directory that names the folder of its blobs.
std::string blob_place_file(const std::string& data_dir);

// The folder that it names; that in the data directory when it names none.
Result<std::string> marked_blobs(const std::string& data_dir);

// Marks a folder without a mark for `store_id`. Conflict when the mark is of another directory, is
// damaged, or is missing though the folder had one. A disk that takes no writes leaves it unmarked,
// which is logged.
Status claim_blobs(const std::string& data_dir, const std::string& folder,
                   const std::string& store_id);

}  // namespace kvcs
