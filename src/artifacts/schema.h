// The schema of portal.db: artifacts, their organizations' usage and the index of their prefixes;
// also the projects that identity/ keeps there, since an artifact's row refers to its project's and
// one file has one sequence of numbers. Pure.
#pragma once
#include <span>
#include <vector>

#include "db/db.h"
#include "db/table_owner.h"

namespace kvcs {

const std::vector<Migration>& portal_migrations();
// Of every table; a test finds one that lacks.
std::span<const TableOwner> portal_table_owners();

}  // namespace kvcs
