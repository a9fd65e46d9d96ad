// The job table: name, schedule, time limit, function.
#pragma once
#include <functional>
#include <vector>

#include "ops/cron.h"

namespace kvcs {

struct Parts;

// `parts` outlives the jobs.
std::vector<Job> all_jobs(Parts& parts);
// Raises an alert for a run that failed; never fails itself. A job that fails again in the same
// words is told of once a day, until it succeeds or says something else.
std::function<void(const JobRun& run)> job_reporter(Parts& parts);

}  // namespace kvcs
