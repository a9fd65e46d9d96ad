// The job table: name, schedule, time limit, function.
#pragma once
#include <vector>

#include "ops/cron.h"

namespace kvcs {

struct Parts;

// `parts` outlives the jobs.
std::vector<Job> all_jobs(Parts& parts);

}  // namespace kvcs
