// The schema of portal.db: artifacts, their organizations' usage and the index of their prefixes;
// also the projects that identity/ keeps there, since an artifact's row refers to its project's and
// one file has one sequence of numbers. Pure.
#pragma once
#include <vector>

#include "db/db.h"

namespace kvcs {

const std::vector<Migration>& portal_migrations();

}  // namespace kvcs
