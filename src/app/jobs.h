// The job table: name, schedule, time limit, function.
#pragma once
#include <vector>

#include "ops/cron.h"

namespace kvcs {

struct Parts;

// `parts` outlives the jobs.
std::vector<Job> all_jobs(Parts& parts);
// Raises an alert for a run that failed; never fails itself.
void report_job_run(Parts& parts, const JobRun& run);

}  // namespace kvcs
