// Which data directory the blobs belong to: a file store.json among them bears its id. Two
// directories with one folder of blobs would sweep each other's, one after the other too, when no
// lock tells. Used by build_stores.cc.
#pragma once
#include <string>

#include "base/status.h"

namespace kvcs {

// Marks a folder without a mark for `store_id`. Conflict when the mark is of another directory. A
// disk that takes no writes leaves it unmarked, which is logged.
Status claim_blobs(const std::string& folder, const std::string& store_id);

}  // namespace kvcs
